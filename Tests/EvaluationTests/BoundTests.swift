import Corpora
import EsoLM
import Evaluation
import Foundation
import TestSupport
import Testing

/// The bounds of exact perplexity against the truth, which for three tokens and 24 orders can be enumerated.
@Suite("Bounds")
struct BoundTests {
  /// Makes much of the order in which tokens come.
  private let network = TransformerWeights.random(.small(vocabulary: 4, hidden: 48), seed: 3).transformer()
  private let sequences = randomSequences(3, length: 4, tokens: 3)

  /// - Parameter copies: of the sequences; each copy has draws of its own.
  private func evaluation(copies: Int = 1, seed: UInt64 = 0) -> PerplexityEvaluation {
    let tokens = Array(repeating: sequences.flatMap { $0 }, count: copies).flatMap { $0 }
    return try! PerplexityEvaluation(
      try! Likelihood(network, alpha0: 1), blocks: TokenBlocks(cutting: tokens, length: 4), batchSize: 2048, seed: seed)
  }

  /// The nats per token of the distribution that the network's samples have: the mean over all orders.
  private var truth: Double {
    sequences.map { tokens in
      let orders = permutations(of: 4).map { (tokens, GenerationOrder(positions: $0, cleanCount: 0)) }
      let logProbabilities = try! Likelihood(network, alpha0: 1).logProbabilities(orders).map { $0.reduce(0, +) }
      return -Likelihood.importanceWeighted(logProbabilities) / 4
    }.mean
  }

  @Test func theBoundFallsWithTheNumberOfOrdersToTheTruth() throws {
    // Of the differences between K = 1, 2, 4 each is many standard errors below 0.
    let runs = (0..<12).map { evaluation(copies: 600, seed: $0).exact(orders: 4).map(\.estimate.nats) }
    for column in 0..<2 {
      let falls = runs.map { $0[column + 1] - $0[column] }
      #expect(falls.mean < -4 * falls.standardError)
    }
    #expect(runs.map { $0[2] }.mean > truth)
    let many = evaluation().exact(orders: 8192).map(\.estimate.nats)
    #expect(abs(many.last! - truth) < 0.01)
  }

  /// One draw of a sequence's bound deviates by so much; the mean of n draws by that over √n.
  @Test func theMonteCarloErrorIsThatOfTheDraws() throws {
    let means = (0..<200).map { evaluation(seed: $0).imdce(draws: 8) }
    let nats = means.map(\.nats)
    let spread = nats.standardError * Double(nats.count).squareRoot()
    let claimed = try means.map { pow(try #require($0.monteCarloError), 2) }.mean.squareRoot()
    #expect(abs(claimed / spread - 1) < 0.2)
    #expect(evaluation().imdce().monteCarloError == nil)
    #expect(evaluation().exact(orders: 2).allSatisfy { $0.estimate.monteCarloError == nil })
  }
}
