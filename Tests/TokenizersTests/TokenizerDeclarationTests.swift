import Foundation
import TestSupport
import Testing
import Tokenizers

/// A vocabulary with what stands beside it. The ids are those of transformers 5.24.
@Suite("Files beside a vocabulary")
struct TokenizerDeclarationTests {
  private static let pieces = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nHello\nworld\nWorld\n##s\na\nA\n"
  /// The tokens of single bytes, then four words and the end.
  private static let pairs =
    "{"
    + ((0...255 as ClosedRange<UInt8>).map(alphabet) + ["ĊĊ", "hi", "Ġh", "Ġhi", "<|endoftext|>"]).enumerated()
    .map { #""\#($1)":\#($0)"# }.joined(separator: ",") + "}"
  private static let merges = "#version: 0.2\nĊ Ċ\nh i\nĠ h\nĠh i\n"

  /// GPT-2's way to write a byte, in JSON.
  private static func alphabet(_ byte: UInt8) -> String {
    switch byte {
    case 0x22, 0x5C: "\\" + String(Unicode.Scalar(byte))
    case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: String(Unicode.Scalar(byte))
    default:
      String(
        Unicode.Scalar(0x100 + UInt32((0..<byte).count { !(0x21...0x7E).contains($0) && $0 < 0xA1 || $0 == 0xAD }))!)
    }
  }

  /// Loads a vocabulary by its file and by its folder, which must give the same.
  private func load(_ files: [String: String], by name: String) throws -> any Tokenizer {
    try withTemporaryFolder { folder in
      for (file, text) in files { try text.write(to: "\(folder)/\(file)") }
      let tokenizer = try TokenizerFile.tokenizer(at: "\(folder)/\(name)")
      #expect(
        try TokenizerFile.data(for: TokenizerFile.tokenizer(at: folder)) == TokenizerFile.data(for: tokenizer))
      return tokenizer
    }
  }

  private func wordPieces(_ files: [String: String] = [:]) throws -> any Tokenizer {
    try load(["vocab.txt": Self.pieces].merging(files) { $1 }, by: "vocab.txt")
  }

  private func bytePairs(_ files: [String: String] = [:]) throws -> any Tokenizer {
    try load(["vocab.json": Self.pairs, "merges.txt": Self.merges].merging(files) { $1 }, by: "vocab.json")
  }

