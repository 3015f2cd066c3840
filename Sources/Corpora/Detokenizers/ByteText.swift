import Tokenizers

/// A text as bytes, and the rewriting steps that detokenizers are made of. Each is one pass from left to right, in time
/// linear in the text.
struct ByteText {
  private(set) var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Replaces every occurrence of each text by its counterpart, one pair after another.
  mutating func replace(_ pairs: [(old: String, new: String)]) {
    for (old, new) in pairs { replace(Array(old.utf8), by: Array(new.utf8)) }
  }

  private mutating func replace(_ old: [UInt8], by new: [UInt8]) {
    rewrite { text, place in
      text[place] == old[0] && text[place...].starts(with: old) ? (new, place + old.count) : nil
    }
  }

  /// Calls `rule` at every place that is not replaced; what it returns stands for the text up to the place it names.
  private mutating func rewrite(
    _ rule: (UnsafeBufferPointer<UInt8>, Int) -> (replacement: [UInt8], end: Int)?
  ) {
    bytes = bytes.withUnsafeBufferPointer { text in
      var result: [UInt8] = []
      result.reserveCapacity(text.count)
      var (start, place) = (0, 0)
      while place < text.count {
        guard let (replacement, end) = rule(text, place) else {
          place += 1
          continue
        }
        result.append(contentsOf: text[start..<place])
        result.append(contentsOf: replacement)
        (start, place) = (end, end)
      }
      result.append(contentsOf: text[start...])
      return result
    }
  }

  /// Takes white space away on the inner side of brackets or quotes: `( a )` becomes `(a)`.
  mutating func trimInside(_ open: Unicode.Scalar, _ close: Unicode.Scalar) {
    let (open, close) = (UInt8(ascii: open), UInt8(ascii: close))
    var isClosedLater = true
    rewrite { text, place in
      guard text[place] == open, isClosedLater else { return nil }
      guard let end = text[(place + 1)...].firstIndex(of: close) else {
        isClosedLater = false
        return nil
      }
      let inner = Self.trimmed(UnsafeBufferPointer(rebasing: text[place + 1..<end]))
      return ([open] + inner + [close], end + 1)
    }
  }

  /// `( a )` becomes `(a)` where one space is on either side, and no bracket or quote of the kind is between.
  mutating func joinInside(_ open: Unicode.Scalar, _ close: Unicode.Scalar) {
    let (open, close) = (UInt8(ascii: open), UInt8(ascii: close))
    rewrite { text, place in
      guard text[place] == open, place + 1 < text.count, text[place + 1] == space,
        let end = text[(place + 1)...].firstIndex(where: { $0 == open || $0 == close }), text[end] == close,
        text[end - 1] == space, end - 1 > place + 2
      else { return nil }
      return ([open] + text[place + 2..<end - 1] + [close], end + 1)
    }
  }

  /// ` 's` becomes `'s`, with any word.
  mutating func joinApostrophes() {
    rewrite { text, place in
      guard text[place] == space, place + 2 < text.count, text[place + 1] == UInt8(ascii: "'"),
        Self.wordEnd(place + 2, in: text) > place + 2
      else { return nil }
      return ([UInt8(ascii: "'")], place + 2)
    }
  }

  /// ` word . ` becomes ` word. `. The space after it is used up: the next word is joined only if another is before it.
  mutating func joinFullStops() {
    rewrite { text, place in
      guard text[place] == space, case let end = Self.wordEnd(place + 1, in: text), end > place + 1,
        end + 2 < text.count, text[end] == space, text[end + 1] == UInt8(ascii: "."), text[end + 2] == space
      else { return nil }
      return (text[place..<end] + [UInt8(ascii: "."), space], end + 3)
    }
  }

  /// Takes away the space before a mark that ends the text, or its last line.
  mutating func joinAtEnd(_ mark: Unicode.Scalar, afterWord: Bool = false) {
    let end = bytes.last == UInt8(ascii: "\n") ? bytes.count - 1 : bytes.count
    for end in Set([end, bytes.count]).sorted() {
      guard end >= 2, bytes[end - 1] == UInt8(ascii: mark), bytes[end - 2] == space else { continue }
      if afterWord {
        let isWord = bytes.withUnsafeBufferPointer { text in
          guard let before = text[..<(end - 2)].lastIndex(of: space) else { return false }
          return end - 2 > before + 1 && Self.wordEnd(before + 1, in: text) == end - 2
        }
        guard isWord else { continue }
      }
      bytes.remove(at: end - 2)
      break
    }
  }

  /// Takes away white space at both ends.
  mutating func trim() {
    bytes = bytes.withUnsafeBufferPointer { Array(Self.trimmed($0)) }
  }

  // MARK: Characters

  private static func trimmed(_ text: UnsafeBufferPointer<UInt8>) -> Slice<UnsafeBufferPointer<UInt8>> {
    var (start, end) = (0, text.count)
    while start < end {
      let (scalar, next) = UTF8Scalars.scalar(at: start, in: text)
      guard let scalar, isSpace(scalar) else { break }
      start = next
    }
    while start < end, let last = text[start..<end].lastIndex(where: { $0 & 0xC0 != 0x80 }) {
      let (scalar, next) = UTF8Scalars.scalar(at: last, in: text)
      guard let scalar, next == end, isSpace(scalar) else { break }
      end = last
    }
    return text[start..<end]
  }

  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }

  /// The place after the letters, digits and underscores from `start` on.
  private static func wordEnd(_ start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    var place = start
    while place < text.count {
      let (scalar, end) = UTF8Scalars.scalar(at: place, in: text)
      guard let scalar, isWordCharacter(scalar) else { break }
      place = end
    }
    return place
  }

  private static func isWordCharacter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: return true
    case 0..<0x80: return false
    default:
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
        .letterNumber, .otherNumber:
        return true
      default: return false
      }
    }
  }
}

private let space = UInt8(ascii: " ")
