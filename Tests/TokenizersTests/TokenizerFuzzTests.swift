import Foundation
import Randomness
import TestSupport
import Testing
import Tokenizers

/// Damaged files are refused in one line, or give a tokenizer that works; nothing crashes or hangs.
@Suite("Damaged tokenizer files")
struct TokenizerFuzzTests {
  /// `ESOLM_FUZZ_TOKENIZERS` says how many files are damaged.
  private static let count = ProcessInfo.processInfo.environment["ESOLM_FUZZ_TOKENIZERS"].flatMap(Int.init) ?? 1000

  private static let config = """
    {"tokenizer_class": "GPT2Tokenizer", "do_lower_case": true, "strip_accents": null, "add_prefix_space": true,
     "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": true}, "eos_token": "[SEP]", "pad_token": null,
     "additional_special_tokens": ["<x>"], "added_tokens_decoder": {"1": {"content": "[SEP]", "special": true}}}
    """
  private static let added = #"{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[SEP]","special":true}"#
  private static let tail = ###""vocab":{"[UNK]":0,"[SEP]":1,"a":2,"##b":3,"b":4,"ab":5}"###
  private static let merges = "#version: 0.2\na b\n"

  /// Folders, the file that is named in them first.
  private static let folders: [[(name: String, text: String)]] = [
    [
      (
        "tokenizer.json",
        #"{"added_tokens":[\#(added)],"normalizer":{"type":"BertNormalizer"},"#
          + #""pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece",\#(tail)}}"#
      ), ("tokenizer_config.json", config.replacingOccurrences(of: "GPT2", with: "Bert")),
    ],
    [
      (
        "tokenizer.json",
        #"{"added_tokens":[\#(added)],"pre_tokenizer":{"type":"ByteLevel","use_regex":false},"#
          + #""decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":"[UNK]",\#(tail),"merges":["a b"]}}"#
      ), ("tokenizer_config.json", config.replacingOccurrences(of: "GPT2Tokenizer", with: "PreTrainedTokenizerFast")),
    ],
    [
      (
        "vocab.json",
        "{\(tail)}".replacingOccurrences(of: #"{"vocab":{"#, with: "{").replacingOccurrences(of: "}}", with: "}")
      ),
      ("merges.txt", merges), ("special_tokens_map.json", #"{"eos_token": "[SEP]", "mask_token": {"content": "<m>"}}"#),
      ("added_tokens.json", #"{"<m>": 6, "New": 7}"#), ("tokenizer_config.json", #"{"add_prefix_space": true}"#),
    ],
    [
      ("vocab.txt", "[UNK]\n[SEP]\na\n##b\nb\n"),
      ("tokenizer_config.json", config.replacingOccurrences(of: "GPT2", with: "Bert")),
    ],
    [
      (
        "tokenizer.json",
        #"{"format":"esolm-tokenizer","version":1,"type":"padded","vocabularySize":9,"maskToken":8,"#
          + #""tokenizer":{"format":"esolm-tokenizer","version":1,"type":"characters","characters":["a","b"," "]}}"#
      )
    ],
  ]

  @Test func theyAreRefusedOrWork() throws {
    var generator = CounterGenerator(seed: 12, stream: .validation)
    func random(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }
    var read = 0
    try withTemporaryFolder { folder in
      for _ in 0..<Self.count {
        let files = Self.folders[random(Self.folders.count)]
        let damaged = random(files.count)
        for (index, file) in files.enumerated() {
          var bytes = Array(file.text.utf8)
          if index == damaged { for _ in 0...random(3) { damage(&bytes, random) } }
          try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(file.name)"))
        }
        do {
          let tokenizer = try TokenizerFile.tokenizer(at: "\(folder)/\(files[0].name)")
          read += 1
          _ = tokenizer.decode((try? tokenizer.encode("ab [SEP] New<x> é<m>")) ?? [])
          _ = tokenizer.decode([-1, 0, 3, 9, 100_000], keepingSpecialTokens: true)
          let again = try TokenizerFile.tokenizer(from: TokenizerFile.data(for: tokenizer))
          #expect(again.modelVocabularySize == tokenizer.modelVocabularySize)
        } catch {
          #expect(!"\(error)".contains("\n") && "\(error)".contains(folder), "\(error)")
        }
        for file in files { try FileManager.default.removeItem(atPath: "\(folder)/\(file.name)") }
      }
    }
    #expect(read > Self.count / 20 && read < Self.count)
  }

  /// Changes a byte, a number or a word, cuts something out, or repeats it.
  private func damage(_ bytes: inout [UInt8], _ random: (Int) -> Int) {
    guard !bytes.isEmpty else { return }
    let place = random(bytes.count)
    let end = min(bytes.count, place + 1 + random(12))
    switch random(6) {
    case 0: bytes[place] = UInt8(random(256))
    case 1: bytes.removeSubrange(place..<end)
    case 2: bytes.insert(contentsOf: bytes[place..<end], at: random(bytes.count))
    case 3: bytes.removeSubrange(place...)
    case 4:
      let words = [
        "null", "true", "\"a\"", "[]", "{}", "-1", "1e300", "2147483647", "99999999999", "[[[[", "\u{FEFF}", "\\u0000",
      ]
      bytes.insert(contentsOf: words[random(words.count)].utf8, at: place)
    default:
      guard let digit = bytes[place...].firstIndex(where: { (0x30...0x39).contains($0) }) else { return }
      bytes.replaceSubrange(digit...digit, with: ["7", "70000", "-3", "4294967296", "0.5"][random(5)].utf8)
    }
  }
}