  @Test(
    arguments: [
      ("{}", [5, 7, 9, 5, 10]), (#"{"do_lower_case": false}"#, [6, 8, 9, 5, 11]),
      (#"{"do_lower_case": null, "tokenizer_class": "DistilBertTokenizerFast"}"#, [5, 7, 9, 5, 10]),
      (#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#, [6, 8, 9, 5, 11]),
    ] as [(String, [Int32])])
  func casesAreKeptWhereTheConfigurationSaysSo(config: String, ids: [Int32]) throws {
    #expect(try wordPieces(["tokenizer_config.json": config]).encode("Hello Worlds hello A") == ids)
  }

  /// The class's rules go before those of a `tokenizer.json`; a class without rules leaves them.
  @Test(
    arguments: [
      (nil, true, 5), (#"{"do_lower_case": false}"#, true, 6),
      (#"{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}"#, true, 5),
      (#"{"tokenizer_class": "BertTokenizerFast"}"#, false, 5), (nil, false, 6),
      (#"{"strip_accents": false}"#, true, 1),
    ] as [(String?, Bool, Int32)])
  func whatIsSaidBesideATokenizerFileIsHonoured(config: String?, lowercases: Bool, id: Int32) throws {
    let json = String(decoding: try TokenizerFile.data(for: wordPieces()), as: UTF8.self)
    var files = [
      "tokenizer.json": json.replacingOccurrences(of: #""lowercase":true"#, with: #""lowercase":\#(lowercases)"#)
        .replacingOccurrences(of: #""strip_accents":true"#, with: #""strip_accents":null"#)
    ]
    files["tokenizer_config.json"] = config
    #expect(try load(files, by: "tokenizer.json").encode(id == 1 ? "Héllo" : "Hello") == [id])
  }

  @Test func aSpaceIsAddedWhereTheConfigurationSaysSo() throws {
    #expect(try bytePairs().encode("hi hi") == [257, 32, 257])
    let config = #"{"add_prefix_space": true, "tokenizer_class": "GPT2Tokenizer"}"#
    #expect(try bytePairs(["tokenizer_config.json": config]).encode("hi hi") == [32, 257, 32, 257])
  }

  @Test func namedTokensStandWhereTheirRolesAre() throws {
    let tokenizer = try bytePairs([
      "tokenizer_config.json": #"{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": "<pad>"}"#
    ])
    // New tokens get the next ids, in the order bos, eos, unk, sep, pad, cls, mask.
    #expect(tokenizer.vocabularySize == 264)
    #expect([tokenizer.beginningOfText, tokenizer.endOfText, tokenizer.padding] == [261, 262, 263])
    #expect(try tokenizer.encode("hi<s>hi<pad></s>") == [257, 261, 257, 263, 262])
    let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer)) as? BytePairTokenizer
    #expect(restored == (tokenizer as? BytePairTokenizer))

    let older = try wordPieces([
      "special_tokens_map.json": #"{"bos_token": "[S]", "mask_token": {"content": "[MASK]", "lstrip": true}}"#,
      "added_tokens.json": #"{"[S]": 12, "New York": 13}"#,
    ])
    #expect([older.beginningOfText, older.endOfText] == [12, 3])
    #expect(try older.encode("hello [MASK] NEW york") == [5, 4, 13])
    let other = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: older)) as? WordPieceTokenizer
    #expect(other == (older as? WordPieceTokenizer))
  }

  /// A folder that is written says what it is, so that it is read the same by everyone.
  @Test func aFolderIsReadAsItWasWritten() throws {
    let config = #"{"eos_token": "</s>", "add_prefix_space": true}"#
    for tokenizer in [try bytePairs(["tokenizer_config.json": config]), try wordPieces()] {
      let files = try TokenizerFile.folderFiles(for: tokenizer).map {
        ($0.name, String(decoding: $0.data, as: UTF8.self))
      }
      #expect(files.map(\.0) == ["tokenizer.json", "tokenizer_config.json"])
      #expect(files[1].1.hasPrefix(#"{"tokenizer_class":"PreTrainedTokenizerFast","#))
      let restored = try load(Dictionary(files) { $1 }, by: "tokenizer.json")
      #expect(try TokenizerFile.data(for: restored) == TokenizerFile.data(for: tokenizer))
    }
  }

  @Test(arguments: [
    (
      "tokenizer_config.json", #"{"tokenizer_class": "Qwen2Tokenizer"}"#,
      #"field "tokenizer_class" is "Qwen2Tokenizer", which is not supported; expected "GPT2Tokenizer", or a"#
    ),
    (
      "tokenizer_config.json", #"{"tokenizer_class": "BertTokenizerFast"}"#,
      #"field "tokenizer_class" is "BertTokenizer", which is not supported"#
    ),
    ("tokenizer_config.json", #"{"tokenizer_class": 3}"#, #"field "tokenizer_class" should be a string"#),
    ("tokenizer_config.json", #"{"add_prefix_space": 1}"#, #"field "add_prefix_space" should be true or false"#),
    ("tokenizer_config.json", #"{"split_special_tokens": true}"#, #"field "split_special_tokens" is "true", which is"#),
    ("tokenizer_config.json", #"{"eos_token": 5}"#, #"field "eos_token" should be a token, as text or with its"#),
    ("tokenizer_config.json", "[]", "not a JSON object"),
    ("tokenizer_config.json", "{", "no valid JSON at byte 1: expected a key in quotes"),
    ("tokenizer_config.json", "<!doctype html>", "it is an HTML page; expected a tokenizer's text"),
    (
      "tokenizer_config.json", #"{"added_tokens_decoder": {"300": {"content": "<x>"}}}"#,
      #"field "added_tokens_decoder.300": token "<x>" has the id 300 there; expected 261, the next one, which"#
    ),
    (
      "tokenizer_config.json", #"{"added_tokens_decoder": {"x": "<x>"}}"#,
      #"field "added_tokens_decoder.x" should be at a token's id"#
    ),
    ("special_tokens_map.json", #"{"additional_special_tokens": "<x>"}"#, #"field "additional_special_tokens" should"#),
    ("added_tokens.json", #"{"hi": 5}"#, #"field "hi": token "hi" has the id 5 there; expected 257, as elsewhere"#),
    ("added_tokens.json", #"{"hi": "x"}"#, #"field "hi" should be a token's id"#),
  ])
  func whatCannotBeHonouredIsNamed(name: String, text: String, problem: String) throws {
    try withTemporaryFolder { folder in
      for (file, text) in ["vocab.json": Self.pairs, "merges.txt": Self.merges, name: text] {
        try text.write(to: "\(folder)/\(file)")
      }
      for place in [folder, "\(folder)/vocab.json"] {
        let found = try #require(message { try TokenizerFile.tokenizer(at: place) })
        #expect(found.hasPrefix("\(folder)/\(name): \(problem)"), "\(found)")
        #expect(!found.contains("\n"))
      }
    }
  }

  @Test func aMarkOfUTF8IsNoText() throws {
    let mark = "\u{FEFF}"
    #expect(try wordPieces(["vocab.txt": mark + Self.pieces]).padding == 0)
    let pairs = try bytePairs([
      "vocab.json": mark + Self.pairs, "merges.txt": mark + Self.merges,
      "tokenizer_config.json": mark + #"{"add_prefix_space": true}"#,
    ])
    #expect(try pairs.encode("hi") == [32, 257])
  }

  /// Added tokens that text may hold in two ways: which of them it is, nothing says.
  @Test func indistinctTokensAreRefused() throws {
    let found = message {
      try wordPieces(["added_tokens.json": #"{"New York": 12, "NEW YORK": 13}"#])
    }
    #expect(
      found?.hasSuffix(
        #"vocab.txt: the added tokens "New York" (12) and "NEW YORK" (13) are equal once normalised; "#
          + #"expected "normalized": false for one of them"#) == true, "\(found ?? "")")
  }
}

/// Ids without a token, bytes without one. The ids are those of Hugging Face's tokenizers 0.23.
@Suite("Vocabularies with gaps")
struct VocabularyGapTests {
  private func file(_ vocabulary: String, added: String = "", unknown: String = "null", fuses: Bool = false) -> Data {
    Data(
      (#"{"added_tokens":[{"id":0,"content":"<eos>","single_word":false,"lstrip":false,"rstrip":false,"#
        + #""normalized":false,"special":true}\#(added)],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","#
        + #""add_prefix_space":false},"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":\#(unknown),"#
        + #""fuse_unk":\#(fuses),"vocab":\#(vocabulary),"merges":[["a","b"]]}}"#).utf8)
  }

  private let words = #"{"<eos>":0,"a":1,"b":2,"c":3,"ab":4}"#

  @Test(
    arguments: [
      (nil, false, [4, 4, 2]), ("<eos>", false, [1, 0, 0, 2, 4, 0, 0, 2]), ("<eos>", true, [1, 0, 2, 4, 0, 2]),
    ] as [(String?, Bool, [Int32])])
  func bytesWithoutATokenAreLeftOutOrUnknown(unknown: String?, fuses: Bool, ids: [Int32]) throws {
    // Left out, they let their neighbours be merged.
    let data = file(words, unknown: unknown.map { "\"\($0)\"" } ?? "null", fuses: fuses)
    let tokenizer = try #require(try TokenizerFile.tokenizer(from: data) as? BytePairTokenizer)
    #expect(try tokenizer.encode("axxbab xb") == ids)
    #expect(
      tokenizer.note == "the vocabulary has no token for 240 of the 256 bytes, such as 0x0, which are "
        + (unknown == nil ? "left out of text" : #"read as "<eos>""#))
    #expect(try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer)) as? BytePairTokenizer == tokenizer)
  }

  @Test func idsWithoutATokenReadAsNothing() throws {
    let tokenizer = try TokenizerFile.tokenizer(from: file(#"{"<eos>":0,"a":1,"b":2,"c":7,"ab":4}"#))
    #expect(tokenizer.vocabularySize == 8 && tokenizer.modelMaskToken == 8)
    #expect(try tokenizer.encode("abc") == [4, 7])
    #expect(tokenizer.decode([1, 3, 5, 6, 7, 8]) == "ac\u{FFFD}")
    #expect(try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer)).vocabularySize == 8)
    let pieces = try WordPieceTokenizer(
      tokens: ["[UNK]", "[SEP]", "", "a", "", "b"].map { Array($0.utf8) },
      addedTokens: [AddedToken(id: 1, content: "[SEP]")])
    #expect(pieces.decode([3, 2, 4, 5]) == "a b")
  }

  /// One letter is a byte's token, and found as it stands; by itself it decodes to that byte.
  @Test func anAddedTokenMayBeTheTokenOfAByte() throws {
    let added = { (id: Int) in
      #",{"id":\#(id),"content":"é","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}"#
    }
    let inside = try TokenizerFile.tokenizer(
      from: file(#"{"<eos>":0,"a":1,"b":2,"Ã":3,"ab":4,"©":5,"é":6}"#, added: added(6)))
    #expect(try inside.encode("éa") == [6, 1])
    #expect(inside.decode([1, 6]) == "a\u{FFFD}" && inside.decode([3, 5]) == "é")
    let outside = try TokenizerFile.tokenizer(from: file(#"{"<eos>":0,"a":1,"b":2,"Ã":3,"ab":4}"#, added: added(5)))
    #expect(try outside.encode("é\u{E8}a") == [5, 3, 1])
    for tokenizer in [inside, outside] {
      let restored = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer)) as? BytePairTokenizer
      #expect(restored == (tokenizer as? BytePairTokenizer))
    }
  }
}

@Suite("text8")
struct Text8TokenizerTests {
  private let tokenizer = Text8Tokenizer()

  @Test func idsAreThoseOfThePublishedModels() throws {
    #expect(try tokenizer.encode("az Z") == [8, 33, 34, 33])
    #expect(try tokenizer.encode("a1\n\u{E9}\u{212A}") == [8, 7, 7, 7, 18])
    #expect(try tokenizer.encode(utf8: [0x61, 0xFF]) == [8, 7])
    #expect(tokenizer.vocabularySize == 35 && tokenizer.modelVocabularySize == 35 && tokenizer.modelMaskToken == 4)
    #expect([tokenizer.beginningOfText, tokenizer.endOfText, tokenizer.padding] == [2, 3, 5])
    #expect(tokenizer.decode(0..<36) == "abcdefghijklmnopqrstuvwxyz \u{FFFD}")
    #expect(
      tokenizer.decode(0..<9, keepingSpecialTokens: true) == "[CLS][SEP][BOS][EOS][MASK][PAD][RESERVED][UNK]a")
  }

  @Test func itsFileIsItsName() throws {
    let data = try TokenizerFile.data(for: tokenizer)
    #expect(String(decoding: data, as: UTF8.self) == #"{"format":"esolm-tokenizer","type":"text8","version":1}"#)
    #expect(try TokenizerFile.tokenizer(from: data) is Text8Tokenizer)
  }
}

@Suite("Sudoku's tokens")
struct SudokuTokenizerTests {
  private let tokenizer = SudokuTokenizer()

  @Test func digitsAreThemselves() throws {
    #expect(try tokenizer.encode("12 34\r\n98\t7\n") == [1, 2, 3, 4, 9, 8, 7])
    #expect(tokenizer.decode([1, 0, 10, 11, 9, 12]) == "19\u{FFFD}")
    #expect(tokenizer.decode([10, 1, 0, 11], keepingSpecialTokens: true) == "[BOS]10[EOS]")
    #expect(tokenizer.vocabularySize == 12 && tokenizer.modelVocabularySize == 12 && tokenizer.modelMaskToken == 0)
    #expect(tokenizer.beginningOfText == 10 && tokenizer.endOfText == 11 && tokenizer.padding == 11)
  }

  /// An empty cell too: where all text that is a mask was left out, all cells behind it would move.
  @Test(arguments: ["0", ".", "a", "１"]) func whatIsNoDigitIsNamedWithItsLine(character: String) {
    let error = #expect(throws: UnknownCharacterError.self) { try tokenizer.encode("12\n34\(character)") }
    #expect(error?.line == 2 && error?.character == character.unicodeScalars.first)
  }

  @Test func itIsStoredInItsFile() throws {
    let data = try TokenizerFile.data(for: tokenizer)
    #expect(String(decoding: data, as: UTF8.self) == #"{"format":"esolm-tokenizer","type":"sudoku","version":1}"#)
    #expect(try TokenizerFile.tokenizer(from: data) is SudokuTokenizer)
  }
}
