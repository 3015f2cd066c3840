import Faults

/// One id per Unicode scalar of a text, in the order of their code points, and `endOfText` as the last id.
///
/// Scalars, not Swift's `Character`s: there the two scalars "\r\n" are one, and an "e" and the accent that follows it
/// are too, so that the vocabulary would grow with every combination.
public struct CharacterTokenizer: Tokenizer, Hashable {
  /// The vocabulary: the character at index `i` has id `i`.
  public let characters: [Unicode.Scalar]

  /// By code point, the id; −1 for what is not in the vocabulary.
  private let ids: [Int32]

  public var vocabularySize: Int { characters.count + 1 }
  public var endOfText: Int32 { Int32(characters.count) }

  /// A tokenizer for exactly the characters that occur in `text`.
  public init(text: String) {
    var occurs = [Bool](repeating: false, count: 0x11_0000)
    for scalar in text.unicodeScalars { occurs[Int(scalar.value)] = true }
    self.init(characters: occurs.indices.lazy.filter { occurs[$0] }.compactMap { Unicode.Scalar(UInt32($0)) })
  }

  /// - Precondition: no character occurs twice.
  init(characters: [Unicode.Scalar]) {
    var ids = [Int32](repeating: -1, count: characters.map { Int($0.value) + 1 }.max() ?? 0)
    for (id, scalar) in characters.enumerated() {
      trap(unless: ids[Int(scalar.value)] < 0, "\(scalar.debugDescription) occurs twice")
      ids[Int(scalar.value)] = Int32(id)
    }
    self.characters = characters
    self.ids = ids
  }

  public func encode(_ text: String) throws(UnknownCharacterError) -> [Int32] {
    var tokens: [Int32] = []
    tokens.reserveCapacity(text.utf8.count)
    try append(text.unicodeScalars, to: &tokens)
    return tokens
  }

  public func makeEncoder() -> any TextEncoder { Encoder(self) }

  private final class Encoder: TextEncoder {
    private let tokenizer: CharacterTokenizer

    init(_ tokenizer: CharacterTokenizer) { self.tokenizer = tokenizer }

    /// Bytes that are not UTF-8 are read as U+FFFD.
    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) throws {
      try tokenizer.append(UTF8Scalars(text), to: &tokens)
    }

    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? { UTF8Scalars.lastBoundary(in: text) }
  }

  private func append(
    _ scalars: some Sequence<Unicode.Scalar>, to tokens: inout [Int32]
  ) throws(UnknownCharacterError) {
    var line = 1
    for scalar in scalars {
      let value = Int(scalar.value)
      guard value < ids.count, ids[value] >= 0 else { throw UnknownCharacterError(character: scalar, line: line) }
      tokens.append(ids[value])
      if scalar == "\n" { line += 1 }
    }
  }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    var text = String.UnicodeScalarView()
    for token in tokens where token != endOfText {
      text.append(characters.indices.contains(Int(token)) ? characters[Int(token)] : "\u{FFFD}")
    }
    return String(text)
  }
}

/// A text holds a character that the tokenizer's vocabulary lacks.
public struct UnknownCharacterError: Error, Hashable, CustomStringConvertible {
  /// The character that has no token.
  public let character: Unicode.Scalar

  /// The line of the text, counted from 1.
  public let line: Int

  /// The error as it reads where `count` lines stand before the text.
  public func after(lines count: Int) -> UnknownCharacterError {
    UnknownCharacterError(character: character, line: line + count)
  }

  public var description: String {
    "line \(line): character \(character.nameForErrors) is not in the tokenizer's vocabulary"
  }
}

extension Unicode.Scalar {
  /// The character in quotes, escaped where it cannot be seen, and its code point.
  var nameForErrors: String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(self).debugDescription + " (U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
      + ")"
  }
}
