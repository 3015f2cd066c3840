import Files
import Foundation
import Tokenizers

/// A piece of a file that can be worked on for itself: whole records, or a part of one document.
struct TextChunk: Sendable {
  let path: String
  let reading: FileReading
  let bytes: [UInt8]
  /// The number of its first line in the file, from 1, and the place of its first byte, from 0, where it is not compressed.
  let line: Int
  let offset: Int
  /// Whether the last document ends with the chunk. Only where a file is one document may it go on in the next.
  let endsDocument: Bool
  /// The columns of a CSV file, from 0; empty for other formats.
  var columns: [Int] = []
}

/// Cuts the files of a source into chunks, in their order.
final class TextChunkReader: @unchecked Sendable {  // Used by one thread at a time.
  /// Chunks are about this large, unless a record is larger.
  static let chunkSize = 1 << 19
  /// A record must fit into memory.
  static let maximumRecordSize = 1 << 30

  private let source: CorpusSource
  private var files: ArraySlice<String>
  private let boundary: (UnsafeBufferPointer<UInt8>) -> Int?
  private var file: OpenFile?
  private var finishedBytes = 0

  private struct OpenFile {
    let stream: ByteStream
    let reading: FileReading
    /// What was read and not yet handed out.
    var rest: [UInt8]
    var offset: Int
    var line = 1
    var columns: [Int] = []
    /// Whether the last chunk did not end its document.
    var isInsideDocument = false
  }

  /// Bytes of the files that were read so far.
  var byteCount: Int { finishedBytes + (file?.stream.byteCount ?? 0) }

  /// - Parameter boundary: where a document that is a file can be cut; nil if it cannot.
  init(_ source: CorpusSource, boundary: @escaping (UnsafeBufferPointer<UInt8>) -> Int?) throws {
    self.source = source
    self.boundary = boundary
    files = try source.files()[...]
  }

  /// The next chunk; nil after the last.
  func next() throws -> TextChunk? {
    while true {
      if file == nil {
        guard let path = files.popFirst() else { return nil }
        file = try open(path)
      }
      if let chunk = try nextChunk() { return chunk }
      finishedBytes += file!.stream.byteCount
      file = nil
    }
  }

  private func open(_ path: String) throws -> OpenFile {
    let stream = try ByteStream(path)
    var head: [UInt8] = []
    try stream.read(Self.chunkSize, into: &head)
    let mark = source.takesAnyBytes == true ? 0 : head.byteOrderMarkCount
    let reading = try FileReading(stream.path, beginning: head[mark...], source)
    var file = OpenFile(stream: stream, reading: reading, rest: Array(head[mark...]), offset: mark)
    if case .csv(let names, let hasHeader) = reading.format { try takeHeader(of: &file, names, hasHeader) }
    return file
  }

  /// Takes the first row away, if it names the columns.
  private func takeHeader(of file: inout OpenFile, _ names: [String], _ hasHeader: Bool) throws {
    var titles: [String]?
    if hasHeader {
      let (end, fields) = file.rest.withUnsafeBufferPointer { text in
        let end = CSV.firstRowEnd(in: text, file.reading.lineEnd) ?? text.count
        var fields: [[UInt8]] = []
        CSV.forEachRow(in: UnsafeBufferPointer(rebasing: text[..<end]), line: 1, file.reading.lineEnd) {
          fields = $0.fields
        }
        return (end, fields)
      }
      titles = fields.map { String(decoding: $0, as: UTF8.self) }
      file.line += file.rest[..<end].count(of: file.reading.lineEnd)
      file.offset += end
      file.rest.removeSubrange(..<end)
    }
    file.columns = try CSV.columns(names, header: titles, path: file.stream.path)
  }

  /// The next chunk of the open file; nil after its last.
  private func nextChunk() throws -> TextChunk? {
    var wanted = Self.chunkSize
    while true {
      if file!.rest.count >= wanted {
        if let end = file!.rest.withUnsafeBufferPointer(cut), end > 0 { return try take(end, isLast: false) }
        // As much again as there is: the time stays linear however long a record is.
        wanted = 2 * file!.rest.count
      }
      guard wanted <= Self.maximumRecordSize else {
        throw FileError(
          "\(file!.stream.path): what begins in line \(file!.line) cannot be cut, expected records of at most "
            + "\(Self.maximumRecordSize / 2) bytes")
      }
      let count = file!.rest.count
      try file!.stream.read(wanted - count, into: &file!.rest)
      if file!.rest.count == count {
        guard count > 0 || file!.isInsideDocument else { return nil }
        return try take(count, isLast: true)
      }
    }
  }

