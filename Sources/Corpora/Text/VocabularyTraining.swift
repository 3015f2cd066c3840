import Tokenizers

extension BytePairTrainer {
  /// Counts the words of a source's documents, without holding more than a piece of them.
  ///
  /// - Parameters:
  ///   - source: the text.
  ///   - progress: called now and then with the number of bytes read. What it throws ends the work.
  /// - Returns: how many bad lines were skipped, and how many documents were read.
  /// - Throws: `FileError` if a file cannot be read, `CorpusError` if there is no text in them.
  public mutating func add(
    contentsOf source: CorpusSource, progress: (_ byteCount: Int) throws -> Void = { _ in }
  ) throws -> (documents: Int, skippedLines: Int) {
    // Words are cut alike by every byte-level tokenizer; this one has nothing but bytes.
    let encoder = try BytePairTrainer(specialTokens: specialTokens).train(vocabularySize: specialTokens.count + 256)
      .makeEncoder()
    let reader = try TextChunkReader(source, boundary: encoder.lastBoundary)
    var (documents, skipped, bytes) = (0, 0, 0)
    while let chunk = try reader.next() {
      skipped += try chunk.forEachDocument(by: source) { text, _ in
        add(text)
        bytes += text.count
        if chunk.endsDocument { documents += 1 }
      }
      try progress(reader.byteCount)
    }
    guard bytes > 0 else { throw CorpusError.noText(name: source.name, skippedLines: skipped) }
    return (documents, skipped)
  }
}

extension CharacterTokenizer {
  /// A tokenizer for exactly the characters that occur in the documents of some sources, which are read once, in pieces,
  /// on all cores.
  ///
  /// - Throws: `FileError` if a file cannot be read, `CorpusError` if a source holds no text.
  public init(contentsOf sources: [CorpusSource], progress: (_ byteCount: Int) throws -> Void = { _ in }) throws {
    // Any tokenizer of characters knows where one ends.
    let encoder = CharacterTokenizer(text: "").makeEncoder()
    let found = CharacterSet()
    for source in sources {
      let reader = try TextChunkReader(source, boundary: encoder.lastBoundary)
      var (skipped, hasText) = (0, false)
      let sets = try ParallelChunks.run(
        of: reader, makeWorker: CharacterSet.init,
        work: { chunk, set in try chunk.forEachDocument(by: source) { text, _ in set.insert(text) } },
        take: { skipped += $0 }, report: { try progress(reader.byteCount) })
      for set in sets {
        hasText = hasText || !set.isEmpty
        found.formUnion(set)
      }
      guard hasText else { throw CorpusError.noText(name: source.name, skippedLines: skipped) }
    }
    self.init(text: found.text)
  }
}

/// A set of characters that grows on one thread.
private final class CharacterSet {
  private var occurs = [Bool](repeating: false, count: 0x11_0000)

  func insert(_ text: UnsafeBufferPointer<UInt8>) {
    occurs.withUnsafeMutableBufferPointer { occurs in
      for scalar in UTF8Scalars(text) { occurs[Int(scalar.value)] = true }
    }
  }

  func formUnion(_ other: CharacterSet) {
    for value in occurs.indices where other.occurs[value] { occurs[value] = true }
  }

  var isEmpty: Bool { !occurs.contains(true) }

  /// The characters in the order of their code points.
  var text: String {
    var characters = String.UnicodeScalarView()
    for value in occurs.indices where occurs[value] { characters.append(Unicode.Scalar(UInt32(value))!) }
    return String(characters)
  }
}
