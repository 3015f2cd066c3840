import Randomness
import Testing
import Tokenizers

@Suite("Tokenizers")
struct TokenizerTests {
  /// Texts that go wrong where scalars, characters and bytes are confused.
  static let texts = [
    "", "a", "hello world", "line\nline\r\nline\r", "e\u{301}é", "👩‍👩‍👧🇩🇪", "\0\u{7F}\u{FEFF}\u{FFFD}\u{10FFFF}",
    "日本語 “quoted”",
  ]

  @Test(arguments: [TokenizerKind.bytes, .characters], texts)
  func roundTrip(kind: TokenizerKind, text: String) throws {
    let tokenizer = kind.makeTokenizer(for: text)
    let tokens = try tokenizer.encode(text)
    #expect(tokens.allSatisfy { 0 <= $0 && $0 < tokenizer.endOfText })
    #expect(Int(tokenizer.endOfText) == tokenizer.vocabularySize - 1)
    #expect(Array(tokenizer.decode(tokens).unicodeScalars) == Array(text.unicodeScalars))
    #expect(tokenizer.decode(tokens + [tokenizer.endOfText]) == text)
  }

  @Test(arguments: [TokenizerKind.bytes, .characters])
  func randomTextsRoundTrip(kind: TokenizerKind) throws {
    var generator = CounterGenerator(seed: 1, stream: .validation)
    for _ in 0..<10 {
      var scalars = String.UnicodeScalarView()
      for _ in 0..<40 { scalars.append(.random(using: &generator)) }
      let tokenizer = kind.makeTokenizer(for: String(scalars))
      let tokens = try tokenizer.encode(String(scalars))
      #expect(tokenizer.decode(tokens).unicodeScalars.elementsEqual(scalars))
    }
  }

  @Test(arguments: [TokenizerKind.bytes, .characters])
  func everyTokenDecodes(kind: TokenizerKind) {
    let tokenizer = kind.makeTokenizer(for: "abc")
    for token in [.min, -1, Int32(tokenizer.vocabularySize), .max] {
      #expect(tokenizer.decode([token]) == "\u{FFFD}")
      #expect(tokenizer.decode(CollectionOfOne(token)) == "\u{FFFD}")
    }
    var generator = CounterGenerator(seed: 2, stream: .validation)
    for _ in 0..<200 {
      let tokens = (0..<20).map { _ in Int32(truncatingIfNeeded: Int64(generator.next() % 600) - 100) }
      #expect(tokenizer.decode(tokens).utf8.count <= 3 * tokens.count)
    }
  }
}

@Suite("Bytes")
struct ByteTokenizerTests {
  let tokenizer = ByteTokenizer()

  @Test func everyByteHasItsOwnID() {
    #expect(tokenizer.vocabularySize == 257)
    #expect(tokenizer.endOfText == 256)
    #expect(tokenizer.encode("a\né") == [97, 10, 0xC3, 0xA9])
    for byte in 0..<256 as Range<Int32> {
      let expected = byte < 128 ? String(Unicode.Scalar(UInt8(byte))) : "\u{FFFD}"
      #expect(tokenizer.decode([byte]) == expected)
    }
  }

  @Test func invalidUTF8IsRepaired() {
    #expect(tokenizer.decode([97, 0xFF, 98]) == "a\u{FFFD}b")
    #expect(tokenizer.decode([0xE2, 0x82, 97]) == "\u{FFFD}a")
    #expect(tokenizer.decode([0xC3, -5, 0xA9]) == "\u{FFFD}\u{FFFD}\u{FFFD}")
  }

  @Test func bytesOfTwoDocumentsFormNoCharacter() {
    #expect(tokenizer.decode([0xC3, 0xA9]) == "é")
    #expect(tokenizer.decode([0xC3, 256, 0xA9]) == "\u{FFFD}\u{FFFD}")
    #expect(tokenizer.decode([97, 256, 98, 256, 256]) == "ab")
  }
}

@Suite("Characters")
struct CharacterTokenizerTests {
  @Test func vocabularyIsTheSortedScalars() throws {
    let tokenizer = CharacterTokenizer(text: "b\r\na\u{301}b")
    #expect(tokenizer.characters == ["\n", "\r", "a", "b", "\u{301}"])
    #expect(tokenizer.vocabularySize == 6)
    #expect(tokenizer.endOfText == 5)
    #expect(try tokenizer.encode("ab\u{301}\r\n") == [2, 3, 4, 1, 0])
    #expect(tokenizer.decode([2, 5, 6, -1, 3]) == "a\u{FFFD}\u{FFFD}b")
  }

  @Test(
    arguments: [
      ("ab\nac\nb", "c", 2, #"line 2: character "c" (U+0063) is not in the tokenizer's vocabulary"#),
      ("é", "é", 1, #"line 1: character "é" (U+00E9) is not in the tokenizer's vocabulary"#),
      ("\n\n\r\n", "\r", 3, #"line 3: character "\r" (U+000D) is not in the tokenizer's vocabulary"#),
      ("a😀", "😀", 1, #"line 1: character "😀" (U+1F600) is not in the tokenizer's vocabulary"#),
    ] as [(String, Unicode.Scalar, Int, String)])
  func unknownCharacter(text: String, character: Unicode.Scalar, line: Int, message: String) throws {
    let tokenizer = CharacterTokenizer(text: "ab\n")
    let error = try #require(throws: UnknownCharacterError.self) { try tokenizer.encode(text) }
    #expect(error.character == character)
    #expect(error.line == line)
    #expect(error.description == message)
  }

  @Test func vocabularyOfNothing() {
    let tokenizer = CharacterTokenizer(text: "")
    #expect(tokenizer.vocabularySize == 1)
    #expect(tokenizer.decode([0, 1]) == "\u{FFFD}")
    #expect(throws: UnknownCharacterError.self) { try tokenizer.encode("a") }
  }
}

extension Unicode.Scalar {
  /// A scalar with a UTF-8 encoding of 1 to 4 bytes, each length as likely.
  fileprivate static func random(using generator: inout CounterGenerator) -> Unicode.Scalar {
    let ranges: [ClosedRange<UInt32>] = [0...0x7F, 0x80...0x7FF, 0x800...0xD7FF, 0x1_0000...0x10_FFFF]
    let range = ranges[Int(generator.next() % 4)]
    return Unicode.Scalar(range.lowerBound + UInt32(generator.next() % UInt64(range.count))) ?? " "
  }
}
