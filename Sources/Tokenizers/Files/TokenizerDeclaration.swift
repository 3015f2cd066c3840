import Files
import Foundation

/// What the files beside a vocabulary say about it: `tokenizer_config.json`, and the older `special_tokens_map.json` and
/// `added_tokens.json`, which are read where the first lists no added tokens.
///
/// Each statement is honoured as transformers 5 does, or refused by file and field; what is about the use of tokens
/// only, such as tokens put around a text, padding and truncation, is not looked at.
struct TokenizerDeclaration {
  typealias Problem = TokenizerFileError.Problem

  static let fileName = "tokenizer_config.json"

  /// The name of a tokenizer's class, without "Fast"; nil if none is named.
  private(set) var className: String?

  private var file = Source(path: "", json: .null)
  /// By role, such as `eos_token`, the token, in the order in which new ones get their ids.
  private var named: [(role: String, token: Stated)] = []
  /// Tokens with their ids.
  private var listed: [Stated] = []
  private var extra: [Stated] = []

  /// A file's contents.
  private struct Source {
    let path: String
    let json: JSONValue

    func error(_ problem: Problem) -> TokenizerFileError { TokenizerFileError(path: path, problem: problem) }
  }

  /// A token, and where it is stated.
  private struct Stated {
    var token: AddedToken
    let source: Source
    let field: String
  }

  /// The classes whose rules are known, by the kind of their vocabulary.
  static let bytePairClass = "GPT2Tokenizer"
  static let wordPieceClasses = ["BertTokenizer", "DistilBertTokenizer"]
  /// Classes that have no rules of their own.
  private static let plainClasses = ["PreTrainedTokenizer", "TokenizersBackend"]

  private static let roles = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  /// Statements that are known for one value alone.
  private static let fixed: [(field: String, value: Bool)] = [
    ("split_special_tokens", false), ("do_basic_tokenize", true),
  ]

  /// No statement at all.
  init() {}

  /// What is said in a folder.
  ///
  /// - Throws: `FileError` or `TokenizerFileError`, which name the file.
  init(in folder: String) throws {
    func read(_ name: String) throws -> Source? {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      guard FileManager.default.fileExists(atPath: path) else { return nil }
      let source = Source(path: path, json: try TokenizerFile.json(at: path))
      guard case .object = source.json else { throw source.error(.notJSON) }
      return source
    }
    let config = try read(Self.fileName)
    if let config {
      file = config
      for (field, value) in Self.fixed {
        guard let found = try bool(field), found != value else { continue }
        throw config.error(.unsupported(field: field, found: "\(found)", expected: "\(value)"))
      }
      if let words = config.json["never_split"]?.elements, !words.isEmpty {
        throw config.error(.unsupported(field: "never_split", found: "a list", expected: "null"))
      }
      if let name = try Self.text("tokenizer_class", in: config) {
        className = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
      }
      try readRoles(config)
    }
    if case .object(let members)? = config?.json["added_tokens_decoder"], let config {
      for (key, value) in members {
        let key = String(decoding: key, as: UTF8.self)
        let field = "added_tokens_decoder.\(key)"
        guard let id = Int32(key) else { throw config.error(.wrongKind(field: field, expected: "at a token's id")) }
        listed.append(try Self.token(value, field, in: config, id: id))
      }
    } else {
      // The older file goes before the newer one.
      if let map = try read("special_tokens_map.json") { try readRoles(map) }
      if let source = try read("added_tokens.json"), case .object(let members) = source.json {
        let special = Set((named.map(\.token) + extra).map { Array($0.token.content.utf8) })
        for (key, value) in members {
          let content = String(decoding: key, as: UTF8.self)
          guard let id = value.integer.flatMap(Int32.init(exactly:)) else {
            throw source.error(.wrongKind(field: content, expected: "a token's id"))
          }
          let isSpecial = special.contains(key)
          let token = AddedToken(id: id, content: content, isSpecial: isSpecial, isNormalized: !isSpecial)
          listed.append(Stated(token: token, source: source, field: content))
        }
      }
    }
    listed.sort { $0.token.id < $1.token.id }
  }

  private mutating func readRoles(_ source: Source) throws {
    for role in Self.roles {
      guard let value = source.json[role], value.kind != "null" else { continue }
      var stated = try Self.token(value, role, in: source)
      stated.token.isSpecial = true
      named.removeAll { $0.role == role }
      named.append((role, stated))
    }
    let order = Dictionary(uniqueKeysWithValues: Self.roles.enumerated().map { ($1, $0) })
    named.sort { order[$0.role]! < order[$1.role]! }
    for field in ["extra_special_tokens", "additional_special_tokens"] {
      guard let value = source.json[field], value.kind != "null" else { continue }
      let tokens: [JSONValue]
      switch value {
      case .array(let elements): tokens = elements
      case .object(let members): tokens = members.map(\.value)  // named ones
      default: throw source.error(.wrongKind(field: field, expected: "a list of tokens"))
      }
      guard !tokens.isEmpty else { continue }
      extra = try tokens.enumerated().map { index, value in
        var stated = try Self.token(value, "\(field)[\(index)]", in: source)
        stated.token.isSpecial = true
        return stated
      }
      break
    }
  }

