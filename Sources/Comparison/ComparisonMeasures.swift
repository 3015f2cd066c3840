import Checkpoints
import Corpora
import EsoLM
import Evaluation
import Foundation
import Training

// What is measured of a trained run: perplexity, and samples of every plan.
extension MethodComparison {
  private func blocks(_ trainer: Trainer) -> TokenBlocks {
    trainer.data.validation.first(measuredSequences)
  }

  /// The true entropy of the measured sequences, nats a token; nil of data whose law is not known.
  func trueNats(_ trainer: Trainer) -> Double? {
    guard case .toyLanguage = data.source else { return nil }
    let texts = blocks(trainer).map { tokenizer.decode($0) }
    return ToyLanguage.quality(of: texts).logProbabilityPerCharacter.map { -$0 }
  }

  func measured(_ contestant: Contestant, _ trainer: Trainer) -> ComparisonResults.Entry {
    let likelihood = Likelihood(trainer.learner.average.network(), method: trainer.run.method)
    let evaluation = PerplexityEvaluation(likelihood, blocks: blocks(trainer), seed: training.seed)
    let isOneOrder = contestant.algorithm == .autoregressive || contestant.alpha0 == 0
    let exact =
      likelihood.isExact ? evaluation.exact(orders: isOneOrder ? 1 : orders).last?.estimate : nil
    return ComparisonResults.Entry(
      name: contestant.description, title: contestant.title, alpha0: contestant.alpha0,
      algorithm: contestant.algorithm.rawValue, parameters: trainer.learner.model.parameterCount,
      // Where the bound is exact it has no noise to average over.
      nelbo: evaluation.nelbo(draws: contestant.algorithm == .autoregressive ? 1 : draws), exact: exact)
  }

  /// The plans that a method is sampled with, from few network calls to one a token.
  func plans(_ contestant: Contestant, _ trainer: Trainer) throws -> [UnmaskingPlan] {
    let method = trainer.run.method
    func plan(_ steps: Int?, _ schedule: PlanRequest.Schedule? = nil) throws -> UnmaskingPlan {
      try method.plan(
        PlanRequest(length: length, steps: steps, schedule: schedule), seed: training.seed)
    }
    switch contestant.algorithm {
    case .autoregressive: return [try plan(nil)]
    case .esolmA, .esolmB, .maskedDiffusion:
      return contestant.alpha0 == 0 ? [try plan(1)] : try timeSteps.map { try plan($0) }
    case .blockDiffusion:
      let blocks = length / contestant.blockSize!
      let steps = Set(timeSteps.map { $0 / blocks }).filter { $0 >= 1 && $0 < contestant.blockSize! }
      return try steps.sorted().map { try plan($0, .ancestral) } + [plan(nil)]
    }
  }

  func sampled(
    _ trainer: Trainer, plan: UnmaskingPlan, judge: Likelihood?
  ) throws -> ComparisonResults.Sampling {
    var generation = Generation(
      CachedNetwork(trainer.learner.average.network()), rule: trainer.run.method.decoding, plan: plan,
      picker: try TokenPicker(topP: topP), seed: training.seed, batch: samples)
    let start = ContinuousClock.now
    try generation.finish()
    let seconds = (ContinuousClock.now - start).seconds
    var sampling = ComparisonResults.Sampling(
      networkCalls: plan.networkCalls, secondsPerSequence: seconds / Double(samples))
    if let judge {
      let scores = judge.logProbabilities(generation.tokens.map { ($0, .leftToRight(length: $0.count)) })
      let count = scores.reduce(0) { $0 + $1.count }
      sampling.perplexity = exp(-scores.joined().reduce(0, +) / Double(count))
    } else {
      let quality = ToyLanguage.quality(of: generation.tokens.map { tokenizer.decode($0) }, skippingFirst: true)
      sampling.grammaticalShare = quality.grammaticalShare
      sampling.perplexity = quality.sentencePerplexity
    }
    return sampling
  }
}
