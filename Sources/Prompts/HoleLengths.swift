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
  private let rowLimit: Int
  private let known = Known()

  /// What was found last: several texts of one template ask the same of their first hole.
  private final class Known {
    var question: ([Int32?], Int, [Int32])?
    var scores: [Double] = []
  }

  /// Lengths by what a network finds likely.
  ///
  /// - Parameters:
  ///   - method: how the network is read.
  ///   - network: what is asked.
  ///   - tokenizer: what makes tokens of texts.
  ///   - rowLimit: about how many rows the network may compute for a hole. Of a long text behind it only so many of the
  ///     first tokens are looked at, but at least one.
  public init(
    _ method: any GenerationMethod, network: Network, tokenizer: any Tokenizer, rowLimit: Int = .max
  ) {
    self.method = method
    self.network = network
    self.tokenizer = tokenizer
    self.rowLimit = rowLimit
  }

  /// Draws the length of each open hole, from left to right; each looks at the text up to the hole after it.
  ///
  /// An open hole with nothing behind it gets its most: there the text ends by a stop condition.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` for a method that cannot tell how well text behind a hole fits, or an error of the
  ///   tokenizer.
  public func draw(_ template: PromptTemplate, seed: UInt64, number: Int) throws -> [Int] {
    var generator = CounterGenerator(seed: seed, stream: .holeLength, major: number)
    var lengths: [Int] = []
    for place in template.openHoles {
      guard case .openHole(let most) = template.parts[place] else { continue }
      let rest = template.parts[(place + 1)...].prefix(while: \.isGiven)
      let uniform = generator.uniform()
      guard !rest.isEmpty else {
        lengths.append(most)
        continue
      }
      let before = try PromptTemplate(parts: Array(template.parts[..<place])).tokens(tokenizer, lengths: lengths)
      let behind = try PromptTemplate(parts: Array(rest)).tokens(tokenizer).compactMap(\.self)
      let scores = try scores(before, most: most, behind: Array(behind.prefix(max(1, rowLimit / most))))
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

  /// log p(behind | before) with 1 to `most` positions between them that are not written.
  private func scores(_ before: [Int32?], most: Int, behind: [Int32]) throws -> [Double] {
    if let question = known.question, question == (before, most, behind) { return known.scores }
    let request = GenerationRequest(template: before + Array(repeating: nil, count: most + behind.count))
    let generation = try method.generation(request, for: network.configuration)
    let alternatives = (1...most).map { hole in
      behind.enumerated().map { (position: before.count + hole + $0, token: $1) }
    }
    guard let chances = try generation.logProbabilities(ofWriting: alternatives, under: network) else {
      throw ConfigurationError(
        field: "template", found: "a hole of open length before other text",
        expected: "one of an exact length, [[5]]: how well text fits behind others Eso-LM (B) alone can tell")
    }
    known.question = (before, most, behind)
    known.scores = chances.map { $0.reduce(0, +) }
    return known.scores
  }
}