  private func take(_ end: Int, isLast: Bool) throws -> TextChunk {
    let bytes = Array(file!.rest[..<end])
    // JSON has no zeros anyway: there each makes a bad line, which may be left out.
    var isJSON: Bool { if case .jsonLines = file!.reading.format { true } else { false } }
    if source.takesAnyBytes != true, let zero = bytes.withUnsafeBufferPointer(\.firstZero), !isJSON {
      throw FileReading.zeroByte(file!.stream.path, at: file!.offset + zero)
    }
    let endsDocument = isLast || file!.reading.format != .text(documents: .file)
    let chunk = TextChunk(
      path: file!.stream.path, reading: file!.reading, bytes: bytes, line: file!.line, offset: file!.offset,
      endsDocument: endsDocument, columns: file!.columns)
    file!.rest.removeSubrange(..<end)
    file!.line += bytes.count(of: file!.reading.lineEnd)
    file!.offset += end
    file!.isInsideDocument = !endsDocument
    return chunk
  }

  /// The last place at which `text` can be cut.
  private func cut(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    let reading = file!.reading
    switch reading.format {
    case .text(.file), .byFile:
      return source.detokenizer == nil ? boundary(text).map(text.characterBoundary) : nil
    case .text(.line), .text(.row), .jsonLines: return text.lastIndex(of: reading.lineEnd).map { $0 + 1 }
    case .csv: return CSV.lastRowEnd(in: text, reading.lineEnd)
    case .text(.separated(let separator)):
      let separator = Array(separator.utf8)
      guard text.count >= separator.count else { return nil }
      return (0...text.count - separator.count).last { start in
        text[start] == separator[0] && text[start...].starts(with: separator)
      }.map { $0 + separator.count }
    }
  }
}

extension TextChunk {
  /// Calls `body` with each document and the line that it begins in, by the rules of the source that the chunk is of.
  ///
  /// - Returns: how many bad lines were skipped.
  /// - Throws: `FileError` naming file and line of a bad record, unless those are skipped.
  func forEachDocument(
    by source: CorpusSource, _ body: (_ text: UnsafeBufferPointer<UInt8>, _ line: Int) throws -> Void
  ) throws -> Int {
    func document(_ text: UnsafeBufferPointer<UInt8>, _ line: Int) throws {
      guard let detokenizer = source.detokenizer else { return try body(text, line) }
      try detokenizer.apply(to: Array(text)).withUnsafeBufferPointer { try body($0, line) }
    }
    let lineEnd = reading.lineEnd
    return try bytes.withUnsafeBufferPointer { text in
      let invalid = source.takesAnyBytes == true ? nil : text.firstInvalidUTF8
      if let invalid, !source.skipsBadLines || reading.format == .text(documents: .file) {
        throw notUTF8(invalid, in: text)
      }
      var skipped = 0
      func isText(_ part: UnsafeBufferPointer<UInt8>) -> Bool {
        guard invalid != nil, part.firstInvalidUTF8 != nil else { return true }
        skipped += 1
        return false
      }
      switch reading.format {
      case .text(.file), .byFile: try document(text, line)
      case .text(.line):
        try forEachPart(of: text, [lineEnd], lineEnd, line) { part, line, _ in
          let part = part.last == UInt8(ascii: "\r") ? UnsafeBufferPointer(rebasing: part.dropLast()) : part
          if !part.isEmpty, isText(part) { try document(part, line) }
        }
      case .text(.row):
        try forEachPart(of: text, [lineEnd], lineEnd, line) { part, line, whole in
          let isBlank = part.allSatisfy(\.isWhiteSpace)
          guard !whole.isEmpty, isText(part) else { return }
          try document(isBlank ? UnsafeBufferPointer(rebasing: whole[..<0]) : whole, line)
        }
      case .text(.separated(let separator)):
        try forEachPart(of: text, Array(separator.utf8), lineEnd, line) { part, line, _ in
          if !part.isEmpty, isText(part) { try document(part, line) }
        }
      case .jsonLines(let field):
        try forEachPart(of: text, [lineEnd], lineEnd, line) { part, line, _ in
          guard !part.allSatisfy(\.isWhiteSpace), isText(part) else { return }
          let value: [UInt8]
          do {
            value = try self.value(of: field, in: part)
          } catch {
            guard source.skipsBadLines else { throw FileError("\(path): line \(line): \(error)") }
            skipped += 1
            return
          }
          try value.withUnsafeBufferPointer { try document($0, line) }
        }
      case .csv:
        try CSV.forEachRow(in: text, line: line, lineEnd) { row in
          guard row.fields.allSatisfy({ $0.withUnsafeBufferPointer(isText) }) else { return }
          if let problem = problem(of: row) {
            guard source.skipsBadLines else { throw FileError("\(path): line \(row.line): \(problem)") }
            skipped += 1
            return
          }
          let value = Array(columns.map { row.fields[$0] }.joined(separator: [UInt8(ascii: " ")]))
          try value.withUnsafeBufferPointer { try document($0, row.line) }
        }
      }
      return skipped
    }
  }

