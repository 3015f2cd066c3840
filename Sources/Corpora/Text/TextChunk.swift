import Tokenizers

/// A piece of a file that can be worked on for itself: whole records, or a part of one document.
struct TextChunk: Sendable {
  let path: String
  let bytes: [UInt8]
  /// The number of its first line in the file, from 1.
  let line: Int
  /// Whether the last document ends with the chunk. Only where a file is one document may it go on in the next.
  let endsDocument: Bool
  /// The columns of a CSV file, from 0; empty for other formats.
  var columns: [Int] = []
}

/// Cuts the files of a source into chunks, in their order.
final class TextChunkReader: @unchecked Sendable {  // Used by one thread at a time.
  /// Chunks are about this large, unless a record is larger.
  static let chunkSize = 1 << 20

  private let source: CorpusSource
  private var files: ArraySlice<String>
  private let boundary: (UnsafeBufferPointer<UInt8>) -> Int?
  private var stream: ByteStream?
  private var rest: [UInt8] = []
  private var line = 1
  private var columns: [Int]?
  /// Whether the last chunk did not end its document.
  private var isInsideDocument = false
  private var finishedBytes = 0

  /// Bytes of the files that were read so far.
  var byteCount: Int { finishedBytes + (stream?.byteCount ?? 0) }

  /// - Parameter boundary: where a document that is a file can be cut; nil if it cannot.
  init(_ source: CorpusSource, boundary: @escaping (UnsafeBufferPointer<UInt8>) -> Int?) throws {
    self.source = source
    self.boundary = boundary
    files = try source.files()[...]
  }

  /// The next chunk; nil after the last.
  func next() throws -> TextChunk? {
    while true {
      if stream == nil {
        guard let path = files.popFirst() else { return nil }
        stream = try ByteStream(path)
        (rest, line, columns) = ([], 1, nil)
      }
      if let chunk = try chunk(of: stream!) { return chunk }
      finishedBytes += stream!.byteCount
      stream = nil
    }
  }

  /// The next chunk of a file; nil after its last.
  private func chunk(of stream: ByteStream) throws -> TextChunk? {
    while true {
      let count = rest.count
      // As much again as there is: the time stays linear however long a record is.
      try stream.read(max(Self.chunkSize, count), into: &rest)
      if rest.count == count {  // the end
        guard count > 0 || isInsideDocument else { return nil }
        defer { rest = [] }
        return try take(rest, of: stream, endsDocument: true)
      }
      if let end = rest.withUnsafeBufferPointer(cut), end > 0 {
        let chunk = Array(rest[..<end])
        rest.removeSubrange(..<end)
        return try take(chunk, of: stream, endsDocument: source.format != .text(documents: .file))
      }
    }
  }

  private func take(_ bytes: [UInt8], of stream: ByteStream, endsDocument: Bool) throws -> TextChunk {
    var chunk = TextChunk(path: stream.path, bytes: bytes, line: line, endsDocument: endsDocument)
    if case .csv(let names, let hasHeader) = source.format {
      if columns == nil { columns = try CSV.columns(names, header: hasHeader ? chunk : nil) }
      chunk.columns = columns!
      if hasHeader, line == 1 {
        let end = bytes.withUnsafeBufferPointer { CSV.firstRowEnd(in: $0) } ?? bytes.count
        chunk = TextChunk(
          path: chunk.path, bytes: Array(bytes[end...]), line: 1 + bytes[..<end].lineEnds, endsDocument: true,
          columns: columns!)
      }
    }
    line += bytes.lineEnds
    isInsideDocument = !endsDocument
    return chunk
  }

  /// The last place at which `text` can be cut.
  private func cut(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    switch source.format {
    case .text(.file): return source.detokenizer == nil ? boundary(text) : nil
    case .text(.line), .text(.row), .jsonLines: return text.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 }
    case .csv: return CSV.lastRowEnd(in: text)
    case .text(.separated(let separator)):
      let separator = Array(separator.utf8)
      guard text.count >= separator.count else { return nil }
      return (0...text.count - separator.count).last { start in
        text[start] == separator[0] && text[start...].starts(with: separator)
      }.map { $0 + separator.count }
    }
  }
}

extension Collection<UInt8> {
  /// The number of line ends.
  var lineEnds: Int { count { $0 == UInt8(ascii: "\n") } }
}
