/// GPT-2's way to write any byte as a character that can be seen, since its files hold tokens as text: the 188 bytes
/// that are printable in Latin-1 stand for themselves, the others for U+0100, U+0101 … in their order.
enum ByteAlphabet {
  /// By byte, its character.
  static let characters: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0...255 as ClosedRange<UInt8>).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(byte)
      default:
        defer { next += 1 }
        return Unicode.Scalar(next)!
      }
    }
  }()

  private static let bytes: [UInt32: UInt8] = Dictionary(
    uniqueKeysWithValues: characters.enumerated().map { ($1.value, UInt8($0)) })

  /// The bytes that a token's text stands for; nil if a character of it is none of the alphabet's.
  static func bytes(of text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      guard let byte = bytes[scalar.value] else { return nil }
      result.append(byte)
    }
    return result
  }

  /// A token's text in the files.
  static func text(of bytes: some Sequence<UInt8>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: bytes.lazy.map { characters[Int($0)] })
    return String(text)
  }
}
