import Evaluation
import TestSupport
import Testing
import Tokenizers

@Suite("Counting characters of tokens")
struct CharacterCountTests {
  private static let text = String(
    repeating: "The naïve quick fox’s 日本語 jumped 😀😀 over – 'unbelievable' things.\n", count: 40)

  @Test(arguments: ["", "/wordpiece-vocab.txt"]) func piecesCountAsTheWhole(file: String) throws {
    let read = try TokenizerFile.tokenizer(at: Fixtures.path(of: "tokenizers") + file)
    for tokenizer in [read, ByteTokenizer(), CharacterTokenizer(text: Self.text)] as [any Tokenizer] {
      let tokens = try tokenizer.encode(Self.text) + [tokenizer.endOfText] + tokenizer.encode("and more")
      let whole = tokenizer.decode(tokens).unicodeScalars.count
      for size in [17, 100, 101, 1000, 1 << 16] {
        #expect(tokenizer.characterCount(of: tokens, pieceSize: size, overlap: 16) == whole)
        // Where the first token is within a character, too.
        #expect(
          tokenizer.characterCount(of: tokens.dropFirst(5), pieceSize: size, overlap: 16)
            == tokenizer.decode(tokens.dropFirst(5)).unicodeScalars.count)
      }
      #expect(tokenizer.characterCount(of: []) == 0)
    }
  }
}
