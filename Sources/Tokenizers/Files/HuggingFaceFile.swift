import Files
import Foundation

/// Hugging Face's `tokenizer.json`, as far as GPT-2's and BERT's tokenizers need it.
///
/// Rules of a file that are not known here are refused, not left out: ids would differ without a word. What a file says
/// of tokens put around a text (`post_processor`), truncation and padding is for its users and is not looked at.
enum HuggingFaceFile {
  // MARK: Reading

  /// - Throws: `Problem`, `VocabularyError` and the tokenizers' own errors.
  static func tokenizer(from json: JSONValue) throws -> any Tokenizer {
    let model = try member("model", of: json, "")
    let type = try model["type"].map { try text($0, "model.type") } ?? (model["merges"] == nil ? "WordPiece" : "BPE")
    switch type {
    case "BPE": return try bytePairTokenizer(json, model)
    case "WordPiece": return try wordPieceTokenizer(json, model)
    default: throw Problem.unsupported(field: "model.type", found: type, expected: "\"BPE\" or \"WordPiece\"")
    }
  }

  private static func bytePairTokenizer(_ json: JSONValue, _ model: JSONValue) throws -> BytePairTokenizer {
    for (field, neutral) in [("dropout", nil), ("continuing_subword_prefix", ""), ("end_of_word_suffix", "")] {
      guard let value = model[field] else { continue }
      if case .null = value { continue }
      guard let neutral, value.text == neutral else {
        throw Problem.unsupported(field: "model.\(field)", found: value.kind, expected: "null")
      }
    }
    guard model["byte_fallback"]?.bool != true else {
      throw Problem.unsupported(field: "model.byte_fallback", found: "true", expected: "false, as for byte-level BPE")
    }
    try requireNull(json["normalizer"], "normalizer")
    let splitter = try require("ByteLevel", json["pre_tokenizer"], "pre_tokenizer")
    _ = try require("ByteLevel", json["decoder"], "decoder")

    var options = BytePairTokenizer.Options()
    options.addsPrefixSpace = splitter["add_prefix_space"]?.bool ?? false
    options.splitsWords = splitter["use_regex"]?.bool ?? true
    options.ignoresMerges = model["ignore_merges"]?.bool ?? false

    let (vocabulary, added) = try tokens(json, model)
    let ids = vocabulary.ids
    let merges = try list(member("merges", of: model, "model"), "model.merges").enumerated().map { index, value in
      let parts = try mergeParts(value, "model.merges[\(index)]")
      guard let left = ids[parts.0], let right = ids[parts.1] else {
        throw BytePairError.mergeWithoutToken(index: index)
      }
      return BytePairTokenizer.Merge(left: left, right: right)
    }
    return try BytePairTokenizer(
      tokens: bytes(of: vocabulary, added), merges: merges, addedTokens: added, options: options)
  }

  private static func wordPieceTokenizer(_ json: JSONValue, _ model: JSONValue) throws -> WordPieceTokenizer {
    let normalizer = try require("BertNormalizer", json["normalizer"], "normalizer")
    _ = try require("BertPreTokenizer", json["pre_tokenizer"], "pre_tokenizer")
    var options = WordPieceTokenizer.Options()
    options.cleansText = normalizer["clean_text"]?.bool ?? true
    options.separatesChinese = normalizer["handle_chinese_chars"]?.bool ?? true
    options.lowercases = normalizer["lowercase"]?.bool ?? true
    options.stripsAccents = normalizer["strip_accents"]?.bool ?? options.lowercases
    options.continuation = model["continuing_subword_prefix"]?.text ?? "##"
    options.longestWord = model["max_input_chars_per_word"]?.integer ?? 100
    if json["decoder"] != nil {
      let decoder = try require("WordPiece", json["decoder"], "decoder")
      options.cleansUp = decoder["cleanup"]?.bool ?? true
    }
    let (vocabulary, added) = try tokens(json, model)
    return try WordPieceTokenizer(
      tokens: (0..<vocabulary.count).map { Array(vocabulary[$0]) }, unknown: model["unk_token"]?.text ?? "[UNK]",
      addedTokens: added, options: options, modelTokenCount: modelTokenCount(model))
  }

  /// How many tokens the model has, if they are the first ones.
  private static func modelTokenCount(_ model: JSONValue) -> Int? {
    guard case .object(let members)? = model["vocab"], members.allSatisfy({ ($1.integer ?? .max) < members.count })
    else {
      return nil
    }
    return members.count
  }