  private func notUTF8(_ place: Int, in text: UnsafeBufferPointer<UInt8>) -> FileError {
    let line = line + text[..<place].count(of: reading.lineEnd)
    let byte = String(text[place], radix: 16, uppercase: true)
    return FileError(
      "\(path): byte \(offset + place), in line \(line), is 0x\(byte); expected UTF-8 text")
  }

  /// Calls `body` with what stands between separators, its line, and the same with its separator.
  private func forEachPart(
    of text: UnsafeBufferPointer<UInt8>, _ separator: [UInt8], _ lineEnd: UInt8, _ firstLine: Int,
    _ body: (UnsafeBufferPointer<UInt8>, Int, UnsafeBufferPointer<UInt8>) throws -> Void
  ) rethrows {
    var (start, line) = (0, firstLine)
    while start < text.count {
      var end = start
      while let place = text[end...].firstIndex(of: separator[0]) {
        end = place
        if text[place...].starts(with: separator) { break }
        end += 1
      }
      let isLast = end >= text.count || !text[end...].starts(with: separator)
      if isLast { end = text.count }
      let next = isLast ? end : end + separator.count
      let whole = UnsafeBufferPointer(rebasing: text[start..<next])
      try body(UnsafeBufferPointer(rebasing: text[start..<end]), line, whole)
      line += whole.count(of: lineEnd)
      start = next
    }
  }

  private func value(of field: String, in line: UnsafeBufferPointer<UInt8>) throws -> [UInt8] {
    let json = try JSONValue(parsing: line)
    guard case .object = json else { throw FileError("it is \(json.kind), expected an object") }
    switch json[field] {
    case .string(let text)?: return text
    case .array(let parts)?:
      return Array(
        try parts.map { part in
          guard case .string(let text) = part else {
            throw FileError("field '\(field)' holds \(part.kind), expected strings")
          }
          return text
        }.joined(separator: [UInt8(ascii: "\n")]))
    case nil: throw FileError("field '\(field)' is missing, found \(keys(of: json)); name the text's by --field")
    case let other?: throw FileError("field '\(field)' is \(other.kind), expected a string")
    }
  }

  private func keys(of json: JSONValue) -> String {
    guard case .object(let members) = json, !members.isEmpty else { return "none" }
    let names = members.prefix(10).map { "'\(String(decoding: $0.key.prefix(40), as: UTF8.self))'" }
    return names.joined(separator: ", ") + (members.count > 10 ? " and others" : "")
  }

  private func problem(of row: CSV.Row) -> String? {
    if let problem = row.problem { return problem }
    guard let missing = columns.first(where: { !row.fields.indices.contains($0) }) else { return nil }
    return "it has \(row.fields.count) columns, expected column \(missing + 1)"
  }
}

extension UnsafeBufferPointer<UInt8> {
  fileprivate var firstZero: Int? {
    guard let start = baseAddress, let found = memchr(start, 0, count) else { return nil }
    return UnsafeRawPointer(start).distance(to: UnsafeRawPointer(found))
  }
}

extension Collection<UInt8> {
  func count(of byte: UInt8) -> Int { count { $0 == byte } }
}
