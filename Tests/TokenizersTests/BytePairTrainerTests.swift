import Foundation
import Randomness
import Testing
import Tokenizers

@Suite("Training byte pairs")
struct BytePairTrainerTests {
  /// By the definition: all pairs are counted anew for each merge.
  private func merges(ofWords words: [String: Int], count: Int) -> [String] {
    var words = words.map { (tokens: $0.key.utf8.map { String(Unicode.Scalar($0)) }, count: $0.value) }
    // Ids by size of the character that stands for a byte: "Ġ", the space, comes after all others here.
    func id(_ token: String, _ made: [String]) -> Int {
      made.firstIndex(of: token).map { 1000 + $0 } ?? (token == " " ? 999 : Int(token.unicodeScalars.first!.value))
    }
    var made: [String] = []
    while made.count < count {
      var counts: [[String]: Int] = [:]
      for word in words {
        for pair in zip(word.tokens, word.tokens.dropFirst()) { counts[[pair.0, pair.1], default: 0] += word.count }
      }
      let best = counts.filter { $0.value >= 2 }.max { first, second in
        func key(_ entry: (key: [String], value: Int)) -> [Int] {
          [entry.value, -id(entry.key[0], made), -id(entry.key[1], made)]
        }
        return key(first).lexicographicallyPrecedes(key(second))
      }
      guard let pair = best?.key else { break }
      made.append(pair.joined())
      words = words.map { word in
        var tokens: [String] = []
        for token in word.tokens {
          if tokens.last == pair[0], token == pair[1] {
            tokens[tokens.count - 1] = pair.joined()
          } else {
            tokens.append(token)
          }
        }
        return (tokens, word.count)
      }
    }
    return made
  }

  @Test(arguments: 0..<6) func theMostFrequentPairBecomesAToken(seed: UInt64) throws {
    var generator = CounterGenerator(seed: seed, stream: .validation)
    var words: [String: Int] = [:]
    var text = ""
    for _ in 0..<80 {
      let word = " " + String((0..<1 + Int(generator.next() % 7)).map { _ in Array("abcd")[Int(generator.next() % 4)] })
      words[word, default: 0] += 1
      text += word
    }
    var trainer = BytePairTrainer()
    trainer.add(text)
    let tokenizer = try trainer.train(vocabularySize: 257 + 40)
    let made = (257..<tokenizer.vocabularySize).map { tokenizer.decode([Int32($0)]) }
    #expect(made == merges(ofWords: words, count: 40))
    #expect(tokenizer.decode(try tokenizer.encode(text)) == text)
  }

  @Test func specialTokensComeFirstAndAreNoText() throws {
    var trainer = BytePairTrainer(specialTokens: ["<|endoftext|>", "<mask>"])
    trainer.add("ab ab<mask>ab<|endoftext|>")
    let tokenizer = try trainer.train(vocabularySize: 300)
    #expect(tokenizer.endOfText == 0)
    #expect(tokenizer.maskToken == 1)
    // "ab" occurs twice at the beginning of words, " ab" once.
    #expect(tokenizer.vocabularySize == 258 + 1)
    #expect(try tokenizer.encode("ab<mask>") == [258, 1])
  }

  @Test(arguments: [0, 256, 1 << 30]) func aSizeWithoutRoomForBytesIsRefused(size: Int) throws {
    let error = try #require(throws: BytePairTrainingError.self) { try BytePairTrainer().train(vocabularySize: size) }
    #expect(error.description == "vocabulary size is \(size); expected 257 to 4194304")
  }

  @Test func filesOfBothKindsHoldTheSame() throws {
    var trainer = BytePairTrainer()
    trainer.add(String(repeating: "the cat sees the dog\n", count: 20))
    let tokenizer = try trainer.train(vocabularySize: 280)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("esolm-bpe-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = TokenizerFile.vocabularyFiles(for: tokenizer)
    try files.vocabulary.write(to: folder.appendingPathComponent("vocab.json"))
    try files.merges.write(to: folder.appendingPathComponent("merges.txt"))
    #expect(try TokenizerFile.tokenizer(at: folder.path) as? BytePairTokenizer == tokenizer)
    try TokenizerFile.data(for: tokenizer).write(to: folder.appendingPathComponent("tokenizer.json"))
    #expect(try TokenizerFile.tokenizer(at: folder.path) as? BytePairTokenizer == tokenizer)
  }
}
