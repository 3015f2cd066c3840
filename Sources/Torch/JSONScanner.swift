import Files
import Foundation

/// Walks through JSON text from its beginning to its end and hands out what is asked for. Nothing else is kept, and no
/// value is nested deeper than a bound.
struct JSONScanner {
  var budget: MemoryBudget
  private let text: UnsafeRawBufferPointer
  private var place = 0

  init(_ text: UnsafeRawBufferPointer, budget: MemoryBudget) {
    self.text = text
    self.budget = budget
  }

  private static let maximumDepth = 32

  private func refuse(_ expected: String) -> SafetensorsHeader.Failure {
    .init(problem: "at byte \(place): expected \(expected)")
  }

  /// The next byte that is no white space; it stays the next.
  private mutating func peek() -> UInt8? {
    while place < text.count {
      switch text[place] {
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): place += 1
      default: return text[place]
      }
    }
    return nil
  }

  /// Takes a byte if it is the next.
  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: byte) else { return false }
    place += 1
    return true
  }

  /// Throws unless only white space is left.
  mutating func end() throws {
    guard peek() == nil else { throw refuse("the end") }
  }

  /// Calls `body` with each key, which then takes its value.
  mutating func object(_ body: (_ scanner: inout JSONScanner, _ key: String) throws -> Void) throws {
    guard take("{") else { throw refuse("an object") }
    guard !take("}") else { return }
    repeat {
      let key = try string()
      guard take(":") else { throw refuse("':'") }
      try body(&self, key)
    } while take(",")
    guard take("}") else { throw refuse("',' or '}'") }
  }

  /// An array of whole numbers.
  mutating func integers() throws -> [Int] {
    guard take("[") else { throw refuse("an array of whole numbers") }
    var numbers: [Int] = []
    guard !take("]") else { return numbers }
    repeat {
      // Three times: an array holds up to twice what is in it, and its old half while it grows.
      try budget.take(3 * MemoryLayout<Int>.stride)
      numbers.append(try integer())
    } while take(",")
    guard take("]") else { throw refuse("',' or ']'") }
    return numbers
  }

  private mutating func integer() throws -> Int {
    _ = peek()
    let start = place
    while place < text.count, text[place] == UInt8(ascii: "-") || isDigit(text[place]) { place += 1 }
    let digits = UnsafeRawBufferPointer(rebasing: text[start..<place])
    let next = place < text.count ? text[place] : 0
    let isFraction = [".", "e", "E"].contains { next == UInt8(ascii: $0) }
    guard digits.count <= 20, !isFraction, let number = Int(String(decoding: digits, as: UTF8.self)) else {
      place = start
      throw refuse("a whole number")
    }
    return number
  }

  /// A string with its escapes resolved.
  mutating func string() throws -> String {
    guard take("\"") else { throw refuse("a string") }
    let start = place
    var isPlain = true
    while place < text.count, text[place] != UInt8(ascii: "\"") {
      guard text[place] >= 0x20 else { throw refuse("no control character") }
      if text[place] == UInt8(ascii: "\\") {
        isPlain = false
        place += 1
      }
      place += 1
    }
    guard place < text.count else { throw refuse("the end of a string") }
    let raw = UnsafeRawBufferPointer(rebasing: text[start..<place])
    place += 1
    try budget.take(raw.count)
    defer { budget.giveBack(raw.count) }
    if isPlain {
      guard let string = String(validating: raw, as: UTF8.self) else { throw refuse("valid UTF-8") }
      return string
    }
    try budget.take(4 * raw.count)
    defer { budget.giveBack(4 * raw.count) }
    let quoted = Data("\"".utf8) + Data(raw) + Data("\"".utf8)
    guard let string = try? JSONDecoder().decode(String.self, from: quoted) else { throw refuse("valid escapes") }
    return string
  }

  /// Passes over a value of any kind.
  mutating func skip(depth: Int = 0) throws {
    guard depth < Self.maximumDepth else { throw refuse("no deeper nesting") }
    switch peek() {
    case UInt8(ascii: "{"): try object { scanner, _ in try scanner.skip(depth: depth + 1) }
    case UInt8(ascii: "["):
      place += 1
      guard !take("]") else { return }
      repeat { try skip(depth: depth + 1) } while take(",")
      guard take("]") else { throw refuse("',' or ']'") }
    case UInt8(ascii: "\""): _ = try string()
    case let byte? where byte == UInt8(ascii: "-") || isDigit(byte) || isLetter(byte):
      while place < text.count, isDigit(text[place]) || isLetter(text[place]) || "+-.".utf8.contains(text[place]) {
        place += 1
      }
    default: throw refuse("a value")
    }
  }

  private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }
}
