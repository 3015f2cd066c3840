import Files
import Foundation

/// Hugging Face's `tokenizer.json`, as far as GPT-2's and BERT's tokenizers need it.
///
/// Rules of a file that are not known here are refused, not left out: ids would differ without a word. What a file says
/// of tokens put around a text (`post_processor`), truncation and padding is for its users and is not looked at.
enum HuggingFaceFile {
  // MARK: Reading

  /// - Parameter declaration: what stands beside the file.
  /// - Throws: `Problem`, `TokenizerFileError`, and the tokenizers' own errors.
  static func tokenizer(
    from json: JSONValue, _ declaration: TokenizerDeclaration = TokenizerDeclaration(),
    specialTokens: SpecialTokens? = nil
  ) throws -> any Tokenizer {
    let model = try member("model", of: json, "")
    let type = try model["type"].map { try text($0, "model.type") } ?? (model["merges"] == nil ? "WordPiece" : "BPE")
    let special = specialTokens ?? declaration.specialTokens
    switch type {
    case "BPE": return try bytePairTokenizer(json, model, declaration, special)
    case "WordPiece": return try wordPieceTokenizer(json, model, declaration, special)
    default: throw Problem.unsupported(field: "model.type", found: type, expected: "\"BPE\" or \"WordPiece\"")
    }
  }

  private static func bytePairTokenizer(
    _ json: JSONValue, _ model: JSONValue, _ declaration: TokenizerDeclaration, _ special: SpecialTokens
  ) throws -> BytePairTokenizer {
    for (field, neutral) in [("dropout", nil), ("continuing_subword_prefix", ""), ("end_of_word_suffix", "")] {
      guard let value = model[field] else { continue }
      if case .null = value { continue }
      guard let neutral, value.text == neutral else {
        throw Problem.unsupported(field: "model.\(field)", found: value.kind, expected: "null")
      }
    }
    guard try flag("byte_fallback", of: model, "model") != true else {
      throw Problem.unsupported(field: "model.byte_fallback", found: "true", expected: "false, as for byte-level BPE")
    }
    try requireNull(json["normalizer"], "normalizer")
    let splitter = try require("ByteLevel", json["pre_tokenizer"], "pre_tokenizer")
    _ = try require("ByteLevel", json["decoder"], "decoder")

    var options = BytePairTokenizer.Options()
    // A class's own rules take the place of the file's.
    if declaration.className == TokenizerDeclaration.bytePairClass {
      options.addsPrefixSpace = try declaration.bool("add_prefix_space") ?? false
    } else {
      options.addsPrefixSpace = try flag("add_prefix_space", of: splitter, "pre_tokenizer") ?? false
      if declaration.className == nil, let said = try declaration.bool("add_prefix_space") {
        options.addsPrefixSpace = said
      }
      options.splitsWords = try flag("use_regex", of: splitter, "pre_tokenizer") ?? true
      options.ignoresMerges = try flag("ignore_merges", of: model, "model") ?? false
      options.unknown = model["unk_token"]?.text
      options.fusesUnknown = try flag("fuse_unk", of: model, "model") ?? false
    }

    let (vocabulary, added) = try tokens(json, model, declaration)
    let ids = vocabulary.ids
    let merges = try list(member("merges", of: model, "model"), "model.merges").enumerated().map { index, value in
      let parts = try mergeParts(value, "model.merges[\(index)]")
      guard let left = ids[parts.0], let right = ids[parts.1] else {
        throw BytePairError.mergeWithoutToken(index: index)
      }
      return BytePairTokenizer.Merge(left: left, right: right)
    }
    return try BytePairTokenizer(
      model: vocabulary, merges: merges, addedTokens: added, options: options, specialTokens: special)
  }

