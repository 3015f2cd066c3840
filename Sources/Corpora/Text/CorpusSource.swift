import Files
import Foundation

/// Where text comes from and what in it is a document.
public struct CorpusSource: Codable, Hashable, Sendable {
  /// What files hold. Any of them may be compressed with gzip.
  public enum Format: Codable, Hashable, Sendable {
    /// What each file's name and contents say: JSON lines with the field `text`, or text.
    case byFile(documents: Documents)
    /// Text.
    case text(documents: Documents)
    /// A JSON object a line, whose field is a document: a string, or a list of strings that are its lines.
    case jsonLines(field: String)
    /// Comma-separated values. A document is the text of some columns, one space between them; columns are given by
    /// their numbers from 1 on, or by the names in the first row, if that is a header.
    case csv(columns: [String], hasHeader: Bool)
  }

  /// What of a text is a document.
  public enum Documents: Codable, Hashable, Sendable {
    /// Each file.
    case file
    /// Each line that is not empty, without its end.
    case line
    /// Each line with its end, where a line of white space is an empty document: the rows of WikiText's releases.
    case row
    /// What stands between occurrences of a text, but for what is empty.
    case separated(by: String)
  }

  /// Files and folders; `-` is standard input. Of a folder all files but hidden ones are read, in the order of their
  /// names; links to folders are followed, and each real folder is read once for each path.
  public var paths: [String]
  /// What the files hold.
  public var format: Format
  /// What turns tokenised text into ordinary text; nil leaves text as it is.
  public var detokenizer: Detokenizer?
  /// Whether lines that are no valid record are left out and counted, instead of being an error.
  public var skipsBadLines: Bool
  /// Whether files are taken as they are, whatever bytes they hold. nil is no: what is not UTF-8 is an error, and a byte
  /// order mark at a file's beginning is no part of its text.
  public var takesAnyBytes: Bool?

  /// A source by its parts.
  public init(
    paths: [String], format: Format = .byFile(documents: .file), detokenizer: Detokenizer? = nil,
    skipsBadLines: Bool = false, takesAnyBytes: Bool? = nil
  ) {
    self.paths = paths
    self.format = format
    self.detokenizer = detokenizer
    self.skipsBadLines = skipsBadLines
    self.takesAnyBytes = takesAnyBytes
  }

  /// The paths, as errors and reports name the source.
  public var name: String {
    paths.prefix(3).map { $0 == ByteStream.standardInput ? "standard input" : $0 }.joined(separator: ", ")
      + (paths.count > 3 ? " and \(paths.count - 3) more" : "")
  }

  /// The files, in the order in which they are read.
  ///
  /// - Throws: `FileError` if there is none, or one is missing.
  public func files() throws -> [String] {
    let files = try paths.flatMap { path -> [String] in
      if path == ByteStream.standardInput { return [path] }
      guard FileManager.default.fileExists(atPath: path) else {
        throw FileError("cannot read \(path): there is no such file")
      }
      guard Folder.exists(path) else { return [path] }
      let found = try FolderListing(path).files
      guard !found.isEmpty else { throw FileError("\(path): the folder holds no files") }
      return found
    }
    guard !files.isEmpty else { throw FileError("no file is named to read text from") }
    return files
  }

  /// What the folders hold that is not read, with the reason: hidden files, links that lead in a circle or nowhere.
  public func passedOver() throws -> [(path: String, reason: String)] {
    try paths.filter { $0 != ByteStream.standardInput && Folder.exists($0) }.flatMap {
      try FolderListing($0).passedOver
    }
  }

  /// Whether the text can be read more than once, as that of standard input and of pipes cannot.
  public var isRepeatable: Bool {
    get throws { try regularFiles() != nil }
  }

  /// Bytes of all files as they are on the disk; nil where a source cannot be read twice.
  public func byteCount() throws -> Int? { try regularFiles()?.reduce(0) { $0 + Int($1.status.st_size) } }

  /// The files with what the system knows of them; nil if the source cannot be read twice.
  private func regularFiles() throws -> [(path: String, status: stat)]? {
    let files = try files()
    guard !files.contains(ByteStream.standardInput) else { return nil }
    let found = try files.map { path -> (path: String, status: stat)? in
      var status = stat()
      guard stat(path, &status) == 0 else { throw Self.unreadable(path) }
      // A pipe has no size. Opening it would wait for its writer, and closing it end what that writes.
      return status.st_mode & S_IFMT == S_IFREG ? (path, status) : nil
    }
    let regular = found.compactMap(\.self)
    return regular.count == found.count ? regular : nil
  }

  private static func unreadable(_ path: String) -> FileError {
    FileError("cannot read \(path): it is no readable file")
  }

  /// What tells whether files changed: names, sizes, times of change and parts of their contents.
  struct Fingerprint: Codable, Hashable {
    var path: String
    var byteCount: Int
    /// When the contents were last changed, and when anything was, which no program sets back; nanoseconds.
    var modified: Int
    var changed: Int
    /// SHA-256 of the beginning, the middle and the end.
    var sample: String
  }

  /// nil if the source cannot be read twice.
  func fingerprints() throws -> [Fingerprint]? {
    try regularFiles()?.map { path, status in
      guard let handle = FileHandle(forReadingAtPath: path) else { throw Self.unreadable(path) }
      let (size, part) = (Int(status.st_size), 1 << 16)
      let checksum = Checksum()
      for offset in Set([0, max(0, size / 2 - part / 2), max(0, size - part)]).sorted() {
        try? handle.seek(toOffset: UInt64(offset))
        if let bytes = try? handle.read(upToCount: part) { checksum.update(bytes) }
      }
      #if canImport(Darwin)
        let (modified, changed) = (status.st_mtimespec, status.st_ctimespec)
      #else
        let (modified, changed) = (status.st_mtim, status.st_ctim)
      #endif
      func nanoseconds(_ time: timespec) -> Int { Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec) }
      return Fingerprint(
        path: URL(fileURLWithPath: path).standardizedFileURL.path, byteCount: size, modified: nanoseconds(modified),
        changed: nanoseconds(changed), sample: checksum.finish())
    }
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
      _ = try chunk.forEachDocument(by: self) { text, _ in
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

/// 64 bits that differ for different tokens, barring accidents (FNV-1a over 32-bit words): what token files of version 1
/// and the runs made with them were told apart by.
struct TokenHash: Hashable {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  @inline(__always)
  mutating func combine(_ token: Int32) {
    value = (value ^ UInt64(UInt32(bitPattern: token))) &* 0x100_0000_01b3
  }
}
