import Corpora
import Testing
import Tokenizers

@Suite("Packing")
struct PackedCorpusTests {
  /// Ids a 0, b 1, … , j 9; end of text 10.
  let tokenizer = CharacterTokenizer(text: "abcdefghij")

  private func message(_ body: () throws -> Void) throws -> String {
    try #require(throws: CorpusError.self, performing: body).description
  }

  @Test func documentsAreConcatenatedAndCut() throws {
    let blocks = try TokenBlocks(documents: ["abc", "", "de", "fghij"], name: "x", tokenizer: tokenizer, length: 4)
    #expect(blocks.tokens == [0, 1, 2, 10, 10, 3, 4, 10, 5, 6, 7, 8])
    #expect(blocks.map(Array.init) == [[0, 1, 2, 10], [10, 3, 4, 10], [5, 6, 7, 8]])
    #expect(blocks.length == 4)
    #expect(blocks.count == 3)
  }

  @Test func blocksOfTokens() {
    let blocks = TokenBlocks(cutting: Array(0..<7), length: 3)
    #expect(blocks.count == 2)
    #expect(Array(blocks[1]) == [3, 4, 5])
    #expect(blocks.tokens == [0, 1, 2, 3, 4, 5])
    #expect(TokenBlocks(cutting: [1, 2], length: 3).isEmpty)
    #expect(TokenBlocks(cutting: [], length: 1).isEmpty)
  }

  @Test(arguments: [
    (20, 0.1, 2), (20, 0.5, 10), (20, 0.01, 1), (20, 0.999, 19), (2, 0.1, 1), (2, 0.9, 1), (3, 0.5, 2), (100, 0.29, 29),
  ])
  func lastBlocksValidate(count: Int, fraction: Double, validationCount: Int) throws {
    let text = String(repeating: "abcde", count: count)
    let corpus = try PackedCorpus(
      documents: [text], name: "x", tokenizer: tokenizer, length: 5, validationFraction: fraction)
    #expect(corpus.training.count == count - validationCount)
    #expect(corpus.validation.count == validationCount)
    #expect(corpus.training.tokens + corpus.validation.tokens == (try tokenizer.encode(text)))
  }

  @Test func aTenthValidatesByDefault() throws {
    let corpus = try PackedCorpus(
      documents: Array(repeating: "abcd", count: 40), name: "x", tokenizer: tokenizer, length: 5)
    #expect(corpus.training.count == 36)
    #expect(corpus.validation.count == 4)
  }

  @Test func tooFewTokens() throws {
    let split = try message {
      _ = try PackedCorpus(documents: ["abcdefgh"], name: "a.txt", tokenizer: tokenizer, length: 5)
    }
    #expect(split == "a.txt has 9 tokens; length 5 and a validation share of 0.1 need at least 10")
    let whole = try message {
      _ = try TokenBlocks(documents: ["abc"], name: "a.txt", tokenizer: tokenizer, length: 5)
    }
    #expect(whole == "a.txt has 4 tokens; length 5 needs at least 5")
    let nothing = try message { _ = try PackedCorpus(documents: [], name: "a.txt", tokenizer: tokenizer, length: 1) }
    #expect(nothing == "a.txt has 0 tokens; length 1 and a validation share of 0.1 need at least 2")
  }

  @Test func impossibleNumbers() throws {
    for length in [0, -3, .max] {
      let expected = "length is \(length); expected 1 to 1073741824"
      let split = try message {
        _ = try PackedCorpus(documents: ["a"], name: "x", tokenizer: tokenizer, length: length)
      }
      #expect(split == expected)
      let whole = try message {
        _ = try TokenBlocks(documents: ["a"], name: "x", tokenizer: tokenizer, length: length)
      }
      #expect(whole == expected)
    }
    for (fraction, text) in [(0, "0.0"), (1, "1.0"), (-0.5, "-0.5"), (.nan, "nan")] as [(Double, String)] {
      let found = try message {
        _ = try PackedCorpus(
          documents: ["abc"], name: "x", tokenizer: tokenizer, length: 1, validationFraction: fraction)
      }
      #expect(found == "validation share is \(text); expected more than 0 and less than 1")
    }
  }

  @Test func unknownCharacterIsNamedWithItsFile() throws {
    let one = try message { _ = try TokenBlocks(documents: ["x"], name: "a.txt", tokenizer: tokenizer, length: 1) }
    #expect(one == #"a.txt: line 1: character "x" (U+0078) is not in the tokenizer's vocabulary"#)
    let several = try message {
      _ = try TokenBlocks(documents: ["a", "x"], name: "a.txt", tokenizer: tokenizer, length: 1)
    }
    #expect(several == #"a.txt, document 2: line 1: character "x" (U+0078) is not in the tokenizer's vocabulary"#)
  }
}
