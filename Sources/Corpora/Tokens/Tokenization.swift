import Files
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
    result.skippedLines = try DocumentReader(source: source).forEachDocument(of: chunk) { text, line in
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
