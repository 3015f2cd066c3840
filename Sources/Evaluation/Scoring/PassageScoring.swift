import EsoLM
import Foundation
import Randomness

/// A text with a part to be scored given another part.
public struct Passage: Sendable, Equatable {
  public enum Role: Sendable, Equatable {
    /// Known before anything is scored.
    case given
    /// Its log-probability is asked for.
    case scored
    /// Neither: as if not yet written.
    case open
  }

  public let tokens: [Int32]
  /// What each token is for.
  public let roles: [Role]

  /// - Precondition: as many roles as tokens, of which one is scored.
  public init(tokens: [Int32], roles: [Role]) {
    precondition(tokens.count == roles.count && roles.contains(.scored), "a passage needs a token to score")
    self.tokens = tokens
    self.roles = roles
  }

  /// An ending after its context.
  public init(context: [Int32], ending: [Int32]) {
    self.init(
      tokens: context + ending,
      roles: context.map { _ in .given } + ending.map { _ in .scored })
  }

  public var scoredCount: Int { roles.count { $0 == .scored } }

  /// The positions of a role, ascending.
  func positions(_ role: Role) -> [Int] { roles.indices.filter { roles[$0] == role } }
}

/// Log-probabilities of passages: exact for an order, averaged over several.
///
/// An order writes the given tokens first and then the scored ones, so its sum over the scored slots is
/// `log p(scored | given, σ)`. The average over K orders is that of the probabilities, `log (1/K) Σ p(· | σ_k)`, whose
/// expectation rises with K towards the logarithm of the mean over all orders.
public struct PassageScoring {
  public let likelihood: Likelihood
  /// K.
  public let orders: Int
  /// Sequences of one network pass.
  public let batchSize: Int
  public let seed: UInt64

  public init(_ likelihood: Likelihood, orders: Int = 1, batchSize: Int = 16, seed: UInt64 = 0) {
    precondition(orders >= 1 && batchSize >= 1, "\(orders) orders in batches of \(batchSize)")
    self.likelihood = likelihood
    self.orders = orders
    self.batchSize = batchSize
    self.seed = seed
  }

  public struct Score: Sendable, Equatable, Codable {
    /// The log-probability of the scored tokens under each order, in nats.
    public let perOrder: [Double]
    /// Tokens that were scored.
    public let tokens: Int
    /// Averaged over orders, in nats.
    public var logProbability: Double { Likelihood.importanceWeighted(perOrder) }
  }

  /// Scores passages. The orders of one depend on the seed and its place in the list alone.
  public func scores(of passages: [Passage], progress: (Double) -> Void = { _ in }) -> [Score] {
    // Without diffusion there is but one order.
    let orders = likelihood.alpha0 == 0 ? 1 : orders
    var perOrder = [[Double]](repeating: [], count: passages.count)
    let total = passages.count * orders
    for first in stride(from: 0, to: total, by: batchSize) {
      let batch = (first..<min(first + batchSize, total)).map { number in
        (passage: number / orders, order: draw(passages[number / orders], number / orders, number % orders))
      }
      let rows = likelihood.conditionalLogProbabilities(batch.map { (passages[$0.passage].tokens, $0.order) })
      for (item, row) in zip(batch, rows) {
        // Open positions come after the scored ones.
        perOrder[item.passage].append(row.prefix(passages[item.passage].scoredCount).reduce(0, +))
      }
      progress(Double(first + batch.count) / Double(total))
    }
    return zip(passages, perOrder).map { Score(perOrder: $1, tokens: $0.scoredCount) }
  }

  private func draw(_ passage: Passage, _ index: Int, _ number: Int) -> GenerationOrder {
    var generator = CounterGenerator(seed: seed, stream: .likelihoodOrder, major: index, minor: number)
    return likelihood.drawOrder(
      parts: [passage.positions(.given), passage.positions(.scored), passage.positions(.open)], using: &generator)
  }
}
