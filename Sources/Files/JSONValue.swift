/// A JSON text as it stands: objects keep their order and repeated keys, strings their bytes.
///
/// Foundation's decoders take two keys for one if they are canonically equivalent ("é" in one scalar and in two), keep
/// one of several equal keys without a word, and refuse text that is not UTF-8. A vocabulary needs all of it to be seen.
public enum JSONValue: Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number as the nearest float64.
  case number(Double)
  /// The bytes of a string, escapes resolved.
  case string([UInt8])
  /// The elements.
  case array([JSONValue])
  /// The members.
  case object([(key: [UInt8], value: JSONValue)])

  /// Reads one value that fills `bytes`, but for white space around it and a byte order mark before it.
  ///
  /// - Throws: a `JSONSyntaxError`, or `MemoryBudget.Exceeded` where the value would take far more memory than its text.
  public init(parsing bytes: UnsafeBufferPointer<UInt8>) throws {
    var scanner = JSONScanner(bytes, budget: MemoryBudget(fileSize: bytes.count, description: bytes.count))
    scanner.skipByteOrderMark()
    self = try JSONValue(from: &scanner)
    try scanner.end()
  }

  /// Reads one value, which all the bytes are.
  ///
  /// - Throws: ``JSONSyntaxError`` if they are not, ``MemoryBudget/Exceeded`` if it would take too much memory.
  public init(parsing bytes: some Sequence<UInt8>) throws {
    self = try Array(bytes).withUnsafeBufferPointer { try JSONValue(parsing: $0) }
  }

  private init(from scanner: inout JSONScanner) throws {
    // Three times: an array holds up to twice what is in it, and its old half while it grows.
    switch scanner.next() {
    case UInt8(ascii: "\""):
      let bytes = try scanner.string()
      try scanner.budget.take(JSONScanner.arrayCost + bytes.count)
      self = .string(bytes)
    case UInt8(ascii: "{"):
      var members: [(key: [UInt8], value: JSONValue)] = []
      try scanner.object { scanner, key in
        let stride = MemoryLayout<(key: [UInt8], value: JSONValue)>.stride
        try scanner.budget.take(3 * stride + JSONScanner.arrayCost + key.count)
        members.append((key, try JSONValue(from: &scanner)))
      }
      self = .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try scanner.array { scanner in
        try scanner.budget.take(3 * MemoryLayout<JSONValue>.stride)
        elements.append(try JSONValue(from: &scanner))
      }
      self = .array(elements)
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): self = try scanner.word().map(JSONValue.bool) ?? .null
    default: self = .number(try scanner.number())
    }
  }

  /// The value under a key of an object, the last one if there are several; nil where there is none or this is no object.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.key.elementsEqual(key.utf8) }?.value
  }

  /// A string's text. Bytes that are not UTF-8 become U+FFFD.
  public var text: String? {
    guard case .string(let bytes) = self else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The truth value; nil if it is something else.
  public var bool: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  /// A number without a fraction.
  public var integer: Int? {
    guard case .number(let value) = self else { return nil }
    return Int(exactly: value)
  }

  /// The elements of an array; nil if it is something else.
  public var elements: [JSONValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  /// What kind of value it is, for an error's text.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .number: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }

  /// Whether every reader takes the text for the same value: no key comes twice, and all numbers are finite.
  var isStrict: Bool {
    switch self {
    case .null, .bool, .string: true
    case .number(let value): value.isFinite
    case .array(let elements): elements.allSatisfy(\.isStrict)
    case .object(let members):
      Set(members.map(\.key)).count == members.count && members.allSatisfy(\.value.isStrict)
    }
  }

  /// The value as JSON that every reader takes: of equal keys the last one, and null for numbers that are not finite.
  public var strictJSON: [UInt8] {
    switch self {
    case .null: return Array("null".utf8)
    case .bool(let value): return Array("\(value)".utf8)
    case .number(let value):
      return Array((Int(exactly: value).map { "\($0)" } ?? (value.isFinite ? "\(value)" : "null")).utf8)
    case .string(let bytes): return Self.quoted(bytes)
    case .array(let elements):
      return [UInt8(ascii: "[")] + elements.map(\.strictJSON).joined(separator: [UInt8(ascii: ",")])
        + [UInt8(ascii: "]")]
    case .object(let members):
      let last = Dictionary(members.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { $1 })
      let kept = members.enumerated().filter { last[$1.key] == $0 }.map(\.element)
      return [UInt8(ascii: "{")]
        + kept.map { Self.quoted($0.key) + [UInt8(ascii: ":")] + $0.value.strictJSON }
        .joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "}")]
    }
  }

  /// `bytes` as a JSON string, in quotes. Only what must be escaped is.
  public static func quoted(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = [UInt8(ascii: "\"")]
    let digits = Array("0123456789abcdef".utf8)
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): result += [UInt8(ascii: "\\"), byte]
      case UInt8(ascii: "\n"): result += Array("\\n".utf8)
      case 0..<0x20: result += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: result.append(byte)
      }
    }
    return result + [UInt8(ascii: "\"")]
  }
}
