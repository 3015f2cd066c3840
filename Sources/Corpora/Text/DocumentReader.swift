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
    return try chunk.bytes.withUnsafeBufferPointer { text in
      switch source.format {
      case .text(.file):
        try document(text, chunk.line)
        return 0
      case .text(.line):
        try forEachPart(of: text, [UInt8(ascii: "\n")], chunk.line) { part, line, _ in
          let part = part.last == UInt8(ascii: "\r") ? UnsafeBufferPointer(rebasing: part.dropLast()) : part
          if !part.isEmpty { try document(part, line) }
        }
        return 0
      case .text(.row):
        try forEachPart(of: text, [UInt8(ascii: "\n")], chunk.line) { part, line, whole in
          let isBlank = part.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
          if !whole.isEmpty { try document(isBlank ? UnsafeBufferPointer(rebasing: whole[..<0]) : whole, line) }
        }
        return 0
      case .text(.separated(let separator)):
        try forEachPart(of: text, Array(separator.utf8), chunk.line) { part, line, _ in
          if !part.isEmpty { try document(part, line) }
        }
        return 0
      case .jsonLines(let field): return try jsonLines(text, field, chunk, document)
      case .csv: return try rows(text, chunk, document)
      }
    }
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
    of text: UnsafeBufferPointer<UInt8>, _ separator: [UInt8], _ firstLine: Int,
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
      line += whole.lineEnds
      start = next
    }
  }

  private func jsonLines(
    _ text: UnsafeBufferPointer<UInt8>, _ field: String, _ chunk: TextChunk,
    _ body: (UnsafeBufferPointer<UInt8>, Int) throws -> Void
  ) throws -> Int {
    var skipped = 0
    try forEachPart(of: text, [UInt8(ascii: "\n")], chunk.line) { part, line, _ in
      guard !part.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) else { return }
      let value: [UInt8]
      do {
        value = try self.value(of: field, in: part)
      } catch {
        guard source.skipsBadLines else { throw FileError("\(chunk.path): line \(line): \(error)") }
        skipped += 1
        return
      }
      try value.withUnsafeBufferPointer { try body($0, line) }
    }
    return skipped
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
    case nil: throw FileError("field '\(field)' is missing")
    case let other?: throw FileError("field '\(field)' is \(other.kind), expected a string")
    }
  }

  private func rows(
    _ text: UnsafeBufferPointer<UInt8>, _ chunk: TextChunk, _ body: (UnsafeBufferPointer<UInt8>, Int) throws -> Void
  ) throws -> Int {
    var skipped = 0
    try CSV.forEachRow(in: text, line: chunk.line) { row in
      var problem = row.problem
      if let missing = chunk.columns.first(where: { !row.fields.indices.contains($0) }), problem == nil {
        problem = "it has \(row.fields.count) columns, expected column \(missing + 1)"
      }
      if let problem {
        guard source.skipsBadLines else { throw FileError("\(chunk.path): line \(row.line): \(problem)") }
        skipped += 1
        return
      }
      let value = Array(chunk.columns.map { row.fields[$0] }.joined(separator: [UInt8(ascii: " ")]))
      try value.withUnsafeBufferPointer { try body($0, row.line) }
    }
    return skipped
  }
}
