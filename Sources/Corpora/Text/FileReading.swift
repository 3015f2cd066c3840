import Files
import Tokenizers

/// How one file is read: told by what its name says, by how it begins, and by what the source leaves open.
///
/// This is the one place that decides what is text. All that reads text reads it through `TextChunkReader`, which asks
/// here when it opens a file.
struct FileReading: Sendable {
  /// Any but `byFile`.
  let format: CorpusSource.Format
  /// The byte that ends a line; a carriage return before a line feed belongs to the line's end.
  let lineEnd: UInt8

  /// How much of a file's beginning must be text. Real text has no zero in it; numbers, and text in UTF-16, soon do.
  private static let sampleSize = 8192

  /// - Parameters:
  ///   - head: the file's first bytes, decompressed, without a byte order mark: all of it, or enough to hold a line.
  /// - Throws: `FileError` that says what the file is, if it is nothing to read text from.
  init(_ path: String, beginning head: ArraySlice<UInt8>, _ source: CorpusSource) throws {
    lineEnd = head.lineEnd
    guard source.takesAnyBytes != true else {
      format = if case .byFile(let documents) = source.format { .text(documents: documents) } else { source.format }
      return
    }
    let sample = head.prefix(Self.sampleSize)
    let zero = sample.firstIndex(of: 0).map { $0 - head.startIndex }
    let isText =
      zero == nil
      && sample.withUnsafeBufferPointer { text in
        text.firstInvalidUTF8.map { text.count < Self.sampleSize ? false : $0 > text.count - 4 } ?? true
      }
    func refused(_ what: String) -> FileError { FileError("\(path): it is \(what)") }
    let expected = "expected UTF-8 text, JSON lines or CSV, each also in gzip"
    guard !head.starts(with: TokenFile.magic) else {
      throw refused("a token file, which stands alone as --data of train and eval, \(expected)")
    }
    let kind = FileKind(beginning: head)
    switch kind {
    case .gitLFSPointer?: throw refused("\(FileKind.gitLFSPointer.name); fetch that by git lfs pull")
    // Some begin with letters, with which a text may begin too.
    case .pdf?: throw refused("\(FileKind.pdf.name), \(expected)")
    case let kind? where !isText: throw refused("\(kind.name), \(expected)")
    default: break
    }
    format = try Self.format(of: path, head, lineEnd, source.format)
    guard case .text = format else {
      guard kind != .html else { throw refused("an HTML page, \(expected)") }
      return
    }
    if let zero { throw Self.zeroByte(path, at: zero) }
  }

  /// Text has no zero in it. A download that broke off, or a file with room kept for it, has many at its end.
  static func zeroByte(_ path: String, at offset: Int) -> FileError {
    FileError(
      "\(path): it is no text: byte \(offset) is 0x00, as in numbers or UTF-16, or in a file of which a part was never "
        + "written, expected UTF-8 text, JSON lines or CSV, each also in gzip; --format text with --tokenizer bytes takes "
        + "bytes as they are")
  }

