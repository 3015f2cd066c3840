import Files
import Foundation
import Tokenizers

/// How far making a token file has come.
public struct TokenizationProgress: Sendable {
  /// Bytes of the source's files that were read, as they are on the disk.
  public var byteCount = 0
  /// All bytes; nil if that is not known.
  public var totalByteCount: Int?
  /// Tokens written so far.
  public var tokenCount = 0
  /// Documents read so far.
  public var documentCount = 0
  /// Bad lines that were left out.
  public var skippedLines = 0

  /// No progress yet.
  public init() {}
}

extension CorpusConfiguration {
  /// The token file of a source: itself, if that is what it names.
  public func tokenFile(
    of source: CorpusSource, tokenizer: any Tokenizer, progress: (TokenizationProgress) throws -> Void = { _ in }
  ) throws -> TokenFile {
    if source.paths.count == 1, TokenFile.isTokenFile(source.paths[0]) {
      let file = try TokenFile(opening: source.paths[0])
      guard try file.metadata.isOf(tokenizer) else {
        throw FileError("\(file.path) was made with another tokenizer than the one that is used now")
      }
      return file
    }
    let folder = tokenFolder ?? Self.defaultTokenFolder
    try Folder.make(folder)
    let file = try TokenFile.make(
      at: "\(folder)/\(try tokenFileName(of: source, tokenizer))", of: source, tokenizer: tokenizer,
      appendsEndOfText: appendsEndOfText, progress: progress)
    // What cannot be read twice serves once; the tokens stay as long as they are mapped.
    if file.metadata.inputs == nil { unlink(file.path) }
    return file
  }

  /// A name that differs for different sources, tokenizers and options.
  private func tokenFileName(of source: CorpusSource, _ tokenizer: any Tokenizer) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    var absolute = source
    absolute.paths = source.paths.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    let description =
      try encoder.encode(absolute) + Data(TokenFileMetadata.fingerprint(of: tokenizer).utf8) + [
        appendsEndOfText ? 1 : 0
      ]
    let stem = URL(fileURLWithPath: source.paths.first ?? "").lastPathComponent.prefix { $0 != "." }
    return "\(stem.isEmpty ? "text" : String(stem.prefix(40)))-\(FileDigest.sha256(of: description).prefix(16)).tokens"
  }

  /// The usual folder for token files: `tokens` in `ESOLM_CACHE`, or in a folder of this package in the user's cache.
  public static var defaultTokenFolder: String {
    let environment = ProcessInfo.processInfo.environment
    func named(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    let cache =
      named("ESOLM_CACHE") ?? named("XDG_CACHE_HOME").map { "\($0)/esolm" } ?? "\(NSHomeDirectory())/.cache/esolm"
    return "\(cache)/tokens"
  }
}

extension TokenFile {
  /// The token file of a source: the one at `path`, if it was made of the same files by the same tokenizer with the
  /// same options, else a new one.
  ///
  /// - Parameters:
  ///   - path: where the file is, or is to be made. It appears whole or not at all.
  ///   - source: where the text comes from.
  ///   - tokenizer: how it becomes tokens.
  ///   - appendsEndOfText: whether `endOfText` follows every document.
  ///   - progress: called now and then while a new file is made. What it throws ends the work.
  /// - Throws: `FileError` if a file cannot be read or written, or a record is not valid; `CorpusError` if nothing is read.
  public static func make(
    at path: String, of source: CorpusSource, tokenizer: any Tokenizer, appendsEndOfText: Bool = true,
    progress: (TokenizationProgress) throws -> Void = { _ in }
  ) throws -> TokenFile {
    let wanted = try TokenFileMetadata(tokenizer: tokenizer, source: source, appendsEndOfText: appendsEndOfText)
    Temporary.removeLeftovers(in: Folder.split(path).folder)
    // Whatever is wrong with a file that is there, a new one takes its place.
    if let file = try? TokenFile(opening: path), file.metadata.serves(wanted) { return file }
    try AtomicFile.write(to: path) { file in
      var metadata = wanted
      let writer = try TokenFileWriter(file)
      metadata.skippedLines = try Tokenization(source: source, tokenizer: tokenizer, appendsEndOfText: appendsEndOfText)
        .run(total: wanted.inputs?.reduce(0) { $0 + $1.byteCount }, into: writer, progress)
      try writer.finish(metadata)
    }
    return try TokenFile(path, checkingContents: false)
  }
}