  private static func wordPieceTokenizer(
    _ json: JSONValue, _ model: JSONValue, _ declaration: TokenizerDeclaration, _ special: SpecialTokens
  ) throws -> WordPieceTokenizer {
    let normalizer = try require("BertNormalizer", json["normalizer"], "normalizer")
    _ = try require("BertPreTokenizer", json["pre_tokenizer"], "pre_tokenizer")
    var options = WordPieceTokenizer.Options()
    var unknown = model["unk_token"]?.text ?? "[UNK]"
    // A class's own rules take the place of the file's.
    if declaration.className.map(TokenizerDeclaration.wordPieceClasses.contains) == true {
      try options.apply(declaration)
      unknown = declaration.content(of: "unk_token") ?? "[UNK]"
    } else {
      options.cleansText = try flag("clean_text", of: normalizer, "normalizer") ?? true
      options.separatesChinese = try flag("handle_chinese_chars", of: normalizer, "normalizer") ?? true
      options.lowercases = try flag("lowercase", of: normalizer, "normalizer") ?? true
      let stripsAccents = try flag("strip_accents", of: normalizer, "normalizer")
      options.stripsAccents = stripsAccents ?? options.lowercases
      if declaration.className == nil { try options.apply(declaration, stripsAccents: stripsAccents) }
      options.continuation = model["continuing_subword_prefix"]?.text ?? "##"
      options.longestWord = model["max_input_chars_per_word"]?.integer ?? 100
    }
    if json["decoder"] != nil {
      let decoder = try require("WordPiece", json["decoder"], "decoder")
      options.cleansUp = try flag("cleanup", of: decoder, "decoder") ?? true
    }
    let (vocabulary, added) = try tokens(json, model, declaration)
    return try WordPieceTokenizer(
      model: vocabulary, unknown: unknown, addedTokens: added, options: options, specialTokens: special)
  }

  /// The model's tokens, and the added ones, as the file writes them.
  private static func tokens(
    _ json: JSONValue, _ model: JSONValue, _ declaration: TokenizerDeclaration
  ) throws -> (Vocabulary, [AddedToken]) {
    guard case .object(let members) = try member("vocab", of: model, "model") else {
      throw Problem.wrongKind(field: "model.vocab", expected: "an object")
    }
    let vocabulary = try Vocabulary(
      members.map { key, value -> (token: [UInt8], id: Int) in
        guard let id = value.integer else {
          throw Problem.wrongKind(
            field: "model.vocab.\(String(decoding: key, as: UTF8.self))", expected: "a whole number")
        }
        return (key, id)
      })
    var added = AddedTokenList(model: vocabulary)
    let stated = try json["added_tokens"].map { try list($0, "added_tokens") } ?? []
    for (index, value) in stated.enumerated() {
      let field = "added_tokens[\(index)]"
      guard let id = try member("id", of: value, field).integer.flatMap(Int32.init(exactly:)) else {
        throw Problem.wrongKind(field: "\(field).id", expected: "a whole number")
      }
      try added.state(addedToken(value, field, id: id), field: "\(field).id")
    }
    return (vocabulary, try declaration.tokens(added: added.tokens, to: vocabulary))
  }

  /// A rule that is on or off; nil where nothing is said of it.
  private static func flag(_ name: String, of value: JSONValue, _ field: String) throws(Problem) -> Bool? {
    guard let flag = value[name], flag.kind != "null" else { return nil }
    guard let bool = flag.bool else { throw .wrongKind(field: "\(field).\(name)", expected: "true or false") }
    return bool
  }

  /// A token with its rules.
  static func addedToken(_ value: JSONValue, _ field: String, id: Int32) throws(Problem) -> AddedToken {
    func flag(_ name: String) throws(Problem) -> Bool? { try self.flag(name, of: value, field) }
    let isSpecial = try flag("special") ?? false
    return AddedToken(
      id: id, content: try text(member("content", of: value, field), "\(field).content"), isSpecial: isSpecial,
      isWholeWord: try flag("single_word") ?? false, stripsLeft: try flag("lstrip") ?? false,
      stripsRight: try flag("rstrip") ?? false, isNormalized: try flag("normalized") ?? !isSpecial)
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

  // MARK: Fields

  typealias Problem = TokenizerFileError.Problem

  static func member(_ name: String, of value: JSONValue, _ place: String) throws(Problem) -> JSONValue {
    guard let member = value[name] else { throw .missing(field: place.isEmpty ? name : "\(place).\(name)") }
    return member
  }

  static func text(_ value: JSONValue, _ field: String) throws(Problem) -> String {
    guard let text = value.text else { throw .wrongKind(field: field, expected: "a string") }
    return text
  }

  static func list(_ value: JSONValue, _ field: String) throws(Problem) -> [JSONValue] {
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

extension WordPieceTokenizer.Options {
  /// Takes over what stands beside a vocabulary.
  ///
  /// - Parameter stripsAccents: whether accents are taken off, where that is not said there; nil where lower case is.
  mutating func apply(_ declaration: TokenizerDeclaration, stripsAccents other: Bool? = nil) throws {
    lowercases = try declaration.bool("do_lower_case") ?? lowercases
    separatesChinese = try declaration.bool("tokenize_chinese_chars") ?? separatesChinese
    stripsAccents = try declaration.bool("strip_accents") ?? other ?? lowercases
  }
}
