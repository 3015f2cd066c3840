import Foundation
import Randomness
import TestSupport
import Testing
import Tokenizers

/// The vocabularies of the recorded cases.
enum Vocabularies {
  static let folder = Fixtures.path(of: "tokenizers")

  static func bytePairs() throws -> BytePairTokenizer {
    try #require(try TokenizerFile.tokenizer(at: "\(folder)/tokenizer.json") as? BytePairTokenizer)
  }

  static func wordPieces() throws -> WordPieceTokenizer {
    try #require(try TokenizerFile.tokenizer(at: "\(folder)/wordpiece-tokenizer.json") as? WordPieceTokenizer)
  }

  /// Pieces of text that tokenizers treat differently.
  static let pieces = [
    "the", " the", "Hello", "'s", "'ll", "n't", " ", "  ", "\n", "\r\n", "\t", "\u{A0}", "\u{3000}", "123", "½", "é",
    "e\u{301}", "日本", "한국", "😀", "👩‍👩‍👧", ".", "...", "?!", "_", "<|endoftext|>", "[MASK]", "<|", "A", "ﬁ", "\0",
    "\u{FFFD}", "\u{AD}", "İ", "न्", "Ω",
  ]

  static func randomText(_ generator: inout CounterGenerator) -> String {
    (0..<Int(generator.next() % 30)).map { _ in pieces[Int(generator.next() % UInt64(pieces.count))] }.joined()
  }
}

@Suite("Byte pair encoding")
struct BytePairTokenizerTests {
  let tokenizer: BytePairTokenizer

  init() throws { tokenizer = try Vocabularies.bytePairs() }

  @Test func whatFollowsATextIsNamed() {
    #expect(tokenizer.vocabularySize == 1000)
    #expect(tokenizer.endOfText == 0)
    #expect(tokenizer.beginningOfText == 0)
    #expect(tokenizer.maskToken == nil)
    #expect(tokenizer.modelVocabularySize == 1001)
    #expect(tokenizer.modelMaskToken == 1000)
  }