/// Encodes the chunks of a source on all cores and writes their tokens in order.
private struct Tokenization {
  let source: CorpusSource
  let tokenizer: any Tokenizer
  let appendsEndOfText: Bool

  private struct Encoded {
    var tokens: [UInt8] = []
    var count = 0
    var documentEnds: [Int] = []
    var skippedLines = 0
  }

  /// Returns the number of bad lines.
  func run(
    total: Int?, into writer: TokenFileWriter, _ report: (TokenizationProgress) throws -> Void
  ) throws -> Int {
    let reader = try TextChunkReader(source, boundary: tokenizer.makeEncoder().lastBoundary)
    var progress = TokenizationProgress()
    progress.totalByteCount = total
    try ParallelChunks.run(
      of: reader, makeWorker: tokenizer.makeEncoder, work: encode,
      take: { chunk in
        try writer.append(chunk.tokens, count: chunk.count, documentEnds: chunk.documentEnds)
        progress.skippedLines += chunk.skippedLines
      },
      report: {
        progress.byteCount = reader.byteCount
        progress.tokenCount = writer.tokenCount
        progress.documentCount = writer.documentCount
        try report(progress)
      })
    guard writer.tokenCount > (appendsEndOfText ? writer.documentCount : 0) else {
      throw CorpusError.noText(name: source.name, skippedLines: progress.skippedLines)
    }
    return progress.skippedLines
  }

  private func encode(_ chunk: TextChunk, _ encoder: any TextEncoder) throws -> Encoded {
    var result = Encoded()
    var tokens: [Int32] = []
    tokens.reserveCapacity(chunk.bytes.count / 3)
    result.skippedLines = try chunk.forEachDocument(by: source) { text, line in
      let start = tokens.count
      do {
        try encoder.append(text, to: &tokens)
      } catch let error as UnknownCharacterError {
        throw FileError("\(chunk.path): \(error.after(lines: line - 1))")
      } catch {
        throw FileError("\(chunk.path): line \(line): \(error)")
      }
      // What a text says is no mask: a model could not learn to write it.
      if let mask = tokenizer.maskToken, tokens[start...].contains(mask) {
        tokens.replaceSubrange(start..., with: tokens[start...].filter { $0 != mask })
      }
      guard chunk.endsDocument else { return }
      if appendsEndOfText { tokens.append(tokenizer.endOfText) }
      result.documentEnds.append(tokens.count)
    }
    result.count = tokens.count
    result.tokens = TokenWidth(vocabularySize: tokenizer.vocabularySize).pack(tokens)
    return result
  }
}

/// Writes a token file piece by piece. Of what it writes it keeps only where documents end, 8 bytes each.
private final class TokenFileWriter {
  private let file: FileWriter
  private let checksum = Checksum()
  private var documentEnds: [[UInt64]] = []

  private(set) var tokenCount = 0
  private(set) var documentCount = 0

  init(_ file: FileWriter) throws {
    self.file = file
    try file.write(Data(count: TokenFile.headerSize))  // Filled in at the end.
  }

  /// - Parameters:
  ///   - tokens: `count` tokens in the file's width.
  ///   - documentEnds: which of the tokens, counted from these, are the first after a document.
  func append(_ tokens: [UInt8], count: Int, documentEnds: [Int]) throws {
    self.documentEnds.append(documentEnds.map { UInt64(tokenCount + $0).littleEndian })
    documentCount += documentEnds.count
    tokenCount += count
    try tokens.withUnsafeBytes(write)
  }

  func finish(_ metadata: TokenFileMetadata) throws {
    for ends in documentEnds { try ends.withUnsafeBytes(write) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = try encoder.encode(metadata)
    try file.write(json)

    var header = Data(TokenFile.magic)
    func append(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { header.append(contentsOf: $0) }
    }
    append(TokenFile.version)
    append(UInt32(json.count))
    append(UInt64(tokenCount))
    append(UInt64(documentCount))
    let digits = Array(checksum.finish())
    for place in stride(from: 0, to: digits.count, by: 2) {
      append(UInt8(String(digits[place..<place + 2]), radix: 16)!)
    }
    try file.overwrite(header, at: 0)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    checksum.update(bytes)
    try file.write(bytes)
  }
}
