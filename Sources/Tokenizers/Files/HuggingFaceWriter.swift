import Files
import Foundation

/// A tokenizer that Hugging Face's files hold.
protocol HuggingFaceTokenizer: Tokenizer {
  var addedTokens: [AddedToken] { get }
  var special: SpecialTokens.IDs { get }
  static var usualNames: SpecialTokens.UsualNames { get }
  /// Its `tokenizer.json`.
  var huggingFaceFile: Data { get }
  /// What its `tokenizer_config.json` says beside the special tokens.
  var statements: String { get }
}

extension HuggingFaceTokenizer {
  /// The names of its special tokens, where they are not those that a `tokenizer.json` is read with.
  var unusualSpecialTokens: SpecialTokens? {
    SpecialTokens(naming: special, among: addedTokens, usual: Self.usualNames)
  }

  /// Its `tokenizer_config.json`. The class is one without rules of its own, so that all versions of transformers follow
  /// `tokenizer.json`.
  var declaration: Data {
    func role(_ name: String, _ id: Int32?) -> String {
      guard let content = addedTokens.first(where: { $0.id == id })?.content else { return "" }
      return #","\#(name)":\#(HuggingFaceFile.string(content))"#
    }
    let padding = special.padding == special.end ? nil : special.padding
    return Data(
      (#"{"tokenizer_class":"PreTrainedTokenizerFast","clean_up_tokenization_spaces":false"# + statements
        + role("bos_token", special.beginning) + role("eos_token", special.end) + role("pad_token", padding)
        + role("mask_token", special.mask) + "}\n").utf8)
  }
}

extension BytePairTokenizer: HuggingFaceTokenizer {
  var huggingFaceFile: Data { HuggingFaceFile.data(for: self) }
  // transformers 4 lets this take the place of what the file says.
  var statements: String { #","add_prefix_space":\#(options.addsPrefixSpace)"# }
}

extension WordPieceTokenizer: HuggingFaceTokenizer {
  var huggingFaceFile: Data { HuggingFaceFile.data(for: self) }
  var statements: String { "" }
}

// Writing `tokenizer.json`: compact, tokens in the order of their ids, so that equal tokenizers give equal bytes.
extension HuggingFaceFile {
  fileprivate static func data(for tokenizer: BytePairTokenizer) -> Data {
    let options = tokenizer.options
    let names = Array(tokenizer.model.tokens)
    let unknown = options.unknown.map(string) ?? "null"
    func level(_ prefix: Bool) -> String {
      #"{"type":"ByteLevel","add_prefix_space":\#(prefix),"trim_offsets":true,"use_regex":\#(options.splitsWords)}"#
    }
    var text = Text(tokenizer.addedTokens)
    text.append(
      #""normalizer":null,"pre_tokenizer":\#(level(options.addsPrefixSpace)),"post_processor":null,"#
        + #""decoder":\#(level(true)),"model":{"type":"BPE","dropout":null,"unk_token":\#(unknown),"#
        + #""continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":\#(options.fusesUnknown),"#
        + #""byte_fallback":false,"#
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

  fileprivate static func data(for tokenizer: WordPieceTokenizer) -> Data {
    let options = tokenizer.options
    let unknown = string(String(decoding: tokenizer.model[Int(tokenizer.unknown)], as: UTF8.self))
    var text = Text(tokenizer.addedTokens)
    text.append(
      #""normalizer":{"type":"BertNormalizer","clean_text":\#(options.cleansText),"#
        + #""handle_chinese_chars":\#(options.separatesChinese),"strip_accents":\#(options.stripsAccents),"#
        + #""lowercase":\#(options.lowercases)},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"#
        + #""decoder":{"type":"WordPiece","prefix":\#(string(options.continuation)),"cleanup":\#(options.cleansUp)},"#
        + #""model":{"type":"WordPiece","unk_token":\#(unknown),"#
        + #""continuing_subword_prefix":\#(string(options.continuation)),"#
        + #""max_input_chars_per_word":\#(options.longestWord),"vocab":"#)
    text.append(vocabulary: Array(tokenizer.model.tokens))
    text.append("}}")
    return Data(text.bytes)
  }

  /// The older pair of files with the same contents: `vocab.json` and `merges.txt`.
  static func vocabularyFiles(for tokenizer: BytePairTokenizer) -> (vocabulary: Data, merges: Data) {
    let names = Array(tokenizer.model.tokens)
    var text = Text()
    text.append(vocabulary: names)
    let lines = tokenizer.merges.map { names[Int($0.left)] + [UInt8(ascii: " ")] + names[Int($0.right)] }
    let merges = Array("#version: 0.2\n".utf8) + lines.joined(separator: [UInt8(ascii: "\n")])
    return (Data(text.bytes), Data(merges + [UInt8(ascii: "\n")]))
  }

  static func string(_ text: String) -> String { String(decoding: JSONValue.quoted(text.utf8), as: UTF8.self) }

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
      append(
        list: names.enumerated().lazy.filter { !$1.isEmpty }.map { id, name in
          JSONValue.quoted(name) + Array(":\(id)".utf8)
        })
      append("}")
    }
  }
}
