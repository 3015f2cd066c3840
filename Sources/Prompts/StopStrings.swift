import EsoLM
import Tokenizers

/// Ends a text before the first of some strings, or of some tokens. What is given holds no stop.
///
/// A token may hold the beginning of a stop string and text before it: such a token stays, and
/// ``text(of:given:)`` cuts. Strings are compared byte by byte, so `\n` is found in `\r\n` too.
public struct StopStrings: StopCondition {
  private let strings: [[UInt8]]
  private let tokens: StopTokens
  private let tokenizer: any Tokenizer

  /// - Throws: ``EsoLM/ConfigurationError`` if a string is empty.
  public init(_ strings: [String], tokens: Set<Int32> = [], tokenizer: any Tokenizer) throws {
    try ConfigurationError.require(
      strings.allSatisfy { !$0.isEmpty }, "stop", "an empty text", expected: "texts of at least one character")
    self.strings = strings.map { Array($0.utf8) }
    self.tokens = StopTokens(tokens)
    self.tokenizer = tokenizer
  }

  public func end(of text: ArraySlice<Int32>, given: Int, known: Int) -> Int? {
    let byToken = tokens.end(of: text, given: given, known: known)
    let visible = text.prefix(byToken ?? text.count)
    func stop(_ count: Int) -> Int? { place(in: bytes(visible.prefix(count)), of: visible, given: given) }
    guard visible.count > max(given, known), stop(visible.count) != nil else { return byToken }
    // The fewest tokens whose text holds a stop: all of them but the last are kept, and that one if it also has other
    // text.
    let kept = (max(given, known) + 1...visible.count).first { stop($0) != nil }!
    return stop(kept)! > bytes(visible.prefix(kept - 1)).count ? kept : kept - 1
  }

  /// The text of tokens up to the first stop string.
  ///
  /// - Parameters:
  ///   - tokens: of a text.
  ///   - given: how many of the tokens, the first ones, hold no stop.
  public func text(of tokens: some Collection<Int32>, given: Int = 0) -> String {
    let all = bytes(tokens)
    return String(decoding: all[..<(place(in: all, of: tokens, given: given) ?? all.count)], as: UTF8.self)
  }

  private func bytes(_ tokens: some Collection<Int32>) -> [UInt8] { Array(tokenizer.decode(tokens).utf8) }

  /// Where the first stop string begins in a text, behind what is given of it.
  private func place(in text: [UInt8], of tokens: some Collection<Int32>, given: Int) -> Int? {
    guard !strings.isEmpty else { return nil }
    let written = text.dropFirst(given > 0 ? bytes(tokens.prefix(given)).count : 0)
    return strings.compactMap { written.firstRange(of: $0)?.lowerBound }.min()
  }

  /// How many of a text's last bytes may be the beginning of a stop string.
  func openCount(in text: [UInt8]) -> Int {
    strings.map { stop in
      (1..<stop.count).last { text.suffix($0) == stop.prefix($0) } ?? 0
    }.max() ?? 0
  }
}