  /// A token as its content alone, which makes it a special one, or with its rules.
  private static func token(
    _ value: JSONValue, _ field: String, in source: Source, id: Int32 = -1
  ) throws -> Stated {
    if let content = value.text {
      return Stated(token: AddedToken(id: id, content: content), source: source, field: field)
    }
    guard case .object = value, value["content"]?.text != nil else {
      throw source.error(.wrongKind(field: field, expected: "a token, as text or with its \"content\""))
    }
    do {
      return Stated(token: try HuggingFaceFile.addedToken(value, field, id: id), source: source, field: field)
    } catch {
      throw source.error(error)
    }
  }

  private static func text(_ field: String, in source: Source) throws -> String? {
    guard let value = source.json[field], value.kind != "null" else { return nil }
    guard let text = value.text else { throw source.error(.wrongKind(field: field, expected: "a string")) }
    return text
  }

  // MARK: What it says

  /// A statement; nil if it is not made, or is null.
  func bool(_ field: String) throws -> Bool? {
    guard let value = file.json[field], value.kind != "null" else { return nil }
    guard let bool = value.bool else { throw file.error(.wrongKind(field: field, expected: "true or false")) }
    return bool
  }

  /// Throws unless a class's rules are those of a vocabulary without rules of its own.
  func requireClass(among classes: [String]) throws {
    guard let className, !(classes + Self.plainClasses).contains(className) else { return }
    throw file.error(
      .unsupported(
        field: "tokenizer_class", found: className,
        expected: classes.map(quoted).joined(separator: " or ") + ", or a tokenizer.json, which says the rules itself"))
  }

  /// Whether any role is named.
  var namesRoles: Bool { !named.isEmpty }

  /// The content of the token of the first of some roles that is named.
  func content(of roles: String...) -> String? {
    roles.lazy.compactMap { role in named.first { $0.role == role }?.token.token.content }.first
  }

  var specialTokens: SpecialTokens {
    SpecialTokens(
      beginning: content(of: "bos_token", "cls_token"), end: content(of: "eos_token", "sep_token"),
      padding: content(of: "pad_token"), mask: content(of: "mask_token"))
  }

  /// The added tokens of a model's vocabulary, and those stated here, with their ids.
  ///
  /// A token that is new gets the next id, as in Hugging Face's tokenizers, whatever id is stated for it: so another one
  /// is refused.
  func tokens(added: [AddedToken], to model: Vocabulary) throws -> [AddedToken] {
    var list = AddedTokenList(added, model: model)
    for stated in listed {
      do {
        try list.state(stated.token, field: stated.field)
      } catch {
        throw stated.source.error(error)
      }
    }
    for stated in named.map(\.token) + extra { list.require(stated.token) }
    return list.tokens
  }
}

/// Added tokens on their way to a vocabulary, each content once.
struct AddedTokenList {
  private(set) var tokens: [AddedToken] = []
  private var places: [[UInt8]: Int] = [:]
  private let ids: [[UInt8]: Int32]
  private var largest: Int

  init(_ tokens: [AddedToken] = [], model: Vocabulary) {
    ids = model.ids
    largest = ids.count - 1
    for token in tokens { put(token) }
  }

  private mutating func put(_ token: AddedToken) {
    let key = Array(token.content.utf8)
    if let place = places[key] {
      tokens[place] = token
    } else {
      places[key] = tokens.count
      tokens.append(token)
    }
    largest = max(largest, Int(token.id))
  }

  /// The id of a token: its own, or the next one.
  private func id(of content: String) -> Int {
    let key = Array(content.utf8)
    return places[key].map { Int(tokens[$0].id) } ?? ids[key].map(Int.init) ?? largest + 1
  }

  /// Adds a token of a stated id, or gives one that is there other rules.
  mutating func state(_ token: AddedToken, field: String) throws(TokenizerFileError.Problem) {
    guard !token.content.isEmpty else { return }
    let id = id(of: token.content)
    guard id == Int(token.id) else {
      throw .invalid(
        "field \"\(field)\": token \(quoted(token.content)) has the id \(token.id) there; expected \(id), "
          + (id > largest ? "the next one, which Hugging Face's tokenizers give it" : "as elsewhere"))
    }
    put(token)
  }

  /// Makes sure that there is a special token of this content.
  mutating func require(_ token: AddedToken) {
    guard !token.content.isEmpty else { return }
    if let place = places[Array(token.content.utf8)] {
      tokens[place].isSpecial = true
    } else if let id = Int32(exactly: id(of: token.content)) {
      var token = token
      token.id = id
      put(token)
    }
  }
}
