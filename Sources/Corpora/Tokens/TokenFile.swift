import Files
import Foundation
import Tokenizers

/// A corpus as tokens on the disk, mapped into memory: what is not read takes none.
///
///     offset 0    "ESOLMTOK", the format's version and 64 bytes of counts and places in all (`Header`)
///     offset 64   the tokens of all documents, one after another, 32 bits each
///     then        where each document ends, counted in tokens, 64 bits each
///     then        `TokenFileMetadata` as JSON: what the tokens were made of, and how
///
/// All numbers are little-endian. Opening a file reads it once: tokens that are not those that were written are found.
public final class TokenFile: Sendable {
  public let path: String
  public let metadata: TokenFileMetadata
  /// The number of tokens.
  public let count: Int
  public let documentCount: Int
  /// A text that differs for different tokens.
  public let fingerprint: String

  private let data: Data

  static let magic = Array("ESOLMTOK".utf8)
  static let version: UInt32 = 1
  static let headerSize = 64

  /// Numbers at the beginning of a file, after the magic.
  struct Header: Equatable {
    var version = TokenFile.version
    var metadataSize: UInt32 = 0
    var tokenCount: UInt64 = 0
    var documentCount: UInt64 = 0
    var hash: UInt64 = 0
  }

  /// Whether a file begins as token files do.
  public static func isTokenFile(_ path: String) -> Bool {
    guard let handle = FileHandle(forReadingAtPath: path) else { return false }
    return (try? handle.read(upToCount: magic.count)).map(Array.init) == magic
  }

  /// Opens a token file and checks all of it.
  ///
  /// - Throws: `FileError` if there is none, or it is damaged.
  public convenience init(opening path: String) throws {
    try self.init(mapping: path)
    try check()
  }

  /// Opens a token file of which only the header is checked.
  init(mapping path: String) throws {
    self.path = path
    let data = try MappedFile.map(path)
    self.data = data
    func damaged(_ problem: String) -> FileError { FileError("\(path) is no valid token file: \(problem)") }
    guard data.count >= Self.headerSize, data.prefix(Self.magic.count).elementsEqual(Self.magic) else {
      throw damaged("it does not begin with \(String(decoding: Self.magic, as: UTF8.self))")
    }
    func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type) -> Number {
      data.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
    guard case let version = number(at: 8, UInt32.self), version == Self.version else {
      throw damaged("its version is \(number(at: 8, UInt32.self)), expected \(Self.version)")
    }
    let (metadataSize, tokens, documents) = (
      number(at: 12, UInt32.self), number(at: 16, UInt64.self), number(at: 24, UInt64.self)
    )
    let limit = UInt64(data.count)
    guard tokens <= limit, documents <= limit,
      UInt64(Self.headerSize) + 4 * tokens + 8 * documents + UInt64(metadataSize) == limit
    else { throw damaged("it has \(data.count) bytes, which its header does not fit") }
    (count, documentCount) = (Int(tokens), Int(documents))
    do {
      metadata = try JSONDecoder().decode(TokenFileMetadata.self, from: data.suffix(Int(metadataSize)))
    } catch {
      throw damaged("its metadata: \(JSONFile.describe(error))")
    }
    fingerprint = String(number(at: 32, UInt64.self), radix: 16)
    guard (1...Int(Int32.max)).contains(metadata.vocabularySize) else {
      throw damaged("its vocabulary has \(metadata.vocabularySize) tokens")
    }
  }

  /// Checks that the tokens are those that were written, and of the vocabulary, and that documents follow each other.
  private func check() throws {
    var (hash, isInside) = (TokenHash(), true)
    let size = UInt32(metadata.vocabularySize)
    // Read, not mapped: pages that were looked at once need not stay in memory.
    guard let file = FileHandle(forReadingAtPath: path) else { throw FileError("cannot read \(path)") }
    try file.seek(toOffset: UInt64(Self.headerSize))
    var rest = 4 * count
    while rest > 0, isInside {
      let part = try file.read(upToCount: min(rest, 1 << 20)) ?? Data()
      guard !part.isEmpty, part.count.isMultiple(of: 4) else { break }
      part.withUnsafeBytes { bytes in
        for token in bytes.bindMemory(to: Int32.self) {
          let token = Int32(littleEndian: token)
          hash.combine(token)
          isInside = isInside && UInt32(bitPattern: token) < size
        }
      }
      rest -= part.count
    }
    guard isInside, rest == 0, String(hash.value, radix: 16) == fingerprint else {
      throw FileError("\(path) is no valid token file: its tokens were changed")
    }
    var previous = 0
    for document in 0..<documentCount {
      let end = end(ofDocument: document)
      guard previous <= end, end <= count else {
        throw FileError("\(path) is no valid token file: document \(document + 1) ends at token \(end)")
      }
      previous = end
    }
  }

  /// Some tokens, copied.
  ///
  /// - Precondition: `range` lies within `0..<count`.
  public func tokens(_ range: Range<Int>) -> [Int32] {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "tokens \(range) of \(count)")
    return data.withUnsafeBytes { bytes in
      let start = Self.headerSize + 4 * range.lowerBound
      return bytes[start..<start + 4 * range.count].bindMemory(to: Int32.self).map(Int32.init(littleEndian:))
    }
  }

  /// Where a document's tokens lie, `endOfText` among them if it was appended.
  public func document(_ index: Int) -> Range<Int> {
    (index == 0 ? 0 : end(ofDocument: index - 1))..<end(ofDocument: index)
  }

  private func end(ofDocument index: Int) -> Int {
    precondition((0..<documentCount).contains(index), "document \(index) of \(documentCount)")
    let value = data.withUnsafeBytes { bytes in
      bytes.loadUnaligned(fromByteOffset: Self.headerSize + 4 * count + 8 * index, as: UInt64.self)
    }
    return Int(exactly: UInt64(littleEndian: value)) ?? .max
  }
}

/// What a token file was made of, and how. A file whose metadata are not those that are wanted is made again.
public struct TokenFileMetadata: Codable, Hashable, Sendable {
  /// A text that differs for different tokenizers.
  public internal(set) var tokenizer: String
  public internal(set) var vocabularySize: Int
  public internal(set) var source: CorpusSource
  /// Whether `endOfText` follows every document.
  public internal(set) var appendsEndOfText: Bool
  /// What the source's files were; nil if it cannot be read twice.
  var files: [CorpusSource.Fingerprint]?
  /// How many bad lines were left out.
  public internal(set) var skippedLines = 0

  init(tokenizer: any Tokenizer, source: CorpusSource, appendsEndOfText: Bool) throws {
    self.tokenizer = try Self.fingerprint(of: tokenizer)
    vocabularySize = tokenizer.vocabularySize
    self.source = source
    self.appendsEndOfText = appendsEndOfText
    files = try source.fingerprints()
  }

  /// A text that differs for different tokenizers, barring accidents.
  public static func fingerprint(of tokenizer: any Tokenizer) throws -> String {
    var hash = TokenHash()
    for byte in try TokenizerFile.data(for: tokenizer) { hash.combine(Int32(byte)) }
    return String(hash.value, radix: 16)
  }

  /// Whether a file with these metadata serves where `wanted` are wanted.
  func serves(_ wanted: TokenFileMetadata) -> Bool {
    var own = self
    own.skippedLines = wanted.skippedLines
    return files != nil && own == wanted
  }
}
