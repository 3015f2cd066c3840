/// The tokens of the published models of text8: eight special ones, the letters a to z, and the space. A text is put
/// into lower case; any other character is `[UNK]`.
public struct Text8Tokenizer: Tokenizer, Hashable {
  private static let specials = ["[CLS]", "[SEP]", "[BOS]", "[EOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]"]
  private static let characters = Array("abcdefghijklmnopqrstuvwxyz ".utf8)
  private static let unknown: Int32 = 7

  /// By ASCII code, the id.
  private static let ids: [Int32] = {
    var ids = [Int32](repeating: unknown, count: 128)
    for (index, byte) in characters.enumerated() { ids[Int(byte)] = Int32(specials.count + index) }
    return ids
  }()

  public let vocabularySize = 35
  public let beginningOfText: Int32 = 2
  public let endOfText: Int32 = 3
  public let maskToken: Int32? = 4
  public let padding: Int32 = 5

  /// The one tokenizer of text8.
  public init() {}

  public func makeEncoder() -> any TextEncoder { Encoder() }

  private final class Encoder: TextEncoder {
    /// Bytes that are not UTF-8 are read as U+FFFD.
    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      for scalar in UTF8Scalars(text) {
        // A character's lower case may be several, or an ASCII letter, as that of the Kelvin sign is.
        for lower in scalar.properties.lowercaseMapping.unicodeScalars {
          tokens.append(lower.isASCII ? Text8Tokenizer.ids[Int(lower.value)] : Text8Tokenizer.unknown)
        }
      }
    }

    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? { UTF8Scalars.lastBoundary(in: text) }
  }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    tokens.map { token -> String in
      switch Int(token) {
      case 0..<Self.specials.count: keepingSpecialTokens ? Self.specials[Int(token)] : ""
      case Self.specials.count..<vocabularySize:
        String(Unicode.Scalar(Self.characters[Int(token) - Self.specials.count]))
      default: "\u{FFFD}"
      }
    }.joined()
  }
}
