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

extension CharacterTokenizer {
  /// A tokenizer for exactly the characters that occur in the documents of some sources.
  public init(contentsOf sources: [CorpusSource], progress: (_ byteCount: Int) throws -> Void = { _ in }) throws {
    var occurs = [Bool](repeating: false, count: 0x11_0000)
    for source in sources {
      // Any tokenizer of characters knows where one ends.
      let encoder = CharacterTokenizer(text: "").makeEncoder()
      _ = try DocumentReader(source: source).forEachText(cutBy: encoder, progress: progress) { text in
        for scalar in UTF8Scalars(text) { occurs[Int(scalar.value)] = true }
      }
    }
    var characters = String.UnicodeScalarView()
    for value in occurs.indices where occurs[value] {
      if let scalar = Unicode.Scalar(UInt32(value)) { characters.append(scalar) }
    }
    self.init(text: String(characters))
  }
}
