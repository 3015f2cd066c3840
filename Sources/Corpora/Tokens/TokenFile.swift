import Faults
import Files
import Foundation
import Tokenizers

/// A corpus as tokens on the disk, mapped into memory: what is not read takes none.
///
///     offset 0    "ESOLMTOK", the format's version and the sizes of what follows, 32 bytes in all
///     offset 32   SHA-256 of the tokens and of where documents end
///     offset 64   the tokens of all documents, one after another, in as few bytes as the vocabulary needs: 1, 2 or 4
///     then        where each document ends, counted in tokens, 64 bits each
///     then        `TokenFileMetadata` as JSON: what the tokens were made of, and how
///
/// All numbers are little-endian. Opening a file reads it once: tokens that are not those that were written are found.
/// Version 1 is read too; there a token takes 4 bytes, and 64 bits of FNV-1a stand in place of SHA-256.
public final class TokenFile: Sendable {
  /// The file.
  public let path: String
  /// What it was made of, and how.
  public let metadata: TokenFileMetadata
  /// The number of tokens.
  public let count: Int
  /// How many documents it holds.
  public let documentCount: Int
  /// A text that differs for different tokens or documents: SHA-256.
  public let fingerprint: String

  private let data: Data
  private let width: TokenWidth

  static let magic = Array("ESOLMTOK".utf8)
  static let version: UInt32 = 2
  static let headerSize = 64

  /// Whether a file begins as token files do.
  public static func isTokenFile(_ path: String) -> Bool {
    guard Folder.isRegularFile(path), let handle = FileHandle(forReadingAtPath: path) else { return false }
    return (try? handle.read(upToCount: magic.count)).map(Array.init) == magic
  }

  /// Opens a token file and checks all of it.
  ///
  /// - Throws: `FileError` if there is none, or it is damaged.
  public convenience init(opening path: String) throws { try self.init(path, checkingContents: true) }

  /// - Parameter checkingContents: whether tokens and documents are checked, not only the header.
  init(_ path: String, checkingContents: Bool) throws {
    let data = try MappedFile.map(path)
    func damaged(_ problem: String) -> FileError { FileError("\(path) is no valid token file: \(problem)") }
    guard data.count >= Self.headerSize, data.prefix(Self.magic.count).elementsEqual(Self.magic) else {
      throw damaged("it does not begin with \(String(decoding: Self.magic, as: UTF8.self))")
    }
    func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type) -> Number {
      data.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
    let version = number(at: 8, UInt32.self)
    guard 1...Self.version ~= version else {
      throw damaged("its version is \(version), expected at most \(Self.version)")
    }
    let (metadataSize, tokens, documents, limit) = (
      number(at: 12, UInt32.self), number(at: 16, UInt64.self), number(at: 24, UInt64.self), UInt64(data.count)
    )
    guard metadataSize <= limit, tokens <= limit, documents <= limit else {
      throw damaged("it has \(data.count) bytes, which its header does not fit")
    }
    do {
      metadata = try JSONFile.decode(from: data.suffix(Int(metadataSize)))
    } catch {
      throw damaged("its metadata: \(error)")
    }
    guard (1...Int(Int32.max)).contains(metadata.vocabularySize) else {
      throw damaged("its vocabulary has \(metadata.vocabularySize) tokens")
    }
    width = version == 1 ? .four : TokenWidth(vocabularySize: metadata.vocabularySize)
    guard
      UInt64(Self.headerSize) + UInt64(width.rawValue) * tokens + 8 * documents + UInt64(metadataSize) == limit
    else { throw damaged("it has \(data.count) bytes, which its header does not fit") }
    (self.path, self.data, count, documentCount) = (path, data, Int(tokens), Int(documents))
    let stored = data.bytes(32..<Self.headerSize).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    guard checkingContents || version == 1 else {
      fingerprint = stored
      return
    }
    let size = width.rawValue * count
    let found = try Self.contents(of: path, tokens: size, ends: 8 * documentCount, width)
    fingerprint = found.fingerprint
    guard found.largest < UInt32(metadata.vocabularySize) || count == 0,
      version == 1 ? olderHash == number(at: 32, UInt64.self) : fingerprint == stored
    else { throw damaged("its tokens were changed") }
    var previous = 0
    for document in 0..<documentCount {
      let end = end(ofDocument: document)
      guard previous <= end, end <= count else { throw damaged("document \(document + 1) ends at token \(end)") }
      previous = end
    }
  }

