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

  /// Takes every token with the model's own chance.
  public static let plain = try! TokenPicker()

  /// What is to be drawn from one row of logits.
  public struct Draw: Sendable {
    /// Which token is wanted.
    public enum Choice: Sendable {
      /// The token at this place, in [0, 1), of the distribution.
      case at(Double)
      /// This token, whose probability alone is asked for.
      case token(Int32)
    }

    /// How it is drawn.
    public var picker: TokenPicker
    /// Which one is drawn.
    public var choice: Choice
    /// How many of the likeliest tokens are to be told.
    public var alternativeCount: Int

    /// A draw by its parts.
    public init(_ picker: TokenPicker, _ choice: Choice, alternativeCount: Int = 0) {
      self.picker = picker
      self.choice = choice
      self.alternativeCount = alternativeCount
    }
  }

  /// A token that was drawn, with its log-probabilities in nats.
  public struct Pick: Sendable {
    /// The token's id.
    public let token: Int32
    /// Under the distribution that it was drawn from.
    public let logProbability: Double
    /// Under the model's own distribution, without temperature, top-k and nucleus.
    public let modelLogProbability: Double
    /// The likeliest tokens of the model's own distribution, with their log-probabilities.
    public let alternatives: [(token: Int32, logProbability: Double)]
  }

  /// Draws one token per row. A row's result does not depend on the others.
  ///
  /// - Parameters:
  ///   - logits: [rows, vocabulary]; overwritten at the excluded token.
  ///   - excluded: a token that is never drawn (the mask).
  ///   - draws: one for each row.
  /// - Throws: ``LogitsError`` if a logit is NaN, as damaged or diverged weights give.
  public static func pick(from logits: Tensor, excluding excluded: Int?, _ draws: [Draw]) throws -> [Pick] {
    let logits = withoutGradients { logits.to(.float32) }
    // Where a device has float64, no more than the tokens leaves it.
    if logits.device == .cuda { return try pickInPlace(from: logits, excluding: excluded, draws) }
    if let excluded { withoutGradients { logits.narrowed(dim: 1, to: excluded..<excluded + 1).fill(-.infinity) } }
    let size = logits.size(1)
    let model = withoutGradients { logits.softmax(dim: 1).to(.cpu) }
    // Rows of one temperature together; temperature 0 takes the likeliest token, which needs no other distribution.
    var tempered: [Double: (distributions: Tensor, rows: [Int: Int])] = [:]
    for temperature in Set(draws.map(\.picker.temperature)) where temperature != 0 && temperature != 1 {
      let rows = draws.indices.filter { draws[$0].picker.temperature == temperature }
      let own = rows.count == draws.count ? logits : logits.selecting(Tensor(rows.map(Int64.init)).to(logits.device))
      tempered[temperature] = (
        withoutGradients {
          let scaled = own * min(1 / temperature, 1e30)
          if let excluded { scaled.narrowed(dim: 1, to: excluded..<excluded + 1).fill(-.infinity) }
          return scaled.softmax(dim: 1).to(.cpu)
        },
        Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, $0) })
      )
    }
    let cold = logits.to(.cpu)
    return try model.withUnsafeElements(of: Float.self) { all in
      // One logit that is NaN leaves its whole row without probabilities.
      guard draws.indices.allSatisfy({ !all[$0 * size].isNaN }) else { throw LogitsError() }
      func pick(_ row: Int) -> Pick {
        let draw = draws[row]
        let own = UnsafeBufferPointer(rebasing: all[row * size..<(row + 1) * size])
        let (token, chance): (Int32, Double) =
          if let (distributions, rows) = tempered[draw.picker.temperature] {
            distributions.withUnsafeElements(of: Float.self) {
              let place = rows[row]!
              return draw.picker.draw(
                from: UnsafeBufferPointer(rebasing: $0[place * size..<(place + 1) * size]), draw.choice)
            }
          } else {
            draw.picker.draw(from: own, draw.choice)
          }
        func logProbability(_ token: Int) -> Double {
          guard own[token] < 1e-30 else { return log(Double(own[token])) }
          // A float cannot hold the probability, but its logit tells how far it lies below the largest.
          return cold.withUnsafeElements(of: Float.self) { logits in
            let largest = own.indices.max { own[$0] < own[$1] }!
            return Double(logits[row * size + token]) - Double(logits[row * size + largest]) + log(Double(own[largest]))
          }
        }
        return Pick(
          token: token, logProbability: log(chance), modelLogProbability: logProbability(Int(token)),
          alternatives: likeliest(draw.alternativeCount, of: own).map { (Int32($0), logProbability($0)) })
      }
      // A few short rows are done sooner than other threads awake.
      return draws.count * size < 1 << 15 ? draws.indices.map(pick) : Torch.parallelMap(draws.count, pick)
    }
  }

  /// The same in libtorch's operations, on the device that has the logits.
  package static func pickInPlace(from logits: Tensor, excluding excluded: Int?, _ draws: [Draw]) throws -> [Pick] {
    let alternatives = draws.map(\.alternativeCount).max() ?? 0
    let found = withoutGradients {
      logits.picking(draws.map(\.ofTensor), excluding: excluded, alternatives: alternatives)
    }
    guard found.allSatisfy({ !$0.logProbability.isNaN }) else { throw LogitsError() }
    return zip(found, draws).map { row, draw in
      Pick(
        token: row.token, logProbability: log(row.chance), modelLogProbability: row.logProbability,
        alternatives: Array(row.likeliest.prefix(draw.alternativeCount)))
    }
  }

  /// Draws one token per row, all in this way.
  ///
  /// - Parameters:
  ///   - logits: [rows, vocabulary].
  ///   - excluded: a token that is never drawn.
  ///   - uniforms: one number in [0, 1) per row.
  public func pick(from logits: Tensor, excluding excluded: Int?, uniforms: [Double]) throws -> [Int32] {
    try Self.pick(from: logits, excluding: excluded, uniforms.map { Draw(self, .at($0)) }).map(\.token)
  }

  private func draw(
    from chances: UnsafeBufferPointer<Float>, _ choice: Draw.Choice
  ) -> (token: Int32, chance: Double) {
    let cutoff = cutoff(chances)
    switch choice {
    case .at(let uniform):
      let (token, mass) = cutoff.draw(from: chances, uniform: uniform)
      return (token, Double(chances[Int(token)]) / mass)
    case .token(let token):
      let chance = chances[Int(token)]
      guard cutoff.keeps(chance, at: Int(token)) else { return (token, 0) }
      return (token, Double(chance) / cutoff.draw(from: chances, uniform: 0).mass)
    }
  }

  /// The tokens with the largest probabilities, falling; of equal ones the smaller ids.
  private static func likeliest(_ count: Int, of chances: UnsafeBufferPointer<Float>) -> [Int] {
    guard count > 0 else { return [] }
    var best: [Int] = []
    for token in chances.indices {
      if best.count == count, chances[token] <= chances[best[count - 1]] { continue }
      if best.count == count { best.removeLast() }
      best.insert(token, at: best.firstIndex { chances[$0] < chances[token] } ?? best.count)
    }
    return best
  }

  /// The distribution that tokens are drawn from: [rows][vocabulary], zero for what top-k and nucleus leave out. The logits are
  /// overwritten at the excluded token.
  public func distribution(of logits: Tensor, excluding excluded: Int? = nil) -> [[Double]] {
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

  func probabilities(of logits: Tensor, excluding excluded: Int?) -> Tensor {
    withoutGradients {
      var scaled = logits.to(.float32)
      // The likeliest token alone survives temperature 0, which `cutoff` sees to. The bound keeps logits finite.
      if temperature != 1 && temperature != 0 { scaled = scaled * min(1 / temperature, 1e30) }
      if let excluded { scaled.narrowed(dim: 1, to: excluded..<excluded + 1).fill(-.infinity) }
      return scaled.softmax(dim: 1)
    }
  }

  /// The last token that top-k and nucleus keep.
  func cutoff(_ chances: UnsafeBufferPointer<Float>) -> Cutoff {
    guard temperature > 0 else { return Cutoff(likeliestOf: chances) }
    let limit = min(topK ?? chances.count, chances.count)
    guard topP < 1 || limit < chances.count else { return .none }
    return Cutoff(chances, count: limit, topP: topP)
  }
}

extension TokenPicker.Draw {
  fileprivate var ofTensor: TensorDraw {
    let (uniform, token): (Double, Int32?) =
      switch choice {
      case .at(let uniform): (uniform, nil)
      case .token(let token): (0, token)
      }
    return TensorDraw(
      factor: picker.temperature == 0 ? 0 : min(1 / picker.temperature, 1e30), topP: picker.topP, topK: picker.topK,
      uniform: uniform, token: token)
  }
}

/// Logits that no token can be drawn from.
public struct LogitsError: Error, CustomStringConvertible, Sendable {
  /// The error.
  public init() {}

  public let description = "the network's logits are NaN; its weights are damaged or training diverged"
}
