import Foundation
import Randomness

extension Grammar {
  /// A sentence with the probability of how it was made.
  public struct Sentence: Hashable, Sendable {
    /// The words, separated by spaces, and the full stop.
    public let text: String

    /// The log-probability, in nats, of the derivation: in an unambiguous grammar, of the sentence.
    public let logProbability: Double
  }

  /// Draws a sentence.
  public func sentence(using generator: inout CounterGenerator) -> Sentence {
    var spelled: [String] = []
    var logProbability = 0.0
    var open = [start]
    while let part = open.popLast() {
      switch part {
      case .word(let index):
        spelled.append(words[index])
      case .phrase(let index):
        let choice = Self.choose(from: choices[index], using: &generator)
        logProbability += log(choice.probability)
        open += choice.parts.reversed()
      }
    }
    let text = spelled.joined(separator: String(Self.space)) + String(Self.fullStop)
    return Sentence(text: text, logProbability: logProbability)
  }

  /// Draws a text of exactly `length` characters (Unicode scalars). It begins with a sentence; the last one is cut.
  public func text(length: Int, using generator: inout CounterGenerator) -> String {
    var text = String.UnicodeScalarView()
    while text.count < length {
      if !text.isEmpty { text.append(Self.space) }
      text += sentence(using: &generator).text.unicodeScalars
    }
    return String(text.prefix(length))
  }

  private static func choose(from choices: [Choice], using generator: inout CounterGenerator) -> Choice {
    var rest = generator.uniform()
    for choice in choices {
      rest -= choice.probability
      if rest < 0 { return choice }
    }
    return choices[choices.count - 1]  // The probabilities' sum may be one rounding error below 1.
  }
}