  /// Reads tokens and documents once. They are not looked at where they are mapped: that would keep them in memory.
  private static func contents(
    of path: String, tokens: Int, ends: Int, _ width: TokenWidth
  ) throws -> (fingerprint: String, largest: UInt32) {
    guard let file = FileHandle(forReadingAtPath: path) else { throw FileError("cannot read \(path)") }
    try file.seek(toOffset: UInt64(headerSize))
    let checksum = Checksum()
    var largest: UInt32 = 0
    func read(_ size: Int, _ look: (UnsafeRawBufferPointer) -> Void) throws {
      var rest = size
      while rest > 0, let part = try file.read(upToCount: min(rest, 1 << 20)), !part.isEmpty {
        part.withUnsafeBytes(look)
        rest -= part.count
      }
    }
    try read(tokens) { bytes in
      checksum.update(bytes)
      largest = max(largest, width.largest(in: bytes))
    }
    try read(ends, checksum.update)
    return (checksum.finish(), largest)
  }

  /// What a run of an earlier version of this package knows the tokens by.
  var olderFingerprint: String { String(olderHash, radix: 16) }

  private var olderHash: UInt64 {
    var hash = TokenHash()
    for start in stride(from: 0, to: count, by: 1 << 18) {
      for token in tokens(start..<min(start + 1 << 18, count)) { hash.combine(token) }
    }
    return hash.value
  }

  /// Some tokens, copied.
  ///
  /// - Precondition: `range` lies within `0..<count`.
  public func tokens(_ range: Range<Int>) -> [Int32] {
    trap(unless: range.lowerBound >= 0 && range.upperBound <= count, "tokens \(range) of \(count)")
    return data.withUnsafeBytes { bytes in
      let start = Self.headerSize + width.rawValue * range.lowerBound
      return width.unpack(UnsafeRawBufferPointer(rebasing: bytes[start..<start + width.rawValue * range.count]))
    }
  }

  /// Where a document's tokens lie, `endOfText` among them if it was appended.
  public func document(_ index: Int) -> Range<Int> {
    (index == 0 ? 0 : end(ofDocument: index - 1))..<end(ofDocument: index)
  }

  /// Some documents, and some tokens: which of the two counts is the packing's to say.
  public struct Part: Sendable, Equatable {
    /// Which of the file's documents.
    public var documents: Range<Int>
    /// Which of the file's tokens.
    public var tokens: Range<Int>

    /// A part by its bounds.
    public init(documents: Range<Int>, tokens: Range<Int>) {
      self.documents = documents
      self.tokens = tokens
    }
  }

  /// All of it.
  public var whole: Part { Part(documents: 0..<documentCount, tokens: 0..<count) }

  private func end(ofDocument index: Int) -> Int {
    trap(unless: (0..<documentCount).contains(index), "document \(index) of \(documentCount)")
    let value = data.withUnsafeBytes { bytes in
      bytes.loadUnaligned(fromByteOffset: Self.headerSize + width.rawValue * count + 8 * index, as: UInt64.self)
    }
    return Int(exactly: UInt64(littleEndian: value)) ?? .max
  }
}

/// What a token file was made of, and how. A file whose metadata are not those that are wanted is made again.
public struct TokenFileMetadata: Codable, Hashable, Sendable {
  /// A text that differs for different tokenizers.
  public internal(set) var tokenizer: String
  /// The tokenizer's number of ids.
  public internal(set) var vocabularySize: Int
  /// The text that it was made of.
  public internal(set) var source: CorpusSource
  /// Whether `endOfText` follows every document.
  public internal(set) var appendsEndOfText: Bool
  /// What the source's files were; nil if it cannot be read twice, and in files of version 1.
  var inputs: [CorpusSource.Fingerprint]?
  /// How many bad lines were left out.
  public internal(set) var skippedLines = 0

  init(tokenizer: any Tokenizer, source: CorpusSource, appendsEndOfText: Bool) throws {
    self.tokenizer = try Self.fingerprint(of: tokenizer)
    vocabularySize = tokenizer.vocabularySize
    self.source = source
    self.appendsEndOfText = appendsEndOfText
    inputs = try source.fingerprints()
  }

  /// A text that differs for different tokenizers: SHA-256 of their file.
  public static func fingerprint(of tokenizer: any Tokenizer) throws -> String {
    FileDigest.sha256(of: try TokenizerFile.data(for: tokenizer))
  }

  /// Whether the tokens are a tokenizer's.
  func isOf(_ other: any Tokenizer) throws -> Bool {
    if tokenizer == (try Self.fingerprint(of: other)) { return true }
    var older = TokenHash()
    for byte in try TokenizerFile.data(for: other) { older.combine(Int32(byte)) }
    return tokenizer == String(older.value, radix: 16)
  }

  /// Whether a file with these metadata serves where `wanted` are wanted.
  func serves(_ wanted: TokenFileMetadata) -> Bool {
    var own = self
    own.skippedLines = wanted.skippedLines
    return inputs != nil && own == wanted
  }
}
