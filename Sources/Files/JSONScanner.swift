/// Walks through a JSON text (RFC 8259) from its beginning to its end and hands out what is asked for. As Python writes
/// them, `NaN`, `Infinity` and `-Infinity` are numbers too.
///
/// The text is hostile input: no value is nested deeper than a bound, and what is handed out is taken from a budget while
/// it is made. Whoever keeps it takes it from there as well.
public struct JSONScanner {
  /// The memory that values may take, and do.
  public var budget: MemoryBudget
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  private var depth = 0

  /// Deeper nesting is refused, since reading is recursive.
  static let maximumDepth = 64
  /// What an array takes beside its elements.
  static let arrayCost = 32

  /// A scanner at the first of some bytes, which must outlive it.
  public init(_ bytes: UnsafeBufferPointer<UInt8>, budget: MemoryBudget) {
    self.bytes = bytes
    self.budget = budget
  }

  // MARK: Structure

  /// Passes over UTF-8's byte order mark, if the text begins with one.
  mutating func skipByteOrderMark() { position += bytes[position...].byteOrderMarkCount }

  /// Calls `body` with each key, which then takes its value.
  public mutating func object(_ body: (_ scanner: inout JSONScanner, _ key: [UInt8]) throws -> Void) throws {
    guard take("{") else { throw failure("an object") }
    try enter()
    defer { depth -= 1 }
    if take("}") { return }
    repeat {
      guard next() == UInt8(ascii: "\"") else { throw failure("a key in quotes") }
      let key = try string()
      guard take(":") else { throw failure("':'") }
      try body(&self, key)
    } while take(",")
    guard take("}") else { throw failure("',' or '}'") }
  }

  /// Calls `body` for each element, which it takes.
  public mutating func array(_ body: (_ scanner: inout JSONScanner) throws -> Void) throws {
    guard take("[") else { throw failure("a list") }
    try enter()
    defer { depth -= 1 }
    if take("]") { return }
    repeat { try body(&self) } while take(",")
    guard take("]") else { throw failure("',' or ']'") }
  }

  /// Passes over a value of any kind.
  public mutating func skip() throws {
    switch next() {
    case UInt8(ascii: "{"): try object { scanner, _ in try scanner.skip() }
    case UInt8(ascii: "["): try array { scanner in try scanner.skip() }
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): _ = try word()
    default: _ = try number()
    }
  }

  /// Throws unless only white space is left.
  public mutating func end() throws {
    skipSpace()
    guard position == bytes.count else { throw failure("the end") }
  }

  /// The first byte of what comes next, behind white space; 0, which no syntax has, at the end.
  mutating func next() -> UInt8 {
    skipSpace()
    return byte
  }

  /// An error that names this place.
  func failure(_ expected: String) -> JSONSyntaxError { JSONSyntaxError(offset: position, expected: expected) }

  private var byte: UInt8 { position < bytes.count ? bytes[position] : 0 }

  private mutating func skipSpace() {
    while byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next() == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func enter() throws {
    guard depth < Self.maximumDepth else { throw failure("at most \(Self.maximumDepth) levels") }
    depth += 1
  }

  // MARK: Words and numbers

  /// `true`, `false`, or `null`, which is nil.
  mutating func word() throws -> Bool? {
    skipSpace()
    if take(word: "true") { return true }
    if take(word: "false") { return false }
    guard take(word: "null") else { throw failure("a value") }
    return nil
  }

  private mutating func take(word: StaticString) -> Bool {
    let text = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    guard bytes[position...].starts(with: text) else { return false }
    position += text.count
    return true
  }

  /// The number that comes next.
  ///
  /// - Throws: ``JSONSyntaxError`` if none does, ``MemoryBudget/Exceeded`` if it would take too much memory.
  public mutating func number() throws -> Double {
    skipSpace()
    if byte >= UInt8(ascii: "I") || byte == UInt8(ascii: "-") {
      if take(word: "NaN") { return .nan }
      if take(word: "Infinity") { return .infinity }
      if take(word: "-Infinity") { return -.infinity }
    }
    guard let value = Double(try numeral()) else { throw failure("a number") }
    return value
  }

  /// A number without fraction and exponent.
  public mutating func integer() throws -> Int {
    skipSpace()
    let start = position
    guard let text = try? numeral(), let number = Int(text) else {
      position = start
      throw failure("a whole number")
    }
    return number
  }

  /// A number's text.
  private mutating func numeral() throws -> String {
    let start = position
    func digits() -> Bool {
      let first = position
      while (0x30...0x39).contains(byte) { position += 1 }
      return position > first
    }
    if byte == UInt8(ascii: "-") { position += 1 }
    let (firstDigit, isZero) = (position, byte == UInt8(ascii: "0"))
    guard digits() else {
      position = start
      throw failure("a value")
    }
    guard !isZero || position == firstDigit + 1 else { throw failure("no zero before a number's digits") }
    if byte == UInt8(ascii: ".") {
      position += 1
      guard digits() else { throw failure("a digit") }
    }
    if byte | 0x20 == UInt8(ascii: "e") {
      position += 1
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { position += 1 }
      guard digits() else { throw failure("a digit") }
    }
    try budget.take(position - start)
    defer { budget.giveBack(position - start) }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  // MARK: Strings

  /// A string's bytes, with escapes resolved. They need not be UTF-8.
  public mutating func string() throws -> [UInt8] {
    guard take("\"") else { throw failure("a string") }
    var result: [UInt8] = []
    var taken = 0
    defer { budget.giveBack(taken) }
    while true {
      let start = position
      while position < bytes.count, bytes[position] >= 0x20, bytes[position] != 0x22, bytes[position] != 0x5C {
        position += 1
      }
      // An escape is four bytes at most.
      let length = position - start + 4
      try budget.take(length)
      taken += length
      result.append(contentsOf: bytes[start..<position])
      switch byte {
      case 0x22:
        position += 1
        return result
      case 0x5C:
        position += 1
        try escape(into: &result)
      default:
        throw failure(position < bytes.count ? "an escaped control character" : "'\"'")
      }
    }
  }

  /// A string's bytes as text.
  public func text(_ bytes: [UInt8]) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("valid UTF-8") }
    return text
  }

  private mutating func escape(into result: inout [UInt8]) throws {
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
      throw failure("an escape that JSON has")
    }
  }

  private mutating func hexadecimal() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw failure("four hex digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}

/// Where a text stops being JSON.
public struct JSONSyntaxError: Error, Hashable, CustomStringConvertible {
  /// Counted from 0.
  public let offset: Int
  /// What should have stood there.
  public let expected: String

  public var description: String { "no valid JSON at byte \(offset): expected \(expected)" }
}