  /// The model's tokens and the added ones, as the file writes them.
  private static func tokens(_ json: JSONValue, _ model: JSONValue) throws -> (Vocabulary, [AddedToken]) {
    guard case .object(let members) = try member("vocab", of: model, "model") else {
      throw Problem.wrongKind(field: "model.vocab", expected: "an object")
    }
    var entries = try members.map { key, value -> (token: [UInt8], id: Int) in
      guard let id = value.integer else {
        throw Problem.wrongKind(
          field: "model.vocab.\(String(decoding: key, as: UTF8.self))", expected: "a whole number")
      }
      return (key, id)
    }
    let known = Dictionary(entries.map { ($0.token, $0.id) }, uniquingKeysWith: { first, _ in first })
    let added = try (json["added_tokens"].map { try list($0, "added_tokens") } ?? []).enumerated().map { index, value in
      try addedToken(value, "added_tokens[\(index)]")
    }
    for token in added where known[Array(token.content.utf8)] != Int(token.id) {
      entries.append((Array(token.content.utf8), Int(token.id)))
    }
    return (try Vocabulary(entries), added)
  }

  private static func addedToken(_ value: JSONValue, _ field: String) throws -> AddedToken {
    guard let id = try member("id", of: value, field).integer, let id = Int32(exactly: id) else {
      throw Problem.wrongKind(field: "\(field).id", expected: "a whole number")
    }
    func flag(_ name: String) -> Bool { value[name]?.bool ?? false }
    return AddedToken(
      id: id, content: try text(member("content", of: value, field), "\(field).content"), isSpecial: flag("special"),
      isWholeWord: flag("single_word"), stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
      isNormalized: flag("normalized"))
  }

  private static func mergeParts(_ value: JSONValue, _ field: String) throws -> ([UInt8], [UInt8]) {
    switch value {
    case .string(let line):
      let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      if parts.count == 2 { return (Array(parts[0]), Array(parts[1])) }
    case .array(let parts):
      if parts.count == 2, case .string(let left) = parts[0], case .string(let right) = parts[1] {
        return (left, right)
      }
    default: break
    }
    throw Problem.wrongKind(field: field, expected: "two tokens")
  }

  /// What the tokens of a file stand for. Added tokens stand for themselves, the others are written in the alphabet.
  static func bytes(of vocabulary: Vocabulary, _ added: [AddedToken]) -> [[UInt8]] {
    let asTheyStand = Set(added.map { Int($0.id) })
    return (0..<vocabulary.count).map { id in
      let text = Array(vocabulary[id])
      return asTheyStand.contains(id) ? text : ByteAlphabet.bytes(of: text) ?? text
    }
  }

  // MARK: Fields

  typealias Problem = TokenizerFileError.Problem

  private static func member(_ name: String, of value: JSONValue, _ place: String) throws(Problem) -> JSONValue {
    guard let member = value[name] else { throw .missing(field: place.isEmpty ? name : "\(place).\(name)") }
    return member
  }

  private static func text(_ value: JSONValue, _ field: String) throws(Problem) -> String {
    guard let text = value.text else { throw .wrongKind(field: field, expected: "a string") }
    return text
  }

  private static func list(_ value: JSONValue, _ field: String) throws(Problem) -> [JSONValue] {
    guard let elements = value.elements else { throw .wrongKind(field: field, expected: "a list") }
    return elements
  }

  private static func requireNull(_ value: JSONValue?, _ field: String) throws(Problem) {
    guard let value else { return }
    if case .null = value { return }
    throw .unsupported(field: field, found: value["type"]?.text ?? value.kind, expected: "null")
  }

  /// A step of the pipeline that must be of one type, also where it is the only one of a sequence.
  private static func require(_ type: String, _ value: JSONValue?, _ field: String) throws(Problem) -> JSONValue {
    var step = value ?? .null
    for list in ["pretokenizers", "decoders", "normalizers"] {
      if let steps = step[list]?.elements, steps.count == 1 { step = steps[0] }
    }
    guard let found = step["type"]?.text, found == type else {
      throw .unsupported(field: field, found: step["type"]?.text ?? step.kind, expected: "\"\(type)\"")
    }
    return step
  }
}

extension TokenizerFileError.Problem: Error {}
