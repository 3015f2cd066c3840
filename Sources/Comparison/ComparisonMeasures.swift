import Corpora
import EsoLM
import Evaluation
import Foundation
import Runs
import Training

// What is measured of a trained run: perplexity, and samples of every plan.
extension MethodComparison {
  private func blocks(_ trainer: Trainer) -> TokenBlocks {
    trainer.data.validation.first(measuredSequences)
  }

  /// The true entropy of the measured sequences, nats a token; nil of data whose distribution is not known.
  func trueNats(_ trainer: Trainer) -> Double? {
    guard case .toyLanguage = data.source else { return nil }
    let texts = blocks(trainer).map { tokenizer.decode($0) }
    return ToyLanguage.quality(of: texts).logProbabilityPerCharacter.map { -$0 }
  }

  func measured(
    _ contestant: Contestant, _ trainer: Trainer, progress: (Double) -> Void
  ) throws -> ComparisonResults.Entry {
    let likelihood = Likelihood(trainer.learner.average.transformer(), method: trainer.run.method)
    let evaluation = try PerplexityEvaluation(likelihood, blocks: blocks(trainer), seed: training.seed)
    let method = trainer.run.method
    let orders = likelihood.isExact ? (method.hasOneOrder ? 1 : orders) : 0
    // Where the bound is exact it has no noise to average over.
    let draws = method.isBoundExact ? 1 : draws
    let passes = Double(orders + draws)
    let exact =
      orders > 0 ? evaluation.exact(orders: orders) { progress($0 * Double(orders) / passes) }.last?.estimate : nil
    return ComparisonResults.Entry(
      name: contestant.description, title: contestant.title, alpha0: contestant.alpha0,
      algorithm: contestant.algorithm.rawValue, parameters: trainer.learner.model.parameterCount,
      nelbo: evaluation.nelbo(draws: draws) { progress((Double(orders) + $0 * Double(draws)) / passes) }, exact: exact)
  }

  /// How a method is sampled, from few network calls to one a token.
  func requests(_ method: any GenerationMethod) -> [GenerationRequest] {
    method.requests(length: length, timeSteps: timeSteps).map {
      var request = $0
      request.seed = training.seed
      return request
    }
  }

  /// - Parameter progress: called with the share of tokens that are written.
  func sampled(
    _ trainer: Trainer, _ request: GenerationRequest, judge: Likelihood?, progress: (Double) -> Void
  ) throws -> ComparisonResults.Sampling {
    let network = CachedTransformer(trainer.learner.average.transformer())
    let sampler = Sampler(network)
    var tokens = 0
    for number in 0..<samples {
      var request = request
      request.picker = try TokenPicker(topP: topP)
      request.number = number
      tokens += request.holes.count
      sampler.add(try trainer.run.method.generation(request, for: network.configuration))
    }
    let start = ContinuousClock.now
    var written = 0
    let texts = try sampler.finish {
      written += $0.written.positions.count
      progress(Double(written) / Double(tokens))
    }
    let seconds = (ContinuousClock.now - start).seconds
    var sampling = ComparisonResults.Sampling(
      // Each sequence has its own plan: their calls differ by a few.
      networkCalls: texts.reduce(0) { $0 + $1.networkCalls } / texts.count,
      secondsPerSequence: seconds / Double(samples))
    if let judge {
      let scores = judge.logProbabilities(texts.map { ($0.tokens, .leftToRight(length: length)) })
      let estimate = PerplexityEvaluation.Estimate(
        sums: scores.map { -$0.reduce(0, +) }, counts: scores.map(\.count))
      sampling.perplexity = estimate.perplexity
      sampling.perplexityError = estimate.standardError.map { $0 * estimate.perplexity }
    } else {
      let quality = ToyLanguage.quality(of: texts.map { tokenizer.decode($0.tokens) }, skippingFirst: true)
      sampling.grammaticalShare = quality.grammaticalShare
      sampling.grammaticalError = quality.grammaticalError
      sampling.perplexity = quality.sentencePerplexity
    }
    return sampling
  }
}
