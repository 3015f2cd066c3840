import EsoLM
import Foundation
import Randomness

/// A text with a part to be scored given another part.
public struct Passage: Sendable, Equatable {
  /// What is done with a token.
  public enum Role: Sendable, Equatable {
    /// Known before anything is scored.
    case given
    /// Its log-probability is asked for.
    case scored
    /// Neither: as if not yet written.
    case open
  }

  /// The tokens, in text order.
  public let tokens: [Int32]
  /// What each token is for.
  public let roles: [Role]

  /// - Throws: ``EsoLM/ConfigurationError`` unless there are as many roles as tokens, of which one is scored.
  public init(tokens: [Int32], roles: [Role]) throws {
    try ConfigurationError.require(
      tokens.count == roles.count, "roles", "\(roles.count) of them", expected: "one for each of \(tokens.count) tokens"
    )
    try ConfigurationError.require(
      roles.contains(.scored), "roles", "without a scored one", expected: "a token to score")
    self.tokens = tokens
    self.roles = roles
  }

  /// An ending after its context.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` if the ending is empty.
  public init(context: [Int32], ending: [Int32]) throws {
    try ConfigurationError.require(!ending.isEmpty, "ending", "empty", expected: "at least one token")
    try self.init(
      tokens: context + ending,
      roles: context.map { _ in .given } + ending.map { _ in .scored })
  }

  /// How many tokens are scored.
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
  /// What is asked.
  public let likelihood: Likelihood
  /// K.
  public let orders: Int
  /// Sequences of one network pass.
  public let batchSize: Int
  /// The seed of orders.
  public let seed: UInt64
  /// The number of the first order, where others are scored by themselves.
  public let firstOrder: Int

  /// Scoring by a run's likelihood.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` unless there is an order, and a sequence in a pass.
  public init(
    _ likelihood: Likelihood, orders: Int = 1, batchSize: Int = 16, seed: UInt64 = 0, firstOrder: Int = 0
  ) throws {
    try ConfigurationError.require(firstOrder >= 0, "firstOrder", firstOrder, expected: "at least 0")
    try ConfigurationError.require(orders >= 1, "orders", orders, expected: "at least 1")
    try ConfigurationError.require(batchSize >= 1, "batchSize", batchSize, expected: "at least 1")
    self.likelihood = likelihood
    self.orders = orders
    self.batchSize = batchSize
    self.seed = seed
    self.firstOrder = firstOrder
  }

  /// How likely the scored tokens of a passage are.
  public struct Score: Sendable, Equatable, Codable {
    /// The log-probability of the scored tokens under each order, in nats.
    public let perOrder: [Double]
    /// Tokens that were scored.
    public let tokens: Int
    /// Averaged over orders, in nats.
    public var logProbability: Double { Likelihood.importanceWeighted(perOrder) }
  }

  /// Scores passages. The orders of one depend on the seed and its place in the list alone.
  ///
  /// - Throws: ``ScoringError`` if the method cannot tell.
  public func scores(of passages: [Passage], progress: (Double) -> Void = { _ in }) throws(ScoringError) -> [Score] {
    guard likelihood.isExact else { throw .notExact }
    let orders = likelihood.method.hasOneOrder ? 1 : orders
    var perOrder = [[Double]](repeating: [], count: passages.count)
    let total = passages.count * orders
    for first in stride(from: 0, to: total, by: batchSize) {
      let batch = (first..<min(first + batchSize, total)).map { number in
        (
          passage: number / orders,
          order: draw(passages[number / orders], number / orders, firstOrder + number % orders)
        )
      }
      let sequences = batch.map { (tokens: passages[$0.passage].tokens, order: $0.order) }
      guard let rows = likelihood.conditionalLogProbabilities(sequences) else { throw .onlyLeftToRight }
      for (item, row) in zip(batch, rows) {
        guard !row.contains(where: \.isNaN) else { throw .logits(LogitsError()) }
        // Scored slots come first, open ones after them; a first token that is not predicted has no number.
        let unpredicted = item.order.maskedCount - row.count
        perOrder[item.passage].append(
          row.prefix(max(0, passages[item.passage].scoredCount - unpredicted)).reduce(0, +))
      }
      progress(Double(first + batch.count) / Double(total))
    }
    return zip(passages, perOrder).map { Score(perOrder: $1, tokens: $0.scoredCount) }
  }

  /// Why a method cannot score a passage.
  public enum ScoringError: Error, CustomStringConvertible, Sendable {
    /// The method has no exact likelihood.
    case notExact
    /// An AR model was asked about text that does not follow all that is given.
    case onlyLeftToRight
    /// The network's logits are NaN.
    case logits(LogitsError)

    public var description: String {
      switch self {
      case .notExact: "the method has no exact likelihood; expected Eso-LM (B) or AR"
      case .onlyLeftToRight:
        "an AR model scores only text that follows all that is given, with nothing left open before"
      case .logits(let error): error.description
      }
    }
  }

  private func draw(_ passage: Passage, _ index: Int, _ number: Int) -> GenerationOrder {
    var generator = CounterGenerator(seed: seed, stream: .likelihoodOrder, major: index, minor: number)
    return likelihood.drawOrder(
      parts: [passage.positions(.given), passage.positions(.scored), passage.positions(.open)], using: &generator)
  }
}
