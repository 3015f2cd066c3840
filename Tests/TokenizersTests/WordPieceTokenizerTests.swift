import Randomness
import Testing
import Tokenizers

@Suite("Word pieces")
struct WordPieceTokenizerTests {
  let tokenizer: WordPieceTokenizer

  init() throws { tokenizer = try Vocabularies.wordPieces() }

  @Test func theMaskIsOneOfItsIDs() {
    #expect(tokenizer.vocabularySize == 1200)
    #expect(tokenizer.maskToken == 4)
    #expect(tokenizer.modelVocabularySize == 1200)
    #expect(tokenizer.modelMaskToken == 4)
    #expect([tokenizer.beginningOfText, tokenizer.endOfText, tokenizer.padding, tokenizer.unknown] == [2, 3, 0, 1])
  }

  @Test(arguments: [
    ("The CAT", "the cat"), ("naïve Ångström", "naive angstrom"), ("a,b", "a, b"), ("don't", "don ' t"),
    ("  a \t\n b ", "a b"), ("a\0\u{FFFD}\u{AD}b", "ab"), ("日本", "日 本"), ("", ""), ("½", "½"),
  ])
  func textIsNormalised(text: String, decoded: String) throws {
    #expect(try tokenizer.decode(tokenizer.encode(text)) == decoded)
  }

  @Test func specialTokensAreWrittenOnlyWhenAskedFor() throws {
    let tokens = try tokenizer.encode("a [MASK] b[SEP]")
    #expect(tokens.contains(4) && tokens.last == 3)
    #expect(tokenizer.decode(tokens) == "a b")
    #expect(tokenizer.decode(tokens, keepingSpecialTokens: true) == "a [MASK] b [SEP]")
    #expect(tokenizer.decode([1200, -1]) == "\u{FFFD} \u{FFFD}")
  }

  @Test func longWordsAreUnknown() throws {
    #expect(try tokenizer.encode(String(repeating: "a", count: 100)).contains(1) == false)
    #expect(try tokenizer.encode(String(repeating: "a", count: 101)) == [1])
    #expect(try tokenizer.encode(String(repeating: "é", count: 100)).contains(1) == false)
  }

  @Test func brokenBytesAreLeftOut() throws {
    #expect(try tokenizer.encode(utf8: [0x61, 0xFF, 0xC3, 0x62]) == tokenizer.encode("ab"))
  }

  @Test func aTextCanBeCutAtABoundary() throws {
    var generator = CounterGenerator(seed: 3, stream: .validation)
    for _ in 0..<300 {
      let text = Array(Vocabularies.randomText(&generator).utf8)
      guard let boundary = text.withUnsafeBufferPointer({ tokenizer.makeEncoder().lastBoundary(in: $0) }) else {
        continue
      }
      let parts = try tokenizer.encode(utf8: text[..<boundary]) + tokenizer.encode(utf8: text[boundary...])
      #expect(try parts == tokenizer.encode(utf8: text))
    }
  }

  @Test func addedTokensMayBeFoundInNormalisedText() throws {
    let words = ["[UNK]", "[SEP]", "a", "##b", "New York", "b"].map { Array($0.utf8) }
    let tokenizer = try WordPieceTokenizer(
      tokens: words,
      addedTokens: [
        AddedToken(id: 0, content: "[UNK]"), AddedToken(id: 1, content: "[SEP]"),
        AddedToken(id: 4, content: "New York", isSpecial: false, isNormalized: true),
      ])
    #expect(try tokenizer.encode("ab NEW YÓRK b [SEP] [sep]") == [2, 3, 4, 5, 1, 0, 0, 0])
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
    #expect(restored as? WordPieceTokenizer == tokenizer)
  }

  @Test func wordsAreMadeOfTheModelsTokensOnly() throws {
    let words = ["[UNK]", "[SEP]", "a", "##b", "ab", "Ab"].map { Array($0.utf8) }
    let tokenizer = try WordPieceTokenizer(
      tokens: words,
      addedTokens: [
        AddedToken(id: 0, content: "[UNK]"), AddedToken(id: 1, content: "[SEP]"), AddedToken(id: 4, content: "ab"),
        AddedToken(id: 5, content: "Ab"),
      ], modelTokenCount: 4)
    #expect(try tokenizer.encode("ab aB Ab") == [4, 2, 3, 5])
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
    #expect(restored as? WordPieceTokenizer == tokenizer)
    #expect(try restored.encode("ab aB Ab") == [4, 2, 3, 5])
  }
}
