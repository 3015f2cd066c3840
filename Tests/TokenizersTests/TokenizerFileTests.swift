import Foundation
import Testing
import Tokenizers

@Suite("tokenizer.json")
struct TokenizerFileTests {
  @Test func bytes() throws {
    let data = try TokenizerFile.data(for: ByteTokenizer())
    #expect(String(decoding: data, as: UTF8.self) == #"{"format":"esolm-tokenizer","type":"bytes","version":1}"#)
    #expect(try TokenizerFile.tokenizer(from: data) is ByteTokenizer)
  }

  @Test func characters() throws {
    let data = try TokenizerFile.data(for: CharacterTokenizer(text: "a /\n"))
    let expected = #"{"characters":["\n"," ","/","a"],"format":"esolm-tokenizer","type":"characters","version":1}"#
    #expect(String(decoding: data, as: UTF8.self) == expected)
  }

  @Test(arguments: TokenizerTests.texts + ["\u{1}\u{1F}\u{2028}\u{FFFE}\u{E000}\"\\"])
  func charactersRoundTrip(text: String) throws {
    let tokenizer = CharacterTokenizer(text: text)
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
    #expect(restored as? CharacterTokenizer == tokenizer)
  }

  @Test func storedOrderIsKept() throws {
    let json = #"{"format":"esolm-tokenizer","version":1,"type":"characters","characters":["b","a"]}"#
    let tokenizer = try TokenizerFile.tokenizer(from: Data(json.utf8))
    #expect(try tokenizer.encode("ab") == [1, 0])
    #expect(tokenizer.endOfText == 2)
  }

  private static let start = #"{"format":"esolm-tokenizer","version":1,"type":"characters","#

  @Test(arguments: [
    ("", "run/tokenizer.json: no valid JSON at byte 0: expected a value"),
    ("[1]", "run/tokenizer.json: not a JSON object"),
    ("{\"format\":", "run/tokenizer.json: no valid JSON at byte 10: expected a value"),
    ("<html>", "run/tokenizer.json: it is an HTML page; expected a tokenizer's text"),
    (
      "version https://git-lfs.github.com/spec/v1\n",
      "run/tokenizer.json: it is a Git LFS pointer, not the file itself; expected a tokenizer's text"
    ),
    ("{}", #"run/tokenizer.json: field "format" is missing"#),
    (#"{"format":3}"#, #"run/tokenizer.json: field "format" should be a string"#),
    (
      #"{"format":"gguf","version":1,"type":"bytes"}"#,
      #"run/tokenizer.json: field "format" is "gguf"; expected "esolm-tokenizer""#
    ),
    (#"{"format":"esolm-tokenizer","type":"bytes"}"#, #"run/tokenizer.json: field "version" is missing"#),
    (
      #"{"format":"esolm-tokenizer","version":"1","type":"bytes"}"#,
      #"run/tokenizer.json: field "version" should be a number"#
    ),
    (
      #"{"format":"esolm-tokenizer","version":1.5,"type":"bytes"}"#,
      #"run/tokenizer.json: field "version" is 1.5; expected 1"#
    ),
    (
      #"{"format":"esolm-tokenizer","version":2,"type":"bytes"}"#,
      #"run/tokenizer.json: field "version" is 2; expected 1"#
    ),
    (
      #"{"format":"esolm-tokenizer","version":1,"type":"bpe\n"}"#,
      #"run/tokenizer.json: field "type" is "bpe\n"; expected "bytes" or "characters" or "text8" or "sudoku""#
    ),
    (
      #"{"format":"esolm-tokenizer","version":1,"type":"characters"}"#,
      #"run/tokenizer.json: field "characters" is missing"#
    ),
    (start + #""characters":"ab"}"#, #"run/tokenizer.json: field "characters" should be a list of strings"#),
    (start + #""characters":null}"#, #"run/tokenizer.json: field "characters" should be a list of strings"#),
    (start + #""characters":["a",7]}"#, #"run/tokenizer.json: field "characters[1]" should be a string"#),
    (
      start + #""characters":["a","bc"]}"#,
      #"run/tokenizer.json: field "characters[1]" is "bc", 2 Unicode scalars; expected 1"#
    ),
    (
      start + #""characters":[""]}"#,
      #"run/tokenizer.json: field "characters[0]" is "", 0 Unicode scalars; expected 1"#
    ),
    (
      start + #""characters":["\#(String(repeating: "x", count: 50))"]}"#,
      #"run/tokenizer.json: field "characters[0]" is "\#(String(repeating: "x", count: 40))…", "#
        + "50 Unicode scalars; expected 1"
    ),
    (
      start + #""characters":["a","b","a"]}"#,
      #"run/tokenizer.json: field "characters[2]" is "a" (U+0061), as is "characters[0]"; expected each once"#
    ),
  ])
  func damage(json: String, message: String) throws {
    let error = try #require(throws: TokenizerFileError.self) {
      try TokenizerFile.tokenizer(from: Data(json.utf8), path: "run/tokenizer.json")
    }
    #expect(error.description == message)
  }

  @Test func sizeIsBounded() throws {
    let data = Data(count: TokenizerFile.maximumByteCount + 1)
    let error = try #require(throws: TokenizerFileError.self) { try TokenizerFile.tokenizer(from: data) }
    #expect(error.description == "tokenizer.json: 33554433 bytes; expected at most 33554432")
  }

  @Test func canonicallyEquivalentCharactersAreDifferent() throws {
    // "Å" and "Å" (Ångström) are equal as Swift strings.
    let tokenizer = CharacterTokenizer(text: "\u{C5}\u{212B}")
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
    #expect(restored.vocabularySize == 3)
  }

  @Test func otherTokenizersAreRefused() throws {
    let error = try #require(throws: TokenizerFileError.self) { try TokenizerFile.data(for: Unstorable()) }
    #expect(
      error.description
        == #"tokenizer.json: cannot hold a Unstorable; expected one of the kinds "bytes", "characters", "text8", "sudoku""#
    )
  }

  private struct Unstorable: Tokenizer {
    let vocabularySize = 1
    let endOfText: Int32 = 0
    func encode(_ text: String) -> [Int32] { [] }
    func makeEncoder() -> any TextEncoder { ByteTokenizer().makeEncoder() }
    func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String { "" }
  }
}
