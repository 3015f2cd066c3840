import Corpora
import EsoLM
import Foundation
import Randomness

/// How well a network predicts text: bounds and exact values, in nats per token with their Monte-Carlo error.
public struct PerplexityEvaluation {
  public let likelihood: Likelihood
  public let blocks: TokenBlocks
  /// Sequences of one network pass.
  public let batchSize: Int
  public let seed: UInt64

  public init(_ likelihood: Likelihood, blocks: TokenBlocks, batchSize: Int = 16, seed: UInt64 = 0) {
    self.likelihood = likelihood
    self.blocks = blocks
    self.batchSize = batchSize
    self.seed = seed
  }

  /// An average over sequences.
  public struct Estimate: Codable, Sendable {
    /// Nats per token.
    public let nats: Double
    /// The standard error of `nats`; of one sequence it is unknown.
    public let standardError: Double?
    public var perplexity: Double { exp(nats) }
    public var bitsPerToken: Double { nats / log(2) }

    init(sums: [Double], length: Int) {
      let values = sums.map { $0 / Double(length) }
      let mean = values.reduce(0, +) / Double(values.count)
      nats = mean
      let spread = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      standardError = values.count < 2 ? nil : (spread / Double(values.count * (values.count - 1))).squareRoot()
    }
  }

  /// Tokens of a sequence that the averages are over.
  private var predicted: Int { likelihood.method.predictedCount(ofLength: blocks.length) }

  /// The NELBO, averaged over `draws` of the noise for each sequence.
  public func nelbo(draws: Int = 1, progress: (Double) -> Void = { _ in }) -> Estimate {
    average(draws: draws, progress: progress) { likelihood.negativeELBO($0, noise: $1) }
  }

  /// The bound for α₀ = 1 whose integral over time is done in closed form.
  public func imdce(draws: Int = 1, progress: (Double) -> Void = { _ in }) -> Estimate {
    average(draws: draws, progress: progress) { likelihood.imdce($0, noise: $1) }
  }

  /// The importance-weighted exact likelihood for 1, 2, 4, … and `orders` orders a sequence, from the same draws.
  public func exact(orders: Int, progress: (Double) -> Void = { _ in }) -> [(orders: Int, estimate: Estimate)] {
    var perSequence: [[Double]] = []
    for (index, block) in blocks.enumerated() {
      var generator = CounterGenerator(seed: seed, stream: .likelihoodOrder, major: index)
      let tokens = Array(block)
      let sequences = (0..<orders).map { _ in
        (tokens: tokens, order: likelihood.drawOrder(length: tokens.count, using: &generator))
      }
      perSequence.append(
        stride(from: 0, to: orders, by: batchSize).flatMap { first in
          likelihood.logProbabilities(Array(sequences[first..<min(first + batchSize, orders)]))
            .map { $0.reduce(0, +) }
        })
      progress(Double(index + 1) / Double(blocks.count))
    }
    var counts = sequence(first: 1) { $0 * 2 < orders ? $0 * 2 : nil }.map { $0 }
    if orders > 1 { counts.append(orders) }
    return counts.map { count in
      let sums = perSequence.map { -Likelihood.importanceWeighted(Array($0.prefix(count))) }
      return (count, Estimate(sums: sums, length: predicted))
    }
  }

  private func average(
    draws: Int, progress: (Double) -> Void, _ losses: ([[Int32]], EvaluationNoise) -> [Double]
  ) -> Estimate {
    var sums = [Double](repeating: 0, count: blocks.count)
    let batches = (blocks.count + batchSize - 1) / batchSize
    for draw in 0..<draws {
      for batch in 0..<batches {
        let range = batch * batchSize..<min((batch + 1) * batchSize, blocks.count)
        let noise = EvaluationNoise(seed: seed, draw: draw, first: range.lowerBound, count: blocks.count)
        let values = losses(range.map { Array(blocks[$0]) }, noise)
        for (index, value) in zip(range, values) { sums[index] += value / Double(draws) }
        progress(Double(draw * batches + batch + 1) / Double(draws * batches))
      }
    }
    return Estimate(sums: sums, length: predicted)
  }
}
