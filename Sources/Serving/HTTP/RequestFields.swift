import Files

/// The fields of a request's body. Whatever is wrong with one is an error that names it, what was found and what was
/// expected; null is as if it were not there.
struct RequestFields: Sendable {
  let body: JSONValue

  /// - Throws: ``APIError`` if the bytes are no JSON object.
  init(_ bytes: some Sequence<UInt8>) throws {
    let value: JSONValue
    do { value = try JSONValue(parsing: bytes) } catch { throw APIError(error) }
    try self.init(value)
  }

  init(_ value: JSONValue) throws {
    guard case .object = value else {
      throw APIError(.badRequest, "the body is \(value.kind), expected a JSON object")
    }
    body = value
  }

  func value(_ name: String) -> JSONValue? {
    guard let value = body[name] else { return nil }
    if case .null = value { return nil }
    return value
  }

  func text(_ name: String) throws -> String? {
    guard let value = value(name) else { return nil }
    return try Self.text(value, name)
  }

  static func text(_ value: JSONValue, _ name: String) throws -> String {
    guard case .string(let bytes) = value else { throw APIError.field(name, value.found, expected: "a string") }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw APIError.field(name, "no valid UTF-8", expected: "text in UTF-8")
    }
    return text
  }

  func bool(_ name: String) throws -> Bool? {
    guard let value = value(name) else { return nil }
    guard let bool = value.bool else { throw APIError.field(name, value.found, expected: "true or false") }
    return bool
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let value = value(name) else { return nil }
    guard let number = value.integer, range.contains(number) else {
      throw APIError.field(
        name, value.found, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func number(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
    guard let value = value(name) else { return nil }
    guard case .number(let number) = value, range.contains(number) else {
      throw APIError.field(name, value.found, expected: "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// A whole number that JSON carries exactly; negative ones count from the largest down.
  func seed(_ name: String = "seed") throws -> UInt64? {
    let most = 1 << 53
    return try integer(name, in: -most...most).map { UInt64(bitPattern: Int64($0)) }
  }

  /// A string, or a list of strings.
  func texts(_ name: String, atMost count: Int) throws -> [String]? {
    guard let value = value(name) else { return nil }
    guard let elements = value.elements else { return [try Self.text(value, name)] }
    guard elements.count <= count else {
      throw APIError.field(name, "a list of \(elements.count)", expected: "at most \(count)")
    }
    return try elements.enumerated().map { try Self.text($1, "\(name)[\($0)]") }
  }

  /// Texts that end what is written.
  func stops(atMost count: Int) throws -> [String] {
    let stops = try texts("stop", atMost: count) ?? []
    for stop in stops where stop.utf8.count > 1024 {
      throw APIError.field("stop", "a text of \(stop.utf8.count) bytes", expected: "at most 1024")
    }
    return stops
  }

  func object(_ name: String) throws -> RequestFields? {
    guard let value = value(name) else { return nil }
    guard case .object = value else { throw APIError.field(name, value.found, expected: "an object") }
    return try RequestFields(value)
  }

  /// One of some names.
  func choice<Value: RawRepresentable & CaseIterable>(_ name: String, _ type: Value.Type = Value.self) throws -> Value?
  where Value.RawValue == String {
    guard let text = try text(name) else { return nil }
    guard let value = Value(rawValue: text) else {
      throw APIError.field(
        name, text.quotedShort, expected: Value.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", "))
    }
    return value
  }

  /// What asks for nothing in a field that would change texts.
  private enum Neutral {
    case numbers(ClosedRange<Double>)
    /// An empty text, list or object.
    case empty
    case emptyText

    func holds(_ value: JSONValue) -> Bool {
      switch (value, self) {
      case (.number(let number), .numbers(let range)): range.contains(number)
      case (.array(let elements), .empty): elements.isEmpty
      case (.object(let members), .empty): members.isEmpty
      case (.string(let bytes), .empty), (.string(let bytes), .emptyText): bytes.isEmpty
      default: false
      }
    }

    var words: String {
      guard case .numbers(let range) = self else { return "none" }
      return range.lowerBound == -.infinity
        ? "at most \(Int(range.upperBound))"
        : range.upperBound == .infinity ? "at least \(Int(range.lowerBound))" : "\(Int(range.lowerBound))"
    }
  }

  private static let unmet: [(name: String, neutral: Neutral)] = [
    ("presence_penalty", .numbers(0...0)), ("frequency_penalty", .numbers(0...0)),
    ("repeat_penalty", .numbers(1...1)), ("repetition_penalty", .numbers(1...1)), ("min_tokens", .numbers(0...0)),
    ("min_p", .numbers(0...0)), ("logit_bias", .empty), ("grammar", .empty),
    // Of llama.cpp's server and Ollama. An empty schema still asks for JSON.
    ("typical_p", .numbers(1 ... .infinity)), ("tfs_z", .numbers(1 ... .infinity)),
    ("top_n_sigma", .numbers(-.infinity...0)), ("xtc_probability", .numbers(-.infinity...0)),
    ("dynatemp_range", .numbers(-.infinity...0)), ("dry_multiplier", .numbers(0...0)), ("mirostat", .numbers(0...0)),
    ("json_schema", .emptyText), ("format", .emptyText),
  ]

  /// Refuses what other servers do and this one does not, where it would change how texts are distributed.
  func refuseUnmet() throws {
    for (name, _) in Self.unmet { try refuseUnmet(name) }
  }

  /// The same of one such field.
  func refuseUnmet(_ name: String) throws {
    guard let value = value(name), let field = Self.unmet.first(where: { $0.name == name }),
      !field.neutral.holds(value)
    else { return }
    throw APIError.field(
      name, value.found,
      expected: "\(field.neutral.words): texts are exactly distributed as the model says, which this would change")
  }

  /// Refuses fields that nobody here reads, such as misspelt ones.
  func refuseUnknown(beside names: [String]) throws {
    guard case .object(let members) = body else { return }
    let known = Set((names + Self.unmet.map(\.name)).map { Array($0.utf8) })
    for member in members where !known.contains(member.key) {
      if case .null = member.value { continue }
      let name = String(decoding: member.key.prefix(80), as: UTF8.self)
      throw APIError(
        .badRequest,
        "\(name.quotedShort) is no field of this request, expected \(names.sorted().joined(separator: ", "))",
        parameter: name)
    }
  }

  /// Token ids.
  static func tokens(_ elements: [JSONValue], _ name: String, vocabulary: Int) throws -> [Int32] {
    try elements.enumerated().map { place, value in
      guard let id = value.integer, (0..<vocabulary).contains(id) else {
        throw APIError.field(
          "\(name)[\(place)]", value.found, expected: "a token id from 0 to \(vocabulary - 1)")
      }
      return Int32(id)
    }
  }
}

extension JSONValue {
  /// What it is, for an error's text: short values themselves, of others the kind.
  var found: String {
    switch self {
    case .number(let number): Int(exactly: number).map { "\($0)" } ?? "\(number)"
    case .string(let bytes): String(decoding: bytes.prefix(80), as: UTF8.self).quotedShort
    case .bool(let value): "\(value)"
    case .null, .array, .object: kind
    }
  }
}

extension String {
  /// The text in quotes, cut where it is long.
  var quotedShort: String { count > 40 ? "'\(prefix(40))…'" : "'\(self)'" }
}
