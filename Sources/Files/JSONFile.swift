import Foundation

/// JSON files, with errors that name the file and the field.
public enum JSONFile {
  /// Files that people or this program write are small; larger ones are refused before they are read.
  public static let sizeLimit = 64 << 20

  /// Reads a value; unknown fields are ignored.
  ///
  /// - Parameters:
  ///   - type: what is read.
  ///   - path: where the file is.
  ///   - limit: the largest file that is read, in bytes.
  public static func read<Value: Decodable>(
    _ type: Value.Type = Value.self, from path: String, limit: Int = sizeLimit
  ) throws -> Value {
    let data = try contents(of: path, limit: limit)
    do {
      return try decode(type, from: data)
    } catch {
      throw FileKind.mistake(path, beginning: data, expected: "JSON") ?? FileError("\(path): \(error)")
    }
  }

  /// The value of a text.
  ///
  /// - Throws: a `FileError` that names the field, not the text.
  public static func decode<Value: Decodable>(
    _ type: Value.Type = Value.self, from data: Data, dates: JSONDecoder.DateDecodingStrategy = .deferredToDate
  ) throws -> Value {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = dates
    do {
      return try decoder.decode(type, from: strict(data))
    } catch DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty && isJSON(data) {
      throw FileError(numberMisfit)
    } catch {
      throw FileError(describe(error))
    }
  }

  /// The text as all decoders read it alike: Foundation's takes the first of equal keys, where everywhere else the last
  /// counts, and knows no NaN, which becomes null. What is larger than settings are is left as it is.
  private static func strict(_ data: Data) -> Data {
    guard data.count <= 1 << 22, let value = try? JSONValue(parsing: data), !value.isStrict else { return data }
    return Data(value.strictJSON)
  }

  /// What is wrong where the decoder calls valid JSON corrupt: it does so for numbers, and does not say where they stand.
  static let numberMisfit = "a number does not fit its field (a fraction, a sign, or too large for a whole number)"

  /// Writes a value, readable and with sorted keys; the file appears whole or not at all.
  public static func write(_ value: some Encodable, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(try encoder.encode(value) + Data("\n".utf8), to: path)
  }

  /// What does not fit, in a few words: the field's path and what is wrong with it.
  public static func describe(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func place(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      let path = context.codingPath + (last.map { [$0] } ?? [])
      return path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context): return "field '\(place(context, key))' is missing"
    case .typeMismatch(let type, let context):
      return context.codingPath.isEmpty
        ? "it is no JSON object" : "field '\(place(context))' is not \(words(for: type))"
    case .valueNotFound(let type, let context): return "field '\(place(context))' is null, expected \(words(for: type))"
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      return "it is no valid JSON"
    case .dataCorrupted(let context):
      // A name that the standard library does not find among those of an enumeration.
      let name = context.debugDescription.wholeMatch(of: /Cannot initialize \w+ from invalid \w+ value (.*)/)
      let problem = name.map { " is '\($0.output.1)', which is none of its values" } ?? ": \(context.debugDescription)"
      return "field '\(place(context))'\(problem)"
    @unknown default: return "it is no valid JSON"
    }
  }

  /// What a field of a type holds.
  private static func words(for type: Any.Type) -> String {
    switch type {
    case is String.Type: "a text"
    case is Bool.Type: "true or false"
    case is any FixedWidthInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type: "a number"
    case is any ExpressibleByDictionaryLiteral.Type: "an object"
    case is any ExpressibleByArrayLiteral.Type: "a list"
    default: "what is expected there"
    }
  }

  private static func isJSON(_ data: Data) -> Bool { (try? JSONSerialization.jsonObject(with: data)) != nil }

  private static func contents(of path: String, limit: Int) throws -> Data {
    let data = try MappedFile.read(path)
    guard data.count <= limit else {
      throw FileError("\(path) has \(data.count) bytes, expected a JSON file of at most \(limit)")
    }
    return data.dropFirst(data.byteOrderMarkCount)
  }
}
