import EsoLM
import Tokenizers

/// Ends a text before the first of some strings, or of some tokens.
///
/// A token may hold the beginning of a stop string and text before it: such a token stays, and ``text(of:)`` cuts.
public struct StopStrings: StopCondition {
  private let strings: [String]
  private let tokens: StopTokens
  private let tokenizer: any Tokenizer

  /// - Throws: ``ConfigurationError`` if a string is empty.
  public init(_ strings: [String], tokens: Set<Int32> = [], tokenizer: any Tokenizer) throws {
    try ConfigurationError.require(
      strings.allSatisfy { !$0.isEmpty }, "stop", "an empty text", expected: "texts of at least one character")
    self.strings = strings
    self.tokens = StopTokens(tokens)
    self.tokenizer = tokenizer
  }

  public func end(of text: ArraySlice<Int32>, known: Int) -> Int? {
    let byToken = tokens.end(of: text, known: known)
    guard !strings.isEmpty, range(in: tokenizer.decode(text.prefix(byToken ?? text.count))) != nil else {
      return byToken
    }
    // The fewest tokens whose text holds a stop: all of them but the last are kept, and that one if it also has other
    // text.
    let kept = (max(1, known)...text.count).first { range(in: tokenizer.decode(text.prefix($0))) != nil }!
    let last = tokenizer.decode(text.prefix(kept))
    let before = tokenizer.decode(text.prefix(kept - 1))
    return range(in: last)!.lowerBound.utf16Offset(in: last) > before.utf16.count ? kept : kept - 1
  }

  /// The text of tokens up to the first stop string.
  public func text(of tokens: some Sequence<Int32>) -> String { cut(tokenizer.decode(tokens)) }

  /// A text up to the first stop string.
  public func cut(_ text: String) -> String {
    range(in: text).map { String(text[..<$0.lowerBound]) } ?? text
  }

  /// The stop string that a text holds first.
  private func range(in text: String) -> Range<String.Index>? {
    strings.compactMap { text.firstRange(of: $0) }.min { $0.lowerBound < $1.lowerBound }
  }

  /// How many of a text's last characters may be the beginning of a stop string.
  func openCount(in text: String) -> Int {
    strings.map { stop in
      (1..<max(1, stop.count)).last { text.hasSuffix(stop.prefix($0)) } ?? 0
    }.max() ?? 0
  }
}
