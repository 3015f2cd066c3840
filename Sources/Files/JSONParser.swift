import Foundation

/// A recursive descent over the bytes of a JSON text (RFC 8259), behind a byte order mark if there is one. As Python
/// writes them, `NaN`, `Infinity` and `-Infinity` are numbers too.
struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func document() throws(JSONSyntaxError) -> JSONValue {
    position = bytes.byteOrderMarkCount
    let result = try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw fail("the end") }
    return result
  }

  private func fail(_ expected: String) -> JSONSyntaxError { JSONSyntaxError(offset: position, expected: expected) }

  /// The byte at the position; 0, which no syntax has, at the end.
  private var byte: UInt8 { position < bytes.count ? bytes[position] : 0 }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONValue {
    skipSpace()
    guard depth <= JSONValue.maximumDepth else { throw fail("at most \(JSONValue.maximumDepth) levels") }
    switch byte {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "N"): return try word("NaN", .number(.nan))
    case UInt8(ascii: "I"): return try word("Infinity", .number(.infinity))
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONValue {
    position += 1
    var members: [(key: [UInt8], value: JSONValue)] = []
    if take("}") { return .object(members) }
    repeat {
      skipSpace()
      guard byte == UInt8(ascii: "\"") else { throw fail("a key in quotes") }
      let key = try string()
      guard take(":") else { throw fail("':'") }
      members.append((key, try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw fail("',' or '}'") }
    return .object(members)
  }

  private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    if take("]") { return .array(elements) }
    repeat { elements.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw fail("',' or ']'") }
    return .array(elements)
  }

  private mutating func word(_ text: String, _ value: JSONValue) throws(JSONSyntaxError) -> JSONValue {
    guard bytes[position...].starts(with: text.utf8) else { throw fail("a value") }
    position += text.utf8.count
    return value
  }

  private mutating func number() throws(JSONSyntaxError) -> JSONValue {
    let start = position
    func digits() -> Bool {
      let first = position
      while (0x30...0x39).contains(byte) { position += 1 }
      return position > first
    }
    if byte == UInt8(ascii: "-") { position += 1 }
    if position > start, byte == UInt8(ascii: "I") { return try word("Infinity", .number(-.infinity)) }
    let (firstDigit, isZero) = (position, byte == UInt8(ascii: "0"))
    guard digits() else {
      position = start
      throw fail("a value")
    }
    guard !isZero || position == firstDigit + 1 else { throw fail("no zero before a number's digits") }
    if byte == UInt8(ascii: ".") {
      position += 1
      guard digits() else { throw fail("a digit") }
    }
    if byte | 0x20 == UInt8(ascii: "e") {
      position += 1
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { position += 1 }
      guard digits() else { throw fail("a digit") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let value = Double(text) else { throw fail("a number") }
    return .number(value)
  }

  private mutating func string() throws(JSONSyntaxError) -> [UInt8] {
    position += 1
    var result: [UInt8] = []
    while true {
      let start = position
      while position < bytes.count, bytes[position] >= 0x20, bytes[position] != 0x22, bytes[position] != 0x5C {
        position += 1
      }
      result.append(contentsOf: bytes[start..<position])
      switch byte {
      case 0x22:
        position += 1
        return result
      case 0x5C:
        position += 1
        try escape(into: &result)
      default:
        throw fail(position < bytes.count ? "an escaped control character" : "'\"'")
      }
    }
  }

  private mutating func escape(into result: inout [UInt8]) throws(JSONSyntaxError) {
    let character = byte
    position += 1
    switch character {
    case UInt8(ascii: "n"): result.append(0x0A)
    case UInt8(ascii: "t"): result.append(0x09)
    case UInt8(ascii: "r"): result.append(0x0D)
    case UInt8(ascii: "b"): result.append(0x08)
    case UInt8(ascii: "f"): result.append(0x0C)
    case 0x22, 0x5C, UInt8(ascii: "/"): result.append(character)
    case UInt8(ascii: "u"):
      var value = try hexadecimal()
      // Half a pair alone is no character: it becomes U+FFFD below.
      if (0xD800..<0xDC00).contains(value), byte == 0x5C, position + 1 < bytes.count, bytes[position + 1] == 0x75 {
        let mark = position
        position += 2
        let low = try hexadecimal()
        if (0xDC00..<0xE000).contains(low) {
          value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
        } else {
          position = mark
        }
      }
      result.append(contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}")!)
    default:
      position -= 1
      throw fail("an escape that JSON has")
    }
  }

  private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw fail("four hex digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
