/// GPT-2's cut of a text into words, each of which is encoded for itself:
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// A word takes one space before it along; of several spaces the others are a word of their own. Bytes that are not
/// UTF-8 count as neither letters, digits nor space.
enum GPT2Words {
  enum Class: UInt8 {
    case other, letter, number, space
  }

  /// The place after the word that begins at `start`.
  ///
  /// - Precondition: `start` is less than `text.count`.
  @inline(__always)
  static func end(of start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    if text[start] == UInt8(ascii: "'"), let end = contraction(at: start, in: text) { return end }
    var (kind, place) = classify(start, in: text)
    if text[start] == UInt8(ascii: " "), place < text.count {
      let (next, end) = classify(place, in: text)
      if next != .space { (kind, place) = (next, end) }
    }
    guard kind == .space else {
      while place < text.count {
        let (next, end) = classify(place, in: text)
        guard next == kind else { break }
        place = end
      }
      return place
    }
    var lastStart = start
    while place < text.count {
      let (next, end) = classify(place, in: text)
      // The last of several spaces belongs to what follows.
      guard next == .space else { return lastStart > start ? lastStart : place }
      (lastStart, place) = (place, end)
    }
    return place
  }

  private static func contraction(at start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    guard start + 1 < text.count else { return nil }
    switch text[start + 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    case let first where start + 2 < text.count:
      let pair = (first, text[start + 2])
      let isOne =
        pair == (UInt8(ascii: "r"), UInt8(ascii: "e")) || pair == (UInt8(ascii: "v"), UInt8(ascii: "e"))
        || pair == (UInt8(ascii: "l"), UInt8(ascii: "l"))
      return isOne ? start + 3 : nil
    default: return nil
    }
  }

  /// The class of the character that begins at a place, and the place after it.
  @inline(__always)
  static func classify(_ place: Int, in text: UnsafeBufferPointer<UInt8>) -> (Class, Int) {
    let byte = text[place]
    if byte < 0x80 { return (asciiClass(byte), place + 1) }
    let (scalar, end) = UTF8Scalars.scalar(at: place, in: text)
    return (scalar.map(unicodeClass) ?? .other, end)
  }

  @inline(__always)
  private static func asciiClass(_ byte: UInt8) -> Class {
    if byte | 0x20 >= 0x61, byte | 0x20 <= 0x7A { return .letter }
    if byte == 0x20 || byte >= 0x09 && byte <= 0x0D { return .space }
    if byte >= 0x30, byte <= 0x39 { return .number }
    return .other
  }

  private static func unicodeClass(_ scalar: Unicode.Scalar) -> Class {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: .letter
    case .decimalNumber, .letterNumber, .otherNumber: .number
    default: scalar.properties.isWhitespace ? .space : .other
    }
  }
}
