/// The 256 bytes of UTF-8 as ids 0…255, and `endOfText` as id 256. It can write every text.
public struct ByteTokenizer: Tokenizer, Hashable {
  public let vocabularySize = 257
  public let endOfText: Int32 = 256

  /// The one tokenizer of bytes.
  public init() {}

  public func encode(_ text: String) -> [Int32] {
    text.utf8.map(Int32.init)
  }

  public func makeEncoder() -> any TextEncoder { Encoder() }

  private final class Encoder: TextEncoder {
    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      tokens.append(contentsOf: text.lazy.map(Int32.init))
    }

    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? { text.isEmpty ? nil : text.count }
  }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    // Documents are decoded one by one: bytes on the two sides of an `endOfText` never form one character.
    tokens.split(separator: endOfText).map { document in
      String(decoding: document.flatMap(Self.bytes), as: UTF8.self)
    }.joined()
  }

  private static func bytes(of token: Int32) -> some Collection<UInt8> {
    UInt8(exactly: token).map { [$0] } ?? [0xEF, 0xBF, 0xBD]  // U+FFFD
  }
}
