import Tokenizers

extension BytePairTrainer {
  /// Counts the words of a source's documents, without holding more than a piece of them.
  ///
  /// - Parameter progress: called now and then with the number of bytes read. What it throws ends the work.
  /// - Returns: how many bad lines were skipped.
  public mutating func add(
    contentsOf source: CorpusSource, progress: (_ byteCount: Int) throws -> Void = { _ in }
  ) throws -> Int {
    // Words are cut alike by every byte-level tokenizer; this one has nothing but bytes.
    let encoder = try BytePairTrainer(specialTokens: specialTokens).train(vocabularySize: specialTokens.count + 256)
      .makeEncoder()
    return try DocumentReader(source: source).forEachText(cutBy: encoder, progress: progress) { add($0) }
  }
}
