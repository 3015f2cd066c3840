import Foundation
import Torch

/// How a token is drawn from logits: temperature, then top-k, then the nucleus.
public struct TokenPicker: Codable, Sendable, Equatable {
  /// Divides the logits; 0 always takes the likeliest token.
  public var temperature: Double
  /// The nucleus (Holtzman et al. 2020): the fewest likeliest tokens whose probabilities reach topP, the one that
  /// crosses it included. 1 keeps all.
  public var topP: Double
  /// Keeps only this many of the likeliest tokens; nil keeps all.
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
    guard !probabilities.maxAbs().item.isNaN else { throw LogitsError() }
    let size = logits.size(1)
    return probabilities.withUnsafeElements(of: Float.self) { all in
      uniforms.enumerated().map { row, uniform in
        let chances = UnsafeMutableBufferPointer(rebasing: all[row * size..<(row + 1) * size])
        return Self.inverse(chances, kept: cutoff(UnsafeBufferPointer(chances)), uniform: uniform)
      }
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

  // MARK: What is kept

  /// Where the kept tokens end when all are sorted by falling probability, equal ones by rising id.
  struct Cutoff {
    let probability: Float
    let index: Int

    func keeps(_ probability: Float, at index: Int) -> Bool {
      probability > self.probability || (probability == self.probability && index <= self.index)
    }
  }

  /// Finds the last token that top-k and nucleus keep, without sorting the vocabulary.
  private func cutoff(_ chances: UnsafeBufferPointer<Float>) -> Cutoff {
    let limit = temperature == 0 ? 1 : min(topK ?? chances.count, chances.count)
    guard topP < 1 || limit < chances.count else { return Cutoff(probability: -1, index: 0) }

    // Tokens below (1 − p)/V add up to less than 1 − p, so the nucleus lies among the others. Top-k may need them.
    let floor = limit < chances.count ? 0 : Float((1 - topP) / Double(chances.count)) * 0.999
    var keys: [UInt64] = []
    for (index, chance) in chances.enumerated() where chance >= floor { keys.append(Self.key(chance, index)) }

    let topCount = min(limit, keys.count)
    let whole = topCount < keys.count ? Self.select(&keys, count: topCount, mass: .infinity).mass : 1
    let last = Self.select(&keys, count: topCount, mass: topP * whole).key
    return Cutoff(probability: Float(bitPattern: UInt32(last >> 32)), index: Int(~UInt32(truncatingIfNeeded: last)))
  }

  /// A number that sorts like (probability, −index): the bits of a positive float sort as the float does.
  private static func key(_ chance: Float, _ index: Int) -> UInt64 {
    UInt64(chance.bitPattern) << 32 | UInt64(~UInt32(index))
  }

  /// Walks down the sorted keys until `count` of them are taken or their probabilities reach `mass`, and returns the
  /// last one taken and the mass so far. Quickselect: each round splits the keys that are still undecided at a pivot
  /// and goes on in the half where the walk ends.
  private static func select(_ keys: inout [UInt64], count: Int, mass: Double) -> (key: UInt64, mass: Double) {
    func chance(_ key: UInt64) -> Double { Double(Float(bitPattern: UInt32(key >> 32))) }
    var (low, high) = (0, keys.count)
    var sum = 0.0
    while high - low > 48 {
      let middle = keys[low + (high - low) / 2]
      let (first, last) = (keys[low], keys[high - 1])
      let pivot = max(min(first, middle), min(max(first, middle), last))
      var (boundary, above) = (low, 0.0)
      for place in low..<high where keys[place] >= pivot {
        above += chance(keys[place])
        keys.swapAt(place, boundary)
        boundary += 1
      }
      if boundary == high {  // the pivot is the smallest: nothing was decided
        break
      } else if boundary >= count || sum + above >= mass {
        high = boundary
      } else {
        sum += above
        low = boundary
      }
    }
    keys[low..<high].sort(by: >)
    var place = low
    while place < high {
      sum += chance(keys[place])
      place += 1
      if place >= count || sum >= mass { break }
    }
    return (keys[place - 1], sum)
  }

  // MARK: Drawing

  /// The token at which the kept probabilities, added up by rising id, pass `uniform` of their sum. Going by id and not
  /// by probability keeps the draw where it was when rounding swaps two nearly equal tokens.
  private static func inverse(
    _ chances: UnsafeMutableBufferPointer<Float>, kept: Cutoff, uniform: Double
  ) -> Int32 {
    var mass = 0.0
    for index in chances.indices {
      if !kept.keeps(chances[index], at: index) { chances[index] = 0 }
      mass += Double(chances[index])
    }
    var rest = uniform * mass
    var last = 0
    for index in chances.indices where chances[index] > 0 {
      rest -= Double(chances[index])
      last = index
      if rest < 0 { break }
    }
    return Int32(last)
  }
}

/// Logits that no token can be drawn from.
public struct LogitsError: Error, CustomStringConvertible, Sendable {
  public let description = "the network's logits are not numbers; its weights are damaged or training diverged"
}
