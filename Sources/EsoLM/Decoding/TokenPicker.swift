import Foundation
import Torch

/// How a token is drawn from logits: temperature, then top-k, then the nucleus.
public struct TokenPicker: Codable, Sendable, Equatable {
  /// Divides the logits; 0 always takes the likeliest token.
  public var temperature: Double
  /// The nucleus (Holtzman et al. 2020): the fewest likeliest tokens whose probabilities reach topP, the one that
  /// crosses it included. 1 keeps all.
  public var topP: Double
  /// Keeps only this many of the likeliest tokens, and those that tie with the last of them; nil keeps all.
  public var topK: Int?

  /// - Throws: ``ConfigurationError`` for a temperature below 0, topP outside (0, 1] or topK below 1.
  public init(temperature: Double = 1, topP: Double = 1, topK: Int? = nil) throws {
    try ConfigurationError.require(
      temperature >= 0 && temperature.isFinite, "temperature", temperature, expected: "a finite number from 0")
    try ConfigurationError.require(topP > 0 && topP <= 1, "top-p", topP, expected: "a number above 0 and at most 1")
    if let topK { try ConfigurationError.require(topK >= 1, "top-k", topK, expected: "at least 1") }
    self.temperature = temperature
    self.topP = topP
    self.topK = topK
  }

  /// Draws one token per row.
  ///
  /// - Parameters:
  ///   - logits: [rows, vocabulary]; overwritten at the excluded token.
  ///   - excluded: a token that is never drawn (the mask).
  ///   - uniforms: one number in [0, 1) per row.
  /// - Throws: ``LogitsError`` if a logit is no number, as damaged or diverged weights give.
  public func pick(from logits: Tensor, excluding excluded: Int?, uniforms: [Double]) throws -> [Int32] {
    let probabilities = self.probabilities(of: logits, excluding: excluded).to(.cpu)
    let size = logits.size(1)
    return try probabilities.withUnsafeElements(of: Float.self) { all in
      // One logit that is no number leaves its whole row without probabilities.
      guard uniforms.indices.allSatisfy({ !all[$0 * size].isNaN }) else { throw LogitsError() }
      func draw(_ row: Int) -> Int32 {
        let chances = UnsafeBufferPointer(rebasing: all[row * size..<(row + 1) * size])
        return cutoff(chances).draw(from: chances, uniform: uniforms[row])
      }
      // A few short rows are done sooner than other threads awake.
      return uniforms.count * size < 1 << 15 ? uniforms.indices.map(draw) : Torch.parallelMap(uniforms.count, draw)
    }
  }

  /// The law that tokens are drawn from: [rows][vocabulary], zero for what top-k and nucleus leave out. The logits are
  /// overwritten at the excluded token.
  public func law(of logits: Tensor, excluding excluded: Int? = nil) -> [[Double]] {
    let probabilities = self.probabilities(of: logits, excluding: excluded).to(.cpu)
    let size = logits.size(1)
    return probabilities.withUnsafeElements(of: Float.self) { all in
      (0..<logits.size(0)).map { row in
        let chances = UnsafeBufferPointer(rebasing: all[row * size..<(row + 1) * size])
        let kept = cutoff(chances)
        let survivors = chances.indices.map { kept.keeps(chances[$0], at: $0) ? Double(chances[$0]) : 0 }
        let mass = survivors.reduce(0, +)
        return survivors.map { $0 / mass }
      }
    }
  }

  private func probabilities(of logits: Tensor, excluding excluded: Int?) -> Tensor {
    withoutGradients {
      var scaled = logits.to(.float32)
      // The likeliest token alone survives temperature 0, which `cutoff` sees to. The bound keeps logits finite.
      if temperature != 1 && temperature != 0 { scaled = scaled * min(1 / temperature, 1e30) }
      if let excluded { scaled.narrowed(dim: 1, to: excluded..<excluded + 1).fill(-.infinity) }
      return scaled.softmax(dim: 1)
    }
  }

  /// The last token that top-k and nucleus keep.
  private func cutoff(_ chances: UnsafeBufferPointer<Float>) -> Cutoff {
    guard temperature > 0 else { return Cutoff(likeliestOf: chances) }
    let limit = min(topK ?? chances.count, chances.count)
    guard topP < 1 || limit < chances.count else { return .none }
    return Cutoff(chances, count: limit, topP: topP)
  }
}

/// Logits that no token can be drawn from.
public struct LogitsError: Error, CustomStringConvertible, Sendable {
  public let description = "the network's logits are not numbers; its weights are damaged or training diverged"
}
