import Files
import Tokenizers

/// Takes the documents out of chunks, by the rules of a source.
struct DocumentReader {
  let source: CorpusSource

  /// Calls `body` with each document of a chunk and the line that it begins in.
  ///
  /// - Returns: how many bad lines were skipped.
  /// - Throws: `FileError` naming file and line of a bad record, unless those are skipped.
  func forEachDocument(
    of chunk: TextChunk, _ body: (_ text: UnsafeBufferPointer<UInt8>, _ line: Int) throws -> Void
  ) throws -> Int {
    func document(_ text: UnsafeBufferPointer<UInt8>, _ line: Int) throws {
      guard let detokenizer = source.detokenizer else { return try body(text, line) }
      try detokenizer.apply(to: Array(text)).withUnsafeBufferPointer { try body($0, line) }
    }
    let lineEnd = chunk.reading.lineEnd
    return try chunk.bytes.withUnsafeBufferPointer { text in
      let invalid = source.takesAnyBytes == true ? nil : text.firstInvalidUTF8
      if let invalid, !source.skipsBadLines || chunk.reading.format == .text(documents: .file) {
        throw notUTF8(invalid, in: text, chunk)
      }
      var skipped = 0
      func isText(_ part: UnsafeBufferPointer<UInt8>) -> Bool {
        guard invalid != nil, part.firstInvalidUTF8 != nil else { return true }
        skipped += 1
        return false
      }
      switch chunk.reading.format {
      case .text(.file), .byFile: try document(text, chunk.line)
      case .text(.line):
        try forEachPart(of: text, [lineEnd], lineEnd, chunk.line) { part, line, _ in
          let part = part.last == UInt8(ascii: "\r") ? UnsafeBufferPointer(rebasing: part.dropLast()) : part
          if !part.isEmpty, isText(part) { try document(part, line) }
        }
      case .text(.row):
        try forEachPart(of: text, [lineEnd], lineEnd, chunk.line) { part, line, whole in
          let isBlank = part.allSatisfy(\.isWhiteSpace)
          guard !whole.isEmpty, isText(part) else { return }
          try document(isBlank ? UnsafeBufferPointer(rebasing: whole[..<0]) : whole, line)
        }
      case .text(.separated(let separator)):
        try forEachPart(of: text, Array(separator.utf8), lineEnd, chunk.line) { part, line, _ in
          if !part.isEmpty, isText(part) { try document(part, line) }
        }
      case .jsonLines(let field):
        try forEachPart(of: text, [lineEnd], lineEnd, chunk.line) { part, line, _ in
          guard !part.allSatisfy(\.isWhiteSpace), isText(part) else { return }
          let value: [UInt8]
          do {
            value = try self.value(of: field, in: part)
          } catch {
            guard source.skipsBadLines else { throw FileError("\(chunk.path): line \(line): \(error)") }
            skipped += 1
            return
          }
          try value.withUnsafeBufferPointer { try document($0, line) }
        }
      case .csv:
        try CSV.forEachRow(in: text, line: chunk.line, lineEnd) { row in
          guard row.fields.allSatisfy({ $0.withUnsafeBufferPointer(isText) }) else { return }
          if let problem = problem(of: row, chunk) {
            guard source.skipsBadLines else { throw FileError("\(chunk.path): line \(row.line): \(problem)") }
            skipped += 1
            return
          }
          let value = Array(chunk.columns.map { row.fields[$0] }.joined(separator: [UInt8(ascii: " ")]))
          try value.withUnsafeBufferPointer { try document($0, row.line) }
        }
      }
      return skipped
    }
  }

  private func notUTF8(_ place: Int, in text: UnsafeBufferPointer<UInt8>, _ chunk: TextChunk) -> FileError {
    let line = chunk.line + text[..<place].count(of: chunk.reading.lineEnd)
    let byte = String(text[place], radix: 16, uppercase: true)
    return FileError(
      "\(chunk.path): byte \(chunk.offset + place), in line \(line), is 0x\(byte); expected UTF-8 text")
  }

  /// Calls `body` with all text of the source, in pieces of which each is a document or a part of one.
  ///
  /// - Parameters:
  ///   - encoder: says where a document can be cut.
  ///   - progress: called with the number of bytes read.
  /// - Returns: how many bad lines were skipped.
  func forEachText(
    cutBy encoder: any TextEncoder, progress: (Int) throws -> Void, _ body: (UnsafeBufferPointer<UInt8>) throws -> Void
  ) throws -> Int {
    let reader = try TextChunkReader(source, boundary: encoder.lastBoundary)
    var skipped = 0
    while let chunk = try reader.next() {
      skipped += try forEachDocument(of: chunk) { text, _ in try body(text) }
      try progress(reader.byteCount)
    }
    return skipped
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

  private func problem(of row: CSV.Row, _ chunk: TextChunk) -> String? {
    if let problem = row.problem { return problem }
    guard let missing = chunk.columns.first(where: { !row.fields.indices.contains($0) }) else { return nil }
    return "it has \(row.fields.count) columns, expected column \(missing + 1)"
  }
}

extension CorpusSource {
  /// The first documents, at most so many, as text.
  ///
  /// - Throws: `FileError` as making a token file of the source does.
  public func documents(first maximumCount: Int) throws -> [String] {
    let reader = try TextChunkReader(self) { _ in nil }
    var documents: [String] = []
    while documents.count < maximumCount, let chunk = try reader.next() {
      _ = try DocumentReader(source: self).forEachDocument(of: chunk) { text, _ in
        if documents.count < maximumCount { documents.append(String(decoding: text, as: UTF8.self)) }
      }
    }
    return documents
  }

  /// Whether the source is text to be cut, not records: a single file that is read as one document.
  public func isWholeText() throws -> Bool {
    let files = try files()
    guard files.count == 1, Folder.isRegularFile(files[0]) else { return false }
    let chunk = try TextChunkReader(self) { $0.count }.next()
    return chunk?.reading.format == .text(documents: .file)
  }
}
