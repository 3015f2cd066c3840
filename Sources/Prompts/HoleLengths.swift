import EsoLM
import Foundation
import Randomness
import Tokenizers

/// Chooses how long holes of open length become.
///
/// A model of the family says exactly how probable a filling of a given length is, but not how probable a length is. What
/// it says is how well the text behind a hole fits there: positions that are never written are never seen, so
/// `p(text behind | text before, hole of n)` is exact for each n, without a filling. With all lengths from 1 to the most
/// equally probable beforehand, Bayes' rule makes of it a distribution over n, which the length is drawn from. That
/// prior is a choice, and so the length is a heuristic. What is written into the hole then is not.
public struct HoleLengths<Network: DecodingNetwork> {
  private let method: any GenerationMethod
  private let network: Network
  private let tokenizer: any Tokenizer

  public init(_ method: any GenerationMethod, network: Network, tokenizer: any Tokenizer) {
    self.method = method
    self.network = network
    self.tokenizer = tokenizer
  }

  /// A method that cannot tell how well the text behind a hole fits.
  public struct Unknown: Error, CustomStringConvertible, Sendable {
    public let description =
      "a hole of open length before other text needs exact conditional likelihoods, which Eso-LM (B) alone has in any "
      + "order; give the hole an exact length, [[5]]"
  }

  /// Draws the length of each open hole, from left to right; each looks at the text up to the hole after it.
  ///
  /// An open hole with nothing behind it gets its most: there the text ends by a stop condition.
  ///
  /// - Throws: ``Unknown``, or an error of the tokenizer.
  public func draw(_ template: PromptTemplate, seed: UInt64, number: Int) throws -> [Int] {
    var generator = CounterGenerator(seed: seed, stream: .holeLength, major: number)
    var lengths: [Int] = []
    for place in template.openHoles {
      guard case .openHole(let most) = template.parts[place] else { continue }
      let rest = template.parts[(place + 1)...].prefix { if case .text = $0 { true } else { false } }
      let uniform = generator.uniform()
      guard !rest.isEmpty else {
        lengths.append(most)
        continue
      }
      let before = try PromptTemplate(parts: Array(template.parts[..<place])).tokens(tokenizer, lengths: lengths)
      let behind = try PromptTemplate(parts: Array(rest)).tokens(tokenizer).compactMap(\.self)
      let scores = try (1...most).map { try score(before, hole: $0, behind: behind) }
      let largest = scores.max()!
      let chances = scores.map { exp($0 - largest) }
      var left = uniform * chances.reduce(0, +)
      lengths.append(
        1
          + (chances.firstIndex {
            left -= $0; return left < 0
          } ?? most - 1))
    }
    return lengths
  }

  /// log p(behind | before) with so many positions between them that are not written.
  private func score(_ before: [Int32?], hole: Int, behind: [Int32]) throws -> Double {
    let request = GenerationRequest(
      template: before + Array(repeating: nil, count: hole + behind.count))
    let generation = try method.generation(request, for: network.configuration)
    let first = before.count + hole
    let tokens = behind.enumerated().map { (position: first + $0, token: $1) }
    guard let chances = try generation.logProbabilities(ofWriting: tokens, under: network) else { throw Unknown() }
    return chances.reduce(0, +)
  }
}
