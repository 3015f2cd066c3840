import Corpora
import EsoLM
import Foundation
import Runs

/// The NELBO of validation sequences under the moving average of the weights.
public struct Validation: Codable, Sendable {
  /// The step after which it was measured.
  public let step: Int
  /// Nats per token; NaN where no token was predicted.
  public let nelbo: Double
  /// `exp(nelbo)`.
  public var perplexity: Double { exp(nelbo) }
}

/// Measures the moving average of the weights on sequences that are not trained on.
struct Validator {
  private let run: RunFolder
  private let blocks: TokenBlocks
  private let group: ProcessGroup

  init(_ run: RunFolder, _ blocks: TokenBlocks, group: ProcessGroup) {
    self.run = run
    self.blocks = blocks
    self.group = group
  }

  /// With the same noise every time, so that two validations differ by the weights. Each process measures its share, as
  /// many sequences at a time as it trains on at a time.
  func measure(_ learner: Learner, progress: (_ share: Double) -> Void) -> Validation {
    let evaluation = Likelihood(learner.average.transformer(), method: run.method)
    let training = run.configuration.training
    let count = min(blocks.count, training.validationSequences)
    let size = training.microBatchSize ?? training.batchSize / group.count
    var (sum, predicted) = ([0.0], 0)
    for (number, first) in stride(from: 0, to: count, by: size).enumerated() {
      let batch = sequences(first..<min(first + size, count))
      predicted += batch.reduce(0) { $0 + run.method.predictedCount(ofLength: $1.contentCount) }
      guard number % group.count == group.rank else { continue }
      progress(Double(first) / Double(count))
      sum[0] += evaluation.negativeELBO(batch, noise: EvaluationNoise(seed: training.seed, first: first, count: count))
        .reduce(0, +)
    }
    group.sum(&sum)
    return Validation(step: learner.step, nelbo: sum[0] / Double(predicted))
  }

  /// Chooses the training times of a method that searches for them, by at most 64 validation sequences.
  func chooseNoise(_ learner: Learner) {
    let chosen = run.method.quietestTimes(
      under: learner.average.transformer(), sequences: sequences(blocks.indices.prefix(64)),
      seed: run.configuration.training.seed)
    guard let chosen else { return }
    learner.noiseRange = group.leaders(chosen.lowerBound)...group.leaders(chosen.upperBound)
  }

  private func sequences(_ range: Range<Int>) -> [PaddedTokens] {
    range.map { PaddedTokens(blocks[$0], contentCount: blocks.contentCount($0)) }
  }

  /// Texts as the average writes them now, in at most 64 steps of time where the method has a choice; the same draws every
  /// time. Of several processes the leader writes them.
  func sampleTexts(_ learner: Learner) throws -> [String] {
    let count = run.configuration.training.sampleTexts
    guard count > 0, group.isLeader else { return [] }
    let (method, length) = (run.method, run.configuration.method.length)
    let sampler = Sampler(CachedTransformer(learner.average.transformer()))
    for number in 0..<count {
      var request = method.requests(length: length, timeSteps: [min(64, length)])[0]
      request.picker = try TokenPicker(topP: 0.9)
      request.seed = run.configuration.training.seed
      request.number = number
      sampler.add(try method.generation(request, for: run.configuration.model))
    }
    return try sampler.finish().map { run.tokenizer.decode($0.tokens) }
  }
}
