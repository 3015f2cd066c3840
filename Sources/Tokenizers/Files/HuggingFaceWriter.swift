import Files
import Foundation

// Writing `tokenizer.json`: compact, tokens in the order of their ids, so that equal tokenizers give equal bytes.
extension HuggingFaceFile {
  static func data(for tokenizer: BytePairTokenizer) -> Data {
    let options = tokenizer.options
    let names = names(of: tokenizer)
    func level(_ prefix: Bool) -> String {
      #"{"type":"ByteLevel","add_prefix_space":\#(prefix),"trim_offsets":true,"use_regex":\#(options.splitsWords)}"#
    }
    var text = Text(tokenizer.addedTokens)
    text.append(
      #""normalizer":null,"pre_tokenizer":\#(level(options.addsPrefixSpace)),"post_processor":null,"#
        + #""decoder":\#(level(true)),"model":{"type":"BPE","dropout":null,"unk_token":null,"#
        + #""continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"#
        + #""ignore_merges":\#(options.ignoresMerges),"vocab":"#)
    text.append(vocabulary: names)
    text.append(#","merges":["#)
    text.append(
      list: tokenizer.merges.lazy.map { merge in
        Array("[".utf8) + JSONValue.quoted(names[Int(merge.left)]) + Array(",".utf8)
          + JSONValue.quoted(names[Int(merge.right)]) + Array("]".utf8)
      })
    text.append("]}}")
    return Data(text.bytes)
  }

  static func data(for tokenizer: WordPieceTokenizer) -> Data {
    let options = tokenizer.options
    let unknown = string(String(decoding: tokenizer.vocabulary[Int(tokenizer.unknown)], as: UTF8.self))
    var text = Text(tokenizer.addedTokens)
    text.append(
      #""normalizer":{"type":"BertNormalizer","clean_text":\#(options.cleansText),"#
        + #""handle_chinese_chars":\#(options.separatesChinese),"strip_accents":\#(options.stripsAccents),"#
        + #""lowercase":\#(options.lowercases)},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"#
        + #""decoder":{"type":"WordPiece","prefix":\#(string(options.continuation)),"cleanup":\#(options.cleansUp)},"#
        + #""model":{"type":"WordPiece","unk_token":\#(unknown),"#
        + #""continuing_subword_prefix":\#(string(options.continuation)),"#
        + #""max_input_chars_per_word":\#(options.longestWord),"vocab":"#)
    text.append(vocabulary: (0..<tokenizer.modelTokenCount).map { Array(tokenizer.vocabulary[$0]) })
    text.append("}}")
    return Data(text.bytes)
  }

  /// The older pair of files with the same contents: `vocab.json` and `merges.txt`.
  static func vocabularyFiles(for tokenizer: BytePairTokenizer) -> (vocabulary: Data, merges: Data) {
    let names = names(of: tokenizer)
    var text = Text()
    text.append(vocabulary: names)
    let lines = tokenizer.merges.map { names[Int($0.left)] + [UInt8(ascii: " ")] + names[Int($0.right)] }
    let merges = Array("#version: 0.2\n".utf8) + lines.joined(separator: [UInt8(ascii: "\n")])
    return (Data(text.bytes), Data(merges + [UInt8(ascii: "\n")]))
  }

  /// The tokens as the files write them.
  private static func names(of tokenizer: BytePairTokenizer) -> [[UInt8]] {
    let asTheyStand = Set(tokenizer.addedTokens.map(\.id))
    return (0..<tokenizer.vocabularySize).map { id in
      asTheyStand.contains(Int32(id))
        ? Array(tokenizer.vocabulary[id]) : Array(ByteAlphabet.text(of: tokenizer.vocabulary[id]).utf8)
    }
  }

  private static func string(_ text: String) -> String { String(decoding: JSONValue.quoted(text.utf8), as: UTF8.self) }

  /// The file as far as it is written.
  private struct Text {
    private(set) var bytes: [UInt8] = []

    init() {}

    init(_ addedTokens: [AddedToken]) {
      append(#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":["#)
      append(
        list: addedTokens.map { token in
          Array(
            (#"{"id":\#(token.id),"content":\#(string(token.content)),"single_word":\#(token.isWholeWord),"#
              + #""lstrip":\#(token.stripsLeft),"rstrip":\#(token.stripsRight),"#
              + #""normalized":\#(token.isNormalized),"special":\#(token.isSpecial)}"#).utf8)
        })
      append("],")
    }

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func append(list: some Sequence<[UInt8]>) {
      for (index, element) in list.enumerated() { bytes += (index > 0 ? [UInt8(ascii: ",")] : []) + element }
    }

    mutating func append(vocabulary names: [[UInt8]]) {
      append("{")
      append(list: names.enumerated().lazy.map { id, name in JSONValue.quoted(name) + Array(":\(id)".utf8) })
      append("}")
    }
  }
}
