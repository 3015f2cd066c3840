import Randomness

/// Training on the exact likelihood, beyond the paper: every sequence gets an order as generation draws it, and all of its
/// tokens are predicted in one pass, each from those before it.
///
///     loss = −(1/n) Σ_x Σ_i log p(x_{σ(i)} | x_{σ(<i)})        n tokens of the global batch
///
/// It is the pass of the exact likelihood (section 6): two streams, nothing clean at first. So it is averaged over as many
/// predictions as there are tokens, where the paper's two terms have as many as are masked. It shows the network no mask
/// beside the one that is predicted.
public struct AnyOrderObjective: Sendable, Equatable {
  /// The share of sequences whose order is from left to right, whatever generation draws.
  public let leftToRightShare: Double

  /// - Throws: ``ConfigurationError`` unless the share is in [0, 1].
  public init(leftToRightShare: Double = 0) throws {
    try ConfigurationError.require(
      (0...1).contains(leftToRightShare), "leftToRightShare", leftToRightShare, expected: "0 to 1")
    self.leftToRightShare = leftToRightShare
  }

  /// How many sequences of a step's global batch have an order from left to right; they are the first ones.
  ///
  /// Nothing is drawn: of all sequences so far it is the share, rounded down. Which ones they are follows from the order of
  /// the data.
  ///
  /// - Parameters:
  ///   - count: sequences of the global batch.
  ///   - step: from 0.
  public func leftToRightCount(ofBatch count: Int, step: Int) -> Int {
    func dealt(_ steps: Int) -> Int { Int(leftToRightShare * Double(steps) * Double(count)) }
    return dealt(step + 1) - dealt(step)
  }

  /// The order of each sequence. Padding comes last, where nothing sees it, as it does in exact likelihoods.
  ///
  /// - Parameters:
  ///   - share: the sequences.
  ///   - method: whose generation draws orders.
  ///   - seed: of the run.
  ///   - step: from 0.
  public func orders(
    of share: BatchShare, drawnBy method: some GenerationMethod, seed: UInt64, step: Int
  ) -> [GenerationOrder] {
    let leftToRight = leftToRightCount(ofBatch: share.contentCounts.count, step: step)
    return zip(share.places, share.sequences).map { place, text in
      guard place >= leftToRight else { return .leftToRight(length: text.count) }
      var generator = CounterGenerator(seed: seed, stream: .corruption, major: step, minor: place)
      let drawn = method.drawOrder(length: text.contentCount, using: &generator)
      return GenerationOrder(positions: drawn.positions + (text.contentCount..<text.count), cleanCount: 0)
    }
  }

  /// A share of a training batch, weighted so that the sum of its losses is its part of the loss.
  ///
  /// - Parameters:
  ///   - share: the sequences.
  ///   - method: whose generation draws orders.
  ///   - maskToken: what masked tokens are read as.
  ///   - seed: of the run.
  ///   - step: from 0.
  public func trainingBatch(
    _ share: BatchShare, of method: some GenerationMethod, maskToken: Int, seed: UInt64, step: Int
  ) -> ScoredBatch {
    let weight = 1 / Double(share.contentCounts.reduce(0, +))
    var batch = ScoredBatch()
    batch.append(
      zip(share.sequences, orders(of: share, drawnBy: method, seed: seed, step: step)).map {
        ScoredBatch.Member($0, order: $1, weight: weight)
      }, pattern: .twoStream, maskToken: maskToken)
    return batch
  }
}
