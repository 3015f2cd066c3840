/// Which tokens stand around texts and in the place of text, by their contents. Where one is nil, the usual names tell.
public struct SpecialTokens: Hashable, Sendable {
  /// The token before a text.
  public var beginning: String?
  /// The token after a text.
  public var end: String?
  /// What fills sequences up.
  public var padding: String?
  /// What stands for a hidden token.
  public var mask: String?

  /// Tokens by what they mean; nil where there is none.
  public init(beginning: String? = nil, end: String? = nil, padding: String? = nil, mask: String? = nil) {
    self.beginning = beginning
    self.end = end
    self.padding = padding
    self.mask = mask
  }

  /// The same as ids.
  public struct IDs: Hashable, Sendable {
    /// What stands before a text.
    public internal(set) var beginning: Int32
    /// What stands after a text.
    public internal(set) var end: Int32
    /// What fills up sequences.
    public internal(set) var padding: Int32
    /// The mask; nil where the model is to append one.
    public internal(set) var mask: Int32?
  }

  /// The names that a kind of tokenizer usually has for them, the likeliest first.
  struct UsualNames {
    var beginning: [String]
    var end: [String]
    var padding: [String]
    var mask: [String]
  }

  /// - Throws: `SpecialTokenError` if a token that is named is no special one of `tokens`, or none ends a text.
  func ids(among tokens: [AddedToken], usual: UsualNames) throws(SpecialTokenError) -> IDs {
    func id(_ name: String) -> Int32? {
      tokens.first { $0.isSpecial && $0.content.utf8.elementsEqual(name.utf8) }?.id
    }
    func find(_ given: String?, _ usual: [String]) throws(SpecialTokenError) -> Int32? {
      guard let given else { return usual.lazy.compactMap(id).first }
      guard let found = id(given) else { throw .notFound(given) }
      return found
    }
    guard let end = try find(end, usual.end) else { throw .noEnd(expected: usual.end) }
    return IDs(
      beginning: try find(beginning, usual.beginning) ?? end, end: end,
      padding: try find(padding, usual.padding) ?? end,
      mask: try find(mask, usual.mask))
  }

  /// The names of `ids`; nil where the usual names say the same.
  init?(naming ids: IDs, among tokens: [AddedToken], usual: UsualNames) {
    guard (try? SpecialTokens().ids(among: tokens, usual: usual)) != ids else { return nil }
    func name(_ id: Int32) -> String? { tokens.first { $0.id == id }?.content }
    self.init(
      beginning: name(ids.beginning), end: name(ids.end), padding: name(ids.padding), mask: ids.mask.flatMap(name))
  }
}

/// A tokenizer that has special tokens among those of its vocabulary.
public protocol VocabularyTokenizer: Tokenizer {
  /// The special tokens among the ids.
  var special: SpecialTokens.IDs { get }
}

extension VocabularyTokenizer {
  public var endOfText: Int32 { special.end }
  public var beginningOfText: Int32 { special.beginning }
  public var padding: Int32 { special.padding }
  public var maskToken: Int32? { special.mask }
}

/// A special token that a vocabulary should have.
public enum SpecialTokenError: Error, Hashable, CustomStringConvertible {
  /// A token that the vocabulary does not hold.
  case notFound(String)
  /// No token that could end a text.
  case noEnd(expected: [String])

  public var description: String {
    switch self {
    case .notFound(let token):
      "the vocabulary has no special token \(quoted(token))"
    case .noEnd(let expected):
      "no special token ends a text; expected \(expected.map(quoted).joined(separator: " or ")), "
        + "or eos_token in a tokenizer_config.json beside it"
    }
  }
}
