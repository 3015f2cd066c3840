import Torch

/// What a token is drawn from: a row of logits after temperature, top-k and nucleus.
public struct TokenDistribution: Sendable {
  private let chances: [Float]
  private let cutoff: Cutoff
  /// The sum of what top-k and nucleus keep.
  private let mass: Double

  /// - Parameters:
  ///   - chances: of each token, before anything is left out.
  ///   - cutoff: what is kept.
  init(_ chances: [Float], _ cutoff: Cutoff) {
    self.chances = chances
    self.cutoff = cutoff
    mass = chances.withUnsafeBufferPointer { cutoff.draw(from: $0, uniform: 0).mass }
  }

  /// The probability of a token.
  public func probability(of token: Int32) -> Double { probability(Int(token)) }

  private func probability(_ token: Int) -> Double {
    cutoff.keeps(chances[token], at: token) ? Double(chances[token]) / mass : 0
  }

  /// The token at a place, in [0, 1), of the distribution.
  public func token(at uniform: Double) -> Int32 {
    chances.withUnsafeBufferPointer { cutoff.draw(from: $0, uniform: uniform).token }
  }

  /// The token at a place of the positive part of this distribution less another one. Where there is no such part, that is
  /// where both are the same but for rounding, of this distribution.
  public func token(at uniform: Double, exceeding other: TokenDistribution) -> Int32 {
    func excess(_ token: Int) -> Double { max(0, probability(token) - other.probability(token)) }
    let sum = chances.indices.reduce(0) { $0 + excess($1) }
    guard sum > 0 else { return token(at: uniform) }
    var (rest, last) = (uniform * sum, 0)
    for token in chances.indices {
      let own = excess(token)
      guard own > 0 else { continue }
      last = token
      rest -= own
      if rest < 0 { break }
    }
    return Int32(last)
  }
}

extension TokenPicker {
  /// What a token of each row is drawn from.
  ///
  /// - Parameters:
  ///   - logits: [rows, vocabulary]; overwritten at the excluded token.
  ///   - excluded: a token that is never drawn.
  /// - Throws: ``LogitsError`` if a logit is NaN.
  public func distributions(of logits: Tensor, excluding excluded: Int? = nil) throws -> [TokenDistribution] {
    let probabilities = probabilities(of: logits, excluding: excluded).to(.cpu)
    let size = logits.size(1)
    return try probabilities.withUnsafeElements(of: Float.self) { all in
      guard (0..<logits.size(0)).allSatisfy({ !all[$0 * size].isNaN }) else { throw LogitsError() }
      func distribution(_ row: Int) -> TokenDistribution {
        let own = UnsafeBufferPointer(rebasing: all[row * size..<(row + 1) * size])
        return TokenDistribution(Array(own), cutoff(own))
      }
      let rows = logits.size(0)
      // A few short rows are done sooner than other threads awake.
      return rows * size < 1 << 15 ? (0..<rows).map(distribution) : Torch.parallelMap(rows, distribution)
    }
  }
}
