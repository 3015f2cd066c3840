import EsoLM
import Foundation
import Prompts
import TestSupport
import Testing
import Tokenizers

@Suite("Stops and streams")
struct StopTests {
  /// Two letters a token.
  private let pairs = CharacterPairs()

  private struct CharacterPairs: Tokenizer {
    let vocabularySize = 256 * 256
    let endOfText: Int32 = 0
    func encode(_ text: String) -> [Int32] {
      let bytes = Array(text.utf8)
      return stride(from: 0, to: bytes.count - 1, by: 2).map { Int32(bytes[$0]) << 8 | Int32(bytes[$0 + 1]) }
    }
    func makeEncoder() -> any TextEncoder { ByteTokenizer().makeEncoder() }
    func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
      String(decoding: tokens.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }, as: UTF8.self)
    }
  }

  private func end(_ text: String, _ stops: [String], given: Int = 0, known: Int = 0) throws -> Int? {
    let tokens = pairs.encode(text)
    return try StopStrings(stops, tokenizer: pairs).end(of: tokens[...], given: given, known: known)
  }

  @Test func aTextEndsBeforeItsFirstStop() throws {
    #expect(try end("abcdef", ["x"]) == nil)
    #expect(try end("abcdef", ["cd"]) == 1)
    #expect(try end("abcdef", ["cdef"]) == 1)
    // A token with text before the stop stays with the stop's other tokens, and the text is cut.
    #expect(try end("abcdef", ["de"]) == 3)
    #expect(try end("abcdef", ["ef", "bc"]) == 2)
    #expect(try end("abcdef", ["de"], known: 2) == 3)
    #expect(try StopStrings(["de"], tokenizer: pairs).text(of: pairs.encode("abcdef")) == "abc")
    let tokens = try StopStrings(["zz"], tokens: [pairs.encode("cd")[0]], tokenizer: pairs)
    #expect(tokens.end(of: pairs.encode("abcdef")[...], given: 0, known: 0) == 1)
    #expect(tokens.end(of: pairs.encode("abcdef")[...], given: 2, known: 0) == nil)
    #expect(
      message { try StopStrings([""], tokenizer: pairs) }
        == "stop is an empty text, expected texts of at least one character")
  }

  /// However many tokens a stop has, and wherever it begins in one of them.
  @Test func nothingOfAStopIsLeft() throws {
    let text = "abc – 🙂def"
    for tokenizer in [ByteTokenizer(), pairs] as [any Tokenizer] {
      let tokens = try tokenizer.encode(text)
      let whole = tokenizer.decode(tokens)
      for first in whole.indices {
        for last in whole.indices where last >= first {
          let string = String(whole[first...last])
          let stop = try StopStrings(["none", string], tokenizer: tokenizer)
          // As it is written, token by token.
          let end = (1...tokens.count).lazy.compactMap { stop.end(of: tokens[..<$0], given: 0, known: $0 - 1) }.first
          #expect(
            stop.text(of: tokens.prefix(try #require(end))) == whole[..<whole.range(of: string)!.lowerBound],
            "\(string)")
          #expect(stop.first(in: tokens) == string)
        }
      }
      #expect(try StopStrings(["none"], tokenizer: tokenizer).first(in: tokens) == nil)
    }
  }

  @Test func whatIsGivenHoldsNoStop() throws {
    #expect(try end("ababab", ["ab"], given: 1) == 1)
    #expect(try end("ababcd", ["bab"], given: 1) == nil)
    #expect(try end("ababcd", ["ab"], given: 2, known: 1) == nil)
    let stop = try StopStrings(["b"], tokenizer: pairs)
    #expect(stop.text(of: pairs.encode("ababab"), given: 1) == "aba")
    #expect(stop.text(of: pairs.encode("abab"), given: 2) == "abab")
  }

  /// A character that is joined from several is searched through too.
  @Test func stopsAreComparedByteByByte() throws {
    #expect(try end("ab\r\nc.", ["\n"]) == 2)
    #expect(try StopStrings(["\n"], tokenizer: ByteTokenizer()).text(of: ByteTokenizer().encode("a\r\nb")) == "a\r")
  }

  /// What is given begins no stop, so nothing of it is held back.
  @Test func aStreamHoldsBackNothingThatIsGiven() throws {
    let bytes = ByteTokenizer()
    var stream = try TextStream(bytes, stop: StopStrings(["b "], tokenizer: bytes), given: 2)
    #expect(stream.next(bytes.encode("ab"), isFinished: false) == "ab")
    #expect(stream.next(bytes.encode("ab b"), isFinished: false) == " ")
    #expect(stream.next(bytes.encode("ab b c"), isFinished: true) == "")
  }

  /// A text with a part that is known by its tokens alone.
  @Test func tokensAreAPartOfATemplate() throws {
    let template = PromptTemplate(parts: [.tokens([1, 2]), .hole(2), .text("ab")])
    #expect(try template.tokens(ByteTokenizer()) == [1, 2, nil, nil, 97, 98])
  }

  /// Neighbouring holes are as many as were asked for.
  @Test func holesStayApart() throws {
    let bytes = ByteTokenizer()
    let template = try PromptTemplate("[[1]][[2]]a[[..3]][[..4]]")
    #expect(try template.layout(bytes).holes == [0..<1, 1..<3, 4..<7, 7..<11])
    #expect(try template.layout(bytes, lengths: [2, 1]).holes == [0..<1, 1..<3, 4..<6, 6..<7])
    #expect(try PromptTemplate(prompt: "ab", hole: nil).layout(bytes, length: 5).holes == [2..<5])
  }

  /// In every way of coming bit by bit, a stream says in the end what the whole text is, and never takes back.
  @Test func streamsSayTheWholeText() throws {
    let text = "añ – 🙂 STOP!STOR STO"
    let bytes = ByteTokenizer()
    let tokens = bytes.encode(text)
    let stop = try StopStrings(["STOP!!", "RX"], tokenizer: bytes)
    for stop in [nil, stop] {
      for step in [1, 2, 5, 100] {
        var stream = TextStream(bytes, stop: stop)
        var said = ""
        for end in Array(stride(from: step, to: tokens.count, by: step)) + [tokens.count] {
          said += stream.next(tokens[..<end], isFinished: end == tokens.count)
          #expect(text.hasPrefix(said))
        }
        #expect(said == text)
      }
    }
    var cut = try TextStream(bytes, stop: StopStrings(["STOP!S"], tokenizer: bytes))
    var said = ""
    for end in 1...tokens.count { said += cut.next(tokens[..<end], isFinished: end == tokens.count) }
    #expect(said == "añ – 🙂 ")
    // The first bytes of a stop's last character: what stands before them may belong to it.
    for (stops, whole) in [(["ab€"], "x"), (["€"], "xab"), (["b–"], "xab€")] {
      var stream = try TextStream(bytes, stop: StopStrings(stops, tokenizer: bytes))
      let tokens = bytes.encode("xab€")
      let parts = (1...tokens.count).map { stream.next(tokens[..<$0], isFinished: $0 == tokens.count) }
      #expect(parts.joined() == whole)
    }
  }
}
