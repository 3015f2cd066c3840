import Faults

/// Token ids written as decimal numbers with spaces between: "12 7 31". For a model whose own tokenizer is not at hand,
/// so that its tokens can still be read and given. Nobody chooses it by name; a converted run may have it.
public struct NumberTokenizer: Tokenizer, Hashable {
  /// The `type` in `tokenizer.json`.
  static let fileType = "numbers"

  public let vocabularySize: Int
  public let maskToken: Int32?
  /// The last id.
  public var endOfText: Int32 { Int32(vocabularySize - 1) }

  /// A tokenizer of the ids below `vocabularySize`.
  ///
  /// - Precondition: the vocabulary has a token, and no more than ids are.
  public init(vocabularySize: Int, maskToken: Int32? = nil) {
    trap(unless: (1...Int(Int32.max)).contains(vocabularySize), "a vocabulary of \(vocabularySize)")
    self.vocabularySize = vocabularySize
    self.maskToken = maskToken
  }

  public func makeEncoder() -> any TextEncoder { Encoder(vocabularySize: vocabularySize) }

  private final class Encoder: TextEncoder {
    private let vocabularySize: Int

    init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) throws {
      var line = 1
      for word in text.split(omittingEmptySubsequences: false, whereSeparator: Self.isSpace) {
        if !word.isEmpty {
          let word = String(decoding: word, as: UTF8.self)
          guard let token = Int32(word), (0..<vocabularySize).contains(Int(token)) else {
            throw NotATokenError(word: word, line: line, vocabularySize: vocabularySize)
          }
          tokens.append(token)
        }
        if word.endIndex < text.endIndex, text[word.endIndex] == UInt8(ascii: "\n") { line += 1 }
      }
    }

    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? { text.lastIndex(where: Self.isSpace) }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
  }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    tokens.filter { keepingSpecialTokens || $0 != endOfText && $0 != maskToken }
      .map { (0..<vocabularySize).contains(Int($0)) ? "\($0)" : "\u{FFFD}" }.joined(separator: " ")
  }
}

/// A text of token ids holds something else.
public struct NotATokenError: Error, Hashable, CustomStringConvertible {
  /// What stands where a number should.
  public let word: String
  /// The line of the text, counted from 1.
  public let line: Int
  /// How many ids there are.
  public let vocabularySize: Int

  public var description: String {
    "line \(line): \(String(word.prefix(40)).debugDescription) is no token, "
      + "expected numbers from 0 to \(vocabularySize - 1)"
  }
}