  @Test func textsRoundTrip() throws {
    var generator = CounterGenerator(seed: 1, stream: .validation)
    for _ in 0..<300 {
      let text = Vocabularies.randomText(&generator)
      let tokens = try tokenizer.encode(text)
      #expect(tokenizer.decode(tokens, keepingSpecialTokens: true).utf8.elementsEqual(text.utf8))
      #expect(
        tokenizer.decode(tokens).utf8.elementsEqual(
          text.replacingOccurrences(of: "<|endoftext|>", with: "").utf8))
    }
  }

  @Test func bytesThatAreNotUTF8AreKept() throws {
    var generator = CounterGenerator(seed: 2, stream: .validation)
    for _ in 0..<200 {
      let bytes = (0..<40).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 7) }
      let tokens = try tokenizer.encode(utf8: bytes)
      #expect(tokenizer.bytes(of: tokens, keepingSpecialTokens: true) == bytes)
    }
  }

  @Test func idsOutsideTheVocabularyAreReplaced() {
    #expect(
      tokenizer.decode([65, 1000, -1, 65]) == tokenizer.decode([65]) + "\u{FFFD}\u{FFFD}" + tokenizer.decode([65]))
  }

  /// Words of all lengths, by the definition: the lowest of all ranks, the leftmost of equals, until none is left.
  @Test(arguments: [1, 2, 7, 47, 48, 49, 50, 64, 65, 200, 1000])
  func wordsAreMergedInTheOrderOfRanks(length: Int) throws {
    let ranks = Dictionary(
      tokenizer.merges.enumerated().map { ([$1.left, $1.right], $0) }, uniquingKeysWith: { $1 })
    var generator = CounterGenerator(seed: UInt64(length), stream: .validation)
    for letters in ["a", "eth", "etaoinshr"] {
      let text = String((0..<length).map { _ in Array(letters)[Int(generator.next() % UInt64(letters.count))] })
      var word = text.utf8.map { byte in [byte] }
      func id(_ bytes: [UInt8]) throws -> Int32 { try #require(try tokenizer.encode(utf8: bytes).first) }
      var tokens = try word.map(id)
      while true {
        let candidates = zip(tokens, tokens.dropFirst()).enumerated().compactMap { place, pair in
          ranks[[pair.0, pair.1]].map { (rank: $0, place: place) }
        }
        guard let best = candidates.min(by: { ($0.rank, $0.place) < ($1.rank, $1.place) }) else { break }
        word[best.place] += word.remove(at: best.place + 1)
        tokens[best.place] = try id(word[best.place])
        tokens.remove(at: best.place + 1)
      }
      #expect(try tokenizer.encode(text) == tokens)
    }
  }

  /// Merges in an order that no trainer gives: a later rank makes what an earlier one needs.
  @Test func mergesMayComeInAnyOrder() throws {
    let alphabet = (0...255 as ClosedRange<UInt8>).map { [$0] }
    let (a, b, c) = (Int32(97), Int32(98), Int32(99))
    let tokens = alphabet + ["bc", "ab", "abc", "aa", "abcabc", "<|endoftext|>"].map { Array($0.utf8) }
    let merges = [(257, c), (258, 258), (a, b), (b, c), (a, a), (a, 256)] as [(Int32, Int32)]
    let tokenizer = try BytePairTokenizer(
      tokens: tokens, merges: merges.map { .init(left: $0, right: $1) },
      addedTokens: [AddedToken(id: 261, content: "<|endoftext|>")])
    #expect(try tokenizer.encode("abcabc") == [260])
    for count in [1, 30, 100] {
      let text = String(repeating: "abcabcaab", count: count)
      let expected = Array(repeating: [260, 97, 257] as [Int32], count: count).flatMap { $0 }
      #expect(try tokenizer.encode(text) == expected)
    }
  }

  @Test(arguments: [
    ("a b", ["a", " b"]), ("a  b", ["a", " ", " b"]), ("a \n b", ["a", " \n", " b"]),
    ("it's I'LL", ["it", "'s", " I", "'", "LL"]),
    ("x'll've", ["x", "'ll", "'ve"]), (" 12ab.", [" 12", "ab", "."]), ("a   ", ["a", "   "]), ("!'s", ["!'", "s"]),
    ("\u{3000}\u{3000}x", ["\u{3000}", "\u{3000}", "x"]), ("½x²", ["½", "x", "²"]), ("é\u{301}", ["é", "\u{301}"]),
  ])
  func textIsCutIntoWords(text: String, words: [String]) throws {
    // Without merges each byte is a token; a merge of neighbours shows where words end.
    let whole = try tokenizer.encode(text)
    #expect(try words.flatMap { try tokenizer.encode($0) } == whole)
  }

  @Test func aTextCanBeCutAtABoundary() throws {
    var generator = CounterGenerator(seed: 3, stream: .validation)
    var found = 0
    for _ in 0..<500 {
      var text = Array(Vocabularies.randomText(&generator).utf8)
      if generator.next() % 4 == 0 { text = text.dropLast(1) }  // perhaps inside a character
      let boundary = text.withUnsafeBufferPointer { tokenizer.makeEncoder().lastBoundary(in: $0) }
      guard let boundary else { continue }
      found += 1
      let parts = try tokenizer.encode(utf8: text[..<boundary]) + tokenizer.encode(utf8: text[boundary...])
      #expect(try parts == tokenizer.encode(utf8: text))
    }
    #expect(found > 50)
  }

  @Test func anEncoderGivesTheSameAgain() throws {
    let encoder = tokenizer.makeEncoder()
    var generator = CounterGenerator(seed: 4, stream: .validation)
    for _ in 0..<200 {
      let text = Array(Vocabularies.randomText(&generator).utf8)
      var tokens: [Int32] = []
      try text.withUnsafeBufferPointer { try encoder.append($0, to: &tokens) }
      #expect(try tokens == tokenizer.encode(utf8: text))
    }
  }

  @Test func addedTokensAreFoundAsTheyAskFor() throws {
    let alphabet = (0...255 as ClosedRange<UInt8>).map { [$0] }
    let added = [
      AddedToken(id: 256, content: "<|endoftext|>"), AddedToken(id: 257, content: "<x>", stripsLeft: true),
      AddedToken(id: 258, content: "<y>", stripsRight: true), AddedToken(id: 259, content: "word", isWholeWord: true),
      AddedToken(id: 260, content: "<x><x>", isSpecial: false),
    ]
    let tokenizer = try BytePairTokenizer(
      tokens: alphabet + added.map { Array($0.content.utf8) }, merges: [], addedTokens: added)
    func bytes(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }
    #expect(try tokenizer.encode("a <x> b") == bytes("a") + [257] + bytes(" b"))
    #expect(try tokenizer.encode("a <y> \n b") == bytes("a ") + [258] + bytes("b"))
    #expect(try tokenizer.encode("a<x><x>") == bytes("a") + [260])
    #expect(try tokenizer.encode("word, sword word_ (word)") == [259] + bytes(", sword word_ (") + [259] + bytes(")"))
    #expect(try tokenizer.encode("<|endoftext|") == bytes("<|endoftext|"))
    #expect(tokenizer.decode([97, 256, 260]) == "a<x><x>")
    #expect([UInt8]("a b".utf8).withUnsafeBufferPointer { tokenizer.makeEncoder().lastBoundary(in: $0) } == nil)
  }

  /// As Hugging Face's tokenizers have it.
  @Test func someAddedTokensGoBeforeOthers() throws {
    let alphabet = (0...255 as ClosedRange<UInt8>).map { [$0] }
    let added = [
      AddedToken(id: 256, content: "<|endoftext|>", isNormalized: true), AddedToken(id: 257, content: "__"),
      AddedToken(id: 258, content: "a__b", isNormalized: true), AddedToken(id: 259, content: "+-", isWholeWord: true),
      AddedToken(id: 260, content: "-c", isSpecial: false),
    ]
    let tokenizer = try BytePairTokenizer(
      tokens: alphabet + added.map { Array($0.content.utf8) }, merges: [], addedTokens: added)
    func bytes(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }
    // What is found in normalised text is looked for only where the others leave text.
    #expect(try tokenizer.encode("a__b") == bytes("a") + [257] + bytes("b"))
    #expect(try tokenizer.encode("a<|endoftext|>b") == bytes("a") + [256] + bytes("b"))
    // One that is no whole word hides those that begin inside it.
    #expect(try tokenizer.encode("a+-c") == bytes("a+-c"))
    #expect(try tokenizer.encode("+- +-c -c") == [259] + bytes(" +-c ") + [260])
  }

  @Test func optionsOfAFileAreKept() throws {
    var options = BytePairTokenizer.Options()
    options.addsPrefixSpace = true
    options.ignoresMerges = true
    let tokens = (0...255 as ClosedRange<UInt8>).map { [$0] } + [Array(" ab".utf8), Array("<|endoftext|>".utf8)]
    let tokenizer = try BytePairTokenizer(
      tokens: tokens, merges: [], addedTokens: [AddedToken(id: 257, content: "<|endoftext|>")], options: options)
    #expect(try tokenizer.encode("ab") == [256])
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
    #expect(restored as? BytePairTokenizer == tokenizer)
    #expect(try restored.encode("ab ab") == [256, 256])
  }
}
