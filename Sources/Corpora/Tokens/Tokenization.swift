import Dispatch
import Files
import Foundation
import Tokenizers

/// How far making a token file has come.
public struct TokenizationProgress: Sendable {
  /// Bytes of the source's files that were read, as they are on the disk.
  public var byteCount = 0
  /// All bytes; nil if that is not known.
  public var totalByteCount: Int?
  public var tokenCount = 0
  public var documentCount = 0
  public var skippedLines = 0

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
  /// - Throws: `FileError` if a file cannot be read or written, or a record is not valid.
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
      var writer = try TokenFileWriter(file)
      metadata.skippedLines = try Tokenization(source, tokenizer, appendsEndOfText)
        .run(total: wanted.files?.reduce(0) { $0 + $1.byteCount }, into: &writer, progress)
      try writer.finish(metadata)
    }
    return try TokenFile(mapping: path)
  }
}

/// Encodes the chunks of a source on all cores and writes their tokens in order. What is in memory at a time are a few
/// chunks for each core.
private struct Tokenization {
  private let source: CorpusSource
  private let tokenizer: any Tokenizer
  private let appendsEndOfText: Bool

  init(_ source: CorpusSource, _ tokenizer: any Tokenizer, _ appendsEndOfText: Bool) {
    self.source = source
    self.tokenizer = tokenizer
    self.appendsEndOfText = appendsEndOfText
  }

  private struct Encoded {
    var tokens: [Int32] = []
    var documentEnds: [Int] = []
    var skippedLines = 0
  }

  /// Returns the number of bad lines.
  func run(
    total: Int?, into writer: inout TokenFileWriter, _ report: (TokenizationProgress) throws -> Void
  ) throws -> Int {
    let boundary = tokenizer.makeEncoder()
    let reader = try TextChunkReader(source, boundary: boundary.lastBoundary)
    let encoders = Pool(tokenizer.makeEncoder)
    let chunksAtATime = 4 * max(1, ProcessInfo.processInfo.activeProcessorCount)
    var progress = TokenizationProgress()
    progress.totalByteCount = total
    var round = try Self.read(chunksAtATime, from: reader)
    while !round.isEmpty {
      let chunks = round
      // While these are encoded, the next are read.
      let next = Slots<[TextChunk]>(count: 1)
      let encoded = Slots<Encoded>(count: chunks.count)
      DispatchQueue.concurrentPerform(iterations: chunks.count + 1) { index in
        if index == 0 {
          next[0] = Result { try Self.read(chunksAtATime, from: reader) }
        } else {
          let encoder = encoders.take()
          encoded[index - 1] = Result { try encode(chunks[index - 1], encoder) }
          encoders.put(encoder)
        }
      }
      for index in chunks.indices {
        let chunk = try encoded[index]!.get()
        try writer.append(chunk.tokens, documentEnds: chunk.documentEnds)
        progress.skippedLines += chunk.skippedLines
      }
      round = try next[0]!.get()
      progress.byteCount = reader.byteCount
      progress.tokenCount = writer.tokenCount
      progress.documentCount = writer.documentCount
      try report(progress)
    }
    return progress.skippedLines
  }

  private static func read(_ count: Int, from reader: TextChunkReader) throws -> [TextChunk] {
    var chunks: [TextChunk] = []
    while chunks.count < count, let chunk = try reader.next() { chunks.append(chunk) }
    return chunks
  }

  private func encode(_ chunk: TextChunk, _ encoder: any TextEncoder) throws -> Encoded {
    var result = Encoded()
    result.tokens.reserveCapacity(chunk.bytes.count / 3)
    result.skippedLines = try DocumentReader(source: source).forEachDocument(of: chunk) { text, line in
      let start = result.tokens.count
      do {
        try encoder.append(text, to: &result.tokens)
      } catch let error as UnknownCharacterError {
        throw FileError("\(chunk.path): \(error.after(lines: line - 1))")
      } catch {
        throw FileError("\(chunk.path): line \(line): \(error)")
      }
      // What a text says is no mask: a model could not learn to write it.
      if let mask = tokenizer.maskToken, result.tokens[start...].contains(mask) {
        result.tokens.replaceSubrange(start..., with: result.tokens[start...].filter { $0 != mask })
      }
      guard chunk.endsDocument else { return }
      if appendsEndOfText { result.tokens.append(tokenizer.endOfText) }
      result.documentEnds.append(result.tokens.count)
    }
    return result
  }
}

/// Results of work that is done on several threads, each in its own place.
private final class Slots<Value>: @unchecked Sendable {  // Each place is written by one thread, and read afterwards.
  private let values: UnsafeMutableBufferPointer<Result<Value, any Error>?>

  init(count: Int) {
    values = .allocate(capacity: count)
    values.initialize(repeating: nil)
  }

  deinit {
    values.deinitialize()
    values.deallocate()
  }

  subscript(index: Int) -> Result<Value, any Error>? {
    get { values[index] }
    set { values[index] = newValue }
  }
}

/// Encoders that are lent to one thread at a time, since they keep what they learnt.
private final class Pool: @unchecked Sendable {  // Its state is behind a lock.
  private let lock = NSLock()
  private var free: [any TextEncoder] = []
  private let make: () -> any TextEncoder

  init(_ make: @escaping () -> any TextEncoder) { self.make = make }

  func take() -> any TextEncoder { lock.withLock { free.popLast() } ?? make() }
  func put(_ encoder: any TextEncoder) { lock.withLock { free.append(encoder) } }
}
