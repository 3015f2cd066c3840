import CTorch

/// What is to be drawn from one row of logits.
public struct TensorDraw: Sendable {
  /// What the logits are multiplied with; 0 takes the likeliest token.
  public var factor: Double
  /// Keeps the fewest likeliest tokens whose probabilities reach this; 1 keeps all.
  public var topP: Double
  /// Keeps only so many of the likeliest tokens, and those that tie with the last of them; nil keeps all.
  public var topK: Int?
  /// The place in [0, 1) of the distribution that is drawn.
  public var uniform: Double
  /// A token that is asked about instead.
  public var token: Int32?

  /// A draw by its parts.
  public init(factor: Double, topP: Double, topK: Int?, uniform: Double, token: Int32?) {
    self.factor = factor
    self.topP = topP
    self.topK = topK
    self.uniform = uniform
    self.token = token
  }
}

extension Tensor {
  /// A token that was drawn from a row, its probability in the distribution that it was drawn from, its log-probability by
  /// the logits alone, and the likeliest tokens with theirs, in nats.
  public typealias Picked = (
    token: Int32, chance: Double, logProbability: Double, likeliest: [(token: Int32, logProbability: Double)]
  )

  /// Draws a token from each row of these logits, [rows, vocabulary] in float32, on their device, which has float64.
  ///
  /// - Parameters:
  ///   - draws: one for each row.
  ///   - excluded: a token that is never drawn; its logits are overwritten.
  ///   - alternatives: how many of the likeliest tokens are told.
  /// - Returns: one for each row; a row with a NaN has a log-probability that is NaN.
  public func picking(_ draws: [TensorDraw], excluding excluded: Int?, alternatives: Int) -> [Picked] {
    let numbers =
      draws.map(\.factor) + draws.map(\.topP) + draws.map { Double($0.topK ?? 0) } + draws.map(\.uniform)
      + draws.map { Double($0.token ?? -1) }
    let found = produce(self) { ct_pick($0, numbers, Int64(excluded ?? -1), Int64(alternatives), $1) }
    let (all, width) = (found.array(of: Double.self), found.size(1))
    let told = (width - 3) / 2
    return draws.indices.map { row in
      let own = all[row * width..<(row + 1) * width]
      let first = own.startIndex
      return (
        Int32(own[first]), own[first + 1], own[first + 2],
        (first + 3..<first + 3 + told).map { (Int32(own[$0]), own[$0 + told]) }
      )
    }
  }
}