  private static func format(
    of path: String, _ head: ArraySlice<UInt8>, _ lineEnd: UInt8, _ format: CorpusSource.Format
  ) throws -> CorpusSource.Format {
    guard case .byFile(let documents) = format else { return format }
    let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
    let parts = (name.hasSuffix(".gz") ? String(name.dropLast(3)) : name).split(separator: ".").dropFirst()
    let lines = CorpusSource.Format.jsonLines(field: "text")
    switch parts.last {
    case "jsonl", "ndjson", "jsonlines", "jl": return lines
    case "csv":
      throw FileError("\(path): it is CSV; name by --columns which columns are the text, numbers from 1 or names")
    case "json":
      guard beginsWithObject(head, lineEnd) || head.allSatisfy(\.isWhiteSpace) else {
        throw FileError(
          "\(path): its first line is no JSON object, expected one on each line; --format text takes it as it stands")
      }
      return lines
    case "tsv":
      throw FileError(
        "\(path): it is tab-separated values, expected UTF-8 text, JSON lines or CSV; --format text takes it as it stands"
      )
    // A name that says nothing: of standard input, and of parts of a data set.
    case nil where beginsWithObject(head, lineEnd): return lines
    case nil where beginsAsJSON(head):
      throw FileError(
        "\(path): it begins as JSON, but its first line is no object, expected an object on each line, or text; "
          + "--format text takes it as it stands")
    case nil: return .text(documents: documents)
    // Name and contents say different things: which of them is meant, nobody but the user knows.
    case let ending?:
      guard !beginsWithObject(head, lineEnd) else {
        throw FileError(
          "\(path): its name ends in '.\(ending)', but its first line is a JSON object; --format jsonl reads a field of "
            + "each line, --format text takes it as it stands")
      }
      guard !beginsAsJSON(head) else {
        throw FileError(
          "\(path): its name ends in '.\(ending)', but it begins as JSON, expected text, or an object on each line of a "
            + "file named .jsonl; --format text takes it as it stands")
      }
      return .text(documents: documents)
    }
  }

  /// Whether a text begins with an object's first key, be it the first of a list or spread over lines.
  private static func beginsAsJSON(_ head: ArraySlice<UInt8>) -> Bool {
    var rest = head.drop(while: \.isWhiteSpace)
    if rest.first == UInt8(ascii: "[") { rest = rest.dropFirst().drop(while: \.isWhiteSpace) }
    guard rest.first == UInt8(ascii: "{") else { return false }
    rest = rest.dropFirst().drop(while: \.isWhiteSpace)
    guard rest.first == UInt8(ascii: "\"") else { return false }
    let key = rest.dropFirst().prefix { $0 != UInt8(ascii: "\"") && $0 >= 0x20 }
    rest = rest.dropFirst(1 + key.count)
    return rest.first == UInt8(ascii: "\"")
      && rest.dropFirst().drop(while: \.isWhiteSpace).first == UInt8(ascii: ":")
  }

  private static func beginsWithObject(_ head: ArraySlice<UInt8>, _ lineEnd: UInt8) -> Bool {
    let text = head.drop(while: \.isWhiteSpace)
    guard text.first == UInt8(ascii: "{") else { return false }
    let line = text.prefix { $0 != lineEnd }
    // A line that goes on behind the head is not judged by more than how it begins.
    guard line.endIndex < text.endIndex || head.count < TextChunkReader.chunkSize else {
      return text.dropFirst().first { !$0.isWhiteSpace } == UInt8(ascii: "\"")
    }
    guard case .object(let members)? = try? JSONValue(parsing: line) else { return false }
    return !members.isEmpty
  }
}

extension UInt8 {
  var isWhiteSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}

extension UnsafeBufferPointer<UInt8> {
  /// Where the first sequence begins that is not UTF-8; nil if there is none.
  var firstInvalidUTF8: Int? {
    var place = 0
    while place < count {
      // Eight bytes at a time as long as all are ASCII.
      while count - place >= 8,
        UnsafeRawPointer(baseAddress! + place).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0
      { place += 8 }
      guard place < count else { return nil }
      guard self[place] >= 0x80 else {
        place += 1
        continue
      }
      let (scalar, end) = UTF8Scalars.scalar(at: place, in: self)
      guard scalar != nil else { return place }
      place = end
    }
    return nil
  }

  /// The last place, at most `end`, that does not lie within a character.
  func characterBoundary(before end: Int) -> Int {
    for start in stride(from: end - 1, through: Swift.max(0, end - 3), by: -1) where self[start] & 0xC0 != 0x80 {
      let length = self[start] >= 0xF0 ? 4 : self[start] >= 0xE0 ? 3 : self[start] >= 0xC0 ? 2 : 1
      return start + length > end ? start : end
    }
    return end
  }
}
