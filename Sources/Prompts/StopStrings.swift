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
    func stop(_ count: Int) -> Int? { first(in: bytes(visible.prefix(count)), of: visible, given: given)?.place }
    guard !strings.isEmpty, visible.count > max(given, known), stop(visible.count) != nil else { return byToken }
    // The fewest tokens whose text holds a stop. Those that make it up are left out; where the first of them has other
    // text too they stay, or nobody could tell where to cut it.
    let holding = (max(given, known) + 1...visible.count).first { stop($0) != nil }!
    let before = bytes(visible.prefix(holding)).prefix(stop(holding)!)
    var kept = holding
    while kept > given, bytes(visible.prefix(kept)).count > before.count { kept -= 1 }
    return bytes(visible.prefix(kept))[...] == before ? kept : holding
  }

  /// The text of tokens up to the first stop string.
  ///
  /// - Parameters:
  ///   - tokens: of a text.
  ///   - given: how many of the tokens, the first ones, hold no stop.
  public func text(of tokens: some Collection<Int32>, given: Int = 0) -> String {
    let all = bytes(tokens)
    return String(decoding: all[..<(first(in: all, of: tokens, given: given)?.place ?? all.count)], as: UTF8.self)
  }

  /// The stop string that comes first in the text of tokens; nil if there is none.
  ///
  /// - Parameters:
  ///   - tokens: of a text.
  ///   - given: how many of the tokens, the first ones, hold no stop.
  public func first(in tokens: some Collection<Int32>, given: Int = 0) -> String? {
    first(in: bytes(tokens), of: tokens, given: given).map { String(decoding: $0.string, as: UTF8.self) }
  }

  private func bytes(_ tokens: some Collection<Int32>) -> [UInt8] { Array(tokenizer.decode(tokens).utf8) }

  /// The first stop string in a text, behind what is given of it, and where it begins.
  private func first(
    in text: [UInt8], of tokens: some Collection<Int32>, given: Int
  ) -> (place: Int, string: [UInt8])? {
    guard !strings.isEmpty else { return nil }
    let written = text.dropFirst(given > 0 ? bytes(tokens.prefix(given)).count : 0)
    return strings.compactMap { string in written.firstRange(of: string).map { ($0.lowerBound, string) } }
      .min { $0.0 < $1.0 }
  }

  /// How many of a text's last bytes may be the beginning of a stop string.
  func openCount(in text: [UInt8]) -> Int {
    strings.map { stop in
      (1..<stop.count).last { text.suffix($0) == stop.prefix($0) } ?? 0
    }.max() ?? 0
  }
}
