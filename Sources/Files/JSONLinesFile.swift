import Foundation

/// Files with a JSON value on each line, with errors that name the file and the line.
public enum JSONLinesFile {
  /// What was read.
  public struct Contents<Value> {
    /// The values, with the lines that they stand on, from 1.
    public let values: [(line: Int, value: Value)]
    /// Lines that were skipped because they are no such value.
    public let badLines: [Int]
  }

  /// Reads all values of a file, which may be compressed with gzip; blank lines and unknown fields are ignored.
  ///
  /// - Parameters:
  ///   - type: what is read.
  ///   - path: where the file is.
  ///   - skipBadLines: leave out lines that are no such value instead of stopping there.
  ///   - userInfo: what `Value` asks the decoder for.
  ///   - check: throws, with a few words, if a value that was read cannot be used.
  /// - Throws: a `FileError` naming the file, the line and the field.
  public static func read<Value: Decodable>(
    _ type: Value.Type = Value.self, from path: String, skipBadLines: Bool = false,
    userInfo: [CodingUserInfoKey: any Sendable] = [:], check: (Value) throws -> Void = { _ in }
  ) throws -> Contents<Value> {
    let bytes = try ByteStream.contents(of: path)
    if let kind = FileKind(beginning: bytes) {
      throw FileError("\(path): it is \(kind.name), expected a JSON object on each line")
    }
    let decoder = JSONDecoder()
    decoder.userInfo = userInfo
    var values: [(line: Int, value: Value)] = []
    var badLines: [Int] = []
    let lines = bytes.split(separator: bytes.lineEnd, omittingEmptySubsequences: false)
    for (index, bytes) in lines.enumerated() {
      guard bytes.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
      do {
        let json = Data(try JSONValue(parsing: bytes).strictJSON)
        let value: Value
        do {
          value = try decoder.decode(type, from: json)
        } catch DecodingError.dataCorrupted(let context) where context.codingPath.isEmpty {
          throw FileError(JSONFile.numberMisfit)
        }
        try check(value)
        values.append((index + 1, value))
      } catch {
        // The decoder has no words of its own for bytes that are no text.
        let problem = Self.notText(bytes) ?? JSONFile.describe(error)
        guard skipBadLines else { throw FileError("\(path), line \(index + 1): \(problem)") }
        badLines.append(index + 1)
      }
    }
    return Contents(values: values, badLines: badLines)
  }

  /// The first byte at which a line is no UTF-8; nil if there is none.
  private static func notText(_ line: some Collection<UInt8>) -> String? {
    guard String(validating: line, as: UTF8.self) == nil else { return nil }
    var text = UTF8.ForwardParser()
    var bytes = Array(line).makeIterator()
    var place = 0
    while case .valid(let scalar) = text.parseScalar(from: &bytes) { place += scalar.count }
    return
      "byte \(place + 1) of the line is 0x\(String(Array(line)[place], radix: 16, uppercase: true)); expected UTF-8 text"
  }
}
