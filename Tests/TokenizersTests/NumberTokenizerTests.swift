import Testing
import Tokenizers

@Suite("Numbers as text")
struct NumberTokenizerTests {
  private let tokenizer = NumberTokenizer(vocabularySize: 32, maskToken: 4)

  @Test func idsAreTheirNumbers() throws {
    #expect(try tokenizer.encode("12 7\n 0\t30") == [12, 7, 0, 30])
    #expect(try tokenizer.encode("") == [])
    #expect(tokenizer.decode([12, 7, 31, 4, 99]) == "12 7 \u{FFFD}")
    #expect(tokenizer.decode([12, 31, 4], keepingSpecialTokens: true) == "12 31 4")
    #expect(tokenizer.endOfText == 31 && tokenizer.modelVocabularySize == 32 && tokenizer.modelMaskToken == 4)
    #expect(NumberTokenizer(vocabularySize: 32).modelVocabularySize == 33)
  }

  @Test(arguments: ["a", "32", "-1", "1.5", "99999999999999999999"]) func whatIsNoTokenIsNamedWithItsLine(word: String)
  {
    let error = #expect(throws: NotATokenError.self) { try tokenizer.encode("1 2\n3 \(word)") }
    #expect(error?.description == "line 2: \"\(word)\" is no token, expected numbers from 0 to 31")
  }

  @Test func itIsStoredInItsFile() throws {
    for tokenizer in [tokenizer, NumberTokenizer(vocabularySize: 5)] {
      let data = try TokenizerFile.data(for: tokenizer)
      #expect(try TokenizerFile.tokenizer(from: data) as? NumberTokenizer == tokenizer)
    }
  }
}
