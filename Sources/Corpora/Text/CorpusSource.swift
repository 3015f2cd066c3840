import Files
import Foundation

/// Where text comes from and what in it is a document.
public struct CorpusSource: Codable, Hashable, Sendable {
  /// What files hold. Any of them may be compressed with gzip.
  public enum Format: Codable, Hashable, Sendable {
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

  /// Files and folders; `-` is standard input. Of a folder all files are read, in the order of their names.
  public var paths: [String]
  public var format: Format
  public var detokenizer: Detokenizer?
  /// Whether lines that are no valid record are left out and counted, instead of being an error.
  public var skipsBadLines: Bool

  public init(
    paths: [String], format: Format = .text(documents: .file), detokenizer: Detokenizer? = nil,
    skipsBadLines: Bool = false
  ) {
    self.paths = paths
    self.format = format
    self.detokenizer = detokenizer
    self.skipsBadLines = skipsBadLines
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
      let found = (FileManager.default.subpaths(atPath: path) ?? []).filter { name in
        !name.split(separator: "/").contains { $0.hasPrefix(".") } && Folder.isRegularFile("\(path)/\(name)")
      }
      guard !found.isEmpty else { throw FileError("\(path): the folder holds no files") }
      return found.sorted().map { "\(path)/\($0)" }
    }
    guard !files.isEmpty else { throw FileError("no file is named to read text from") }
    return files
  }

  /// Whether the text can be read more than once, as that of standard input and of pipes cannot.
  public var isRepeatable: Bool {
    get throws { try fingerprints() != nil }
  }

  /// What tells whether files changed: names, sizes, times of change and parts of their contents.
  struct Fingerprint: Codable, Hashable {
    var path: String
    var byteCount: Int
    var modified: Double
    var sample: UInt64
  }

  /// nil if the source cannot be read twice.
  func fingerprints() throws -> [Fingerprint]? {
    let files = try files()
    guard !files.contains(ByteStream.standardInput) else { return nil }
    let found = try files.map { path -> Fingerprint? in
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      guard let attributes, let handle = FileHandle(forReadingAtPath: path) else {
        throw FileError("cannot read \(path): it is no readable file")
      }
      // A pipe has no size, and reading from it would take away what it holds.
      guard Folder.isRegularFile(path) else { return nil }
      let size = (attributes[.size] as? NSNumber)?.intValue ?? 0
      let part = 1 << 16
      var hash = TokenHash()
      for offset in [0, max(0, size / 2 - part / 2), max(0, size - part)] {
        try? handle.seek(toOffset: UInt64(offset))
        (try? handle.read(upToCount: part))?.forEach { hash.combine(Int32($0)) }
      }
      return Fingerprint(
        path: URL(fileURLWithPath: path).standardizedFileURL.path, byteCount: size,
        modified: (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0, sample: hash.value)
    }
    return found.contains(nil) ? nil : found.compactMap(\.self)
  }
}

/// A text in one line that differs for different token sequences, barring accidents (FNV-1a over 32-bit words).
struct TokenHash: Hashable {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  @inline(__always)
  mutating func combine(_ token: Int32) {
    value = (value ^ UInt64(UInt32(bitPattern: token))) &* 0x100_0000_01b3
  }
}
