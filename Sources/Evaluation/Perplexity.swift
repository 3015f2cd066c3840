import Corpora
import EsoLM
import Faults
import Foundation
import Randomness

/// How well a network predicts text: bounds and exact values, in nats per token with their Monte-Carlo error.
public struct PerplexityEvaluation {
  /// What is asked.
  public let likelihood: Likelihood
  /// The text, in sequences.
  public let blocks: TokenBlocks
  /// Sequences of one network pass.
  public let batchSize: Int
  /// The seed of noise and orders.
  public let seed: UInt64

  /// An evaluation of a text.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` if there is nothing to measure, or a batch has no sequence.
  public init(_ likelihood: Likelihood, blocks: TokenBlocks, batchSize: Int = 16, seed: UInt64 = 0) throws {
    try ConfigurationError.require(!blocks.isEmpty, "blocks", "empty", expected: "at least one sequence")
    try ConfigurationError.require(batchSize >= 1, "batchSize", batchSize, expected: "at least 1")
    self.likelihood = likelihood
    self.blocks = blocks
    self.batchSize = batchSize
    self.seed = seed
  }

  /// An average over sequences.
  public struct Estimate: Codable, Sendable {
    /// Nats per token.
    public let nats: Double
    /// The standard error of `nats` over sequences, noise included; of one sequence it is unknown.
    public let standardError: Double?
    /// The part of the error that comes from random draws for the same text; unknown of one draw a sequence.
    public let monteCarloError: Double?
    /// `exp(nats)`.
    public var perplexity: Double { exp(nats) }
    /// `nats / ln 2`.
    public var bitsPerToken: Double { nats / log(2) }

    /// - Parameters:
    ///   - sums: nats of each sequence, averaged over draws.
    ///   - counts: tokens of each sequence.
    ///   - variances: of each sequence's average over its draws; nil where unknown.
    package init(sums: [Double], counts: [Int], variances: [Double]? = nil) {
      let total = Double(counts.reduce(0, +))
      let mean = sums.reduce(0, +) / total
      nats = mean
      let spread = zip(sums, counts).reduce(0) { $0 + pow($1.0 - mean * Double($1.1), 2) }
      let count = Double(sums.count)
      standardError = count < 2 ? nil : (spread * count / (count - 1)).squareRoot() / total
      monteCarloError = variances.map { $0.reduce(0, +).squareRoot() / total }
    }

    /// The same.
    ///
    /// - Throws: ``EsoLM/LogitsError`` if it is NaN, as damaged or diverged weights give.
    public func checked() throws -> Estimate {
      guard !nats.isNaN else { throw LogitsError() }
      return self
    }
  }

  /// Of each sequence, the tokens that the averages are over.
  private var predicted: [Int] {
    blocks.indices.map { likelihood.method.predictedCount(ofLength: blocks.contentCount($0)) }
  }

  /// The NELBO, averaged over `draws` of the noise for each sequence.
  ///
  /// - Precondition: at least one draw.
  public func nelbo(draws: Int = 1, progress: (Double) -> Void = { _ in }) -> Estimate {
    average(draws: draws, progress: progress) { likelihood.negativeELBO($0, noise: $1) }
  }

  /// The bound for α₀ = 1 whose integral over time is done in closed form.
  ///
  /// - Precondition: at least one draw.
  public func imdce(draws: Int = 1, progress: (Double) -> Void = { _ in }) -> Estimate {
    average(draws: draws, progress: progress) { likelihood.imdce($0, noise: $1) }
  }

  /// The importance-weighted exact likelihood for 1, 2, 4, … and `orders` orders a sequence, from the same draws.
  ///
  /// Padding comes last in every order and carries no probability. What comes last is seen by nothing before it, so it
  /// is left out.
  ///
  /// - Precondition: at least one order.
  public func exact(orders: Int, progress: (Double) -> Void = { _ in }) -> [(orders: Int, estimate: Estimate)] {
    trap(unless: orders >= 1, "likelihoods under \(orders) orders")
    var perSequence = [[Double]](repeating: [], count: blocks.count)
    // Batches run on from one sequence to the next, so that few orders a sequence fill them too.
    var batch: [(index: Int, tokens: [Int32], order: GenerationOrder)] = []
    func finishBatch() {
      let rows = likelihood.logProbabilities(batch.map { ($0.tokens, $0.order) })
      for (member, row) in zip(batch, rows) {
        perSequence[member.index].append(row.reduce(0, +))
      }
      progress(Double(batch.last!.index + 1) / Double(blocks.count))
      batch = []
    }
    let drawn = likelihood.method.hasOneOrder ? 1 : orders
    for (index, block) in blocks.enumerated() {
      var generator = CounterGenerator(seed: seed, stream: .likelihoodOrder, major: index)
      let tokens = Array(block.prefix(blocks.contentCount(index)))
      for _ in 0..<drawn {
        batch.append((index, tokens, likelihood.drawOrder(length: tokens.count, using: &generator)))
        if batch.count == batchSize { finishBatch() }
      }
    }
    if !batch.isEmpty { finishBatch() }
    if drawn < orders { perSequence = perSequence.map { Array(repeating: $0[0], count: orders) } }
    var counts = sequence(first: 1) { $0 * 2 < orders ? $0 * 2 : nil }.map { $0 }
    if orders > 1 { counts.append(orders) }
    return counts.map { count in
      let sums = perSequence.map { -Likelihood.importanceWeighted(Array($0.prefix(count))) }
      return (count, Estimate(sums: sums, counts: predicted))
    }
  }

  private func average(
    draws: Int, progress: (Double) -> Void, _ losses: ([PaddedTokens], EvaluationNoise) -> [Double]
  ) -> Estimate {
    trap(unless: draws >= 1, "an average over \(draws) draws")
    var sums = [Double](repeating: 0, count: blocks.count)
    var squares = sums
    let batches = (blocks.count + batchSize - 1) / batchSize
    for draw in 0..<draws {
      for batch in 0..<batches {
        let range = batch * batchSize..<min((batch + 1) * batchSize, blocks.count)
        let noise = EvaluationNoise(seed: seed, draw: draw, first: range.lowerBound, count: blocks.count)
        let values = losses(range.map { PaddedTokens(blocks[$0], contentCount: blocks.contentCount($0)) }, noise)
        for (index, value) in zip(range, values) {
          // Welford's update of mean and squared deviations.
          let change = value - sums[index]
          sums[index] += change / Double(draw + 1)
          squares[index] += change * (value - sums[index])
        }
        progress(Double(draw * batches + batch + 1) / Double(draws * batches))
      }
    }
    let variances = draws < 2 ? nil : squares.map { $0 / Double(draws * (draws - 1)) }
    return Estimate(sums: sums, counts: predicted, variances: variances)
  }
}
