/// Tokens as text, by id. Every token has one id. An id may have none: it reads as an empty text, and nothing is
/// encoded as it.
struct Vocabulary: Sendable, Hashable {
  /// All tokens, one after another.
  private let bytes: [UInt8]
  /// Where each token begins, and where the last ends.
  private let starts: [Int]

  /// One more than the largest id.
  var count: Int { starts.count - 1 }

  init(_ tokens: some Collection<[UInt8]>) {
    bytes = Array(tokens.joined())
    var starts = [0]
    starts.reserveCapacity(tokens.count + 1)
    for token in tokens { starts.append(starts.last! + token.count) }
    self.starts = starts
  }

  /// Tokens with their ids in any order.
  ///
  /// - Throws: `VocabularyError` if an id is that of two tokens, or a token has two, or an id is out of all proportion.
  init(_ entries: [(token: [UInt8], id: Int)]) throws(VocabularyError) {
    let limit = Self.spareIDs + 2 * entries.count
    var tokens = [[UInt8]](repeating: [], count: entries.count)
    var ids: [[UInt8]: Int] = [:]
    ids.reserveCapacity(entries.count)
    for (token, id) in entries where !token.isEmpty {
      if let other = ids.updateValue(id, forKey: token) {
        throw .repeatedToken(Self.name(token), first: other, second: id)
      }
      guard id >= 0 else { throw .negativeID(id, Self.name(token)) }
      guard id < limit else { throw .largeID(id, Self.name(token), limit: limit) }
      if id >= tokens.count { tokens += Array(repeating: [], count: id + 1 - tokens.count) }
      guard tokens[id].isEmpty else {
        throw .repeatedID(id, first: Self.name(tokens[id]), second: Self.name(token))
      }
      tokens[id] = token
    }
    while tokens.last?.isEmpty == true { tokens.removeLast() }
    self.init(tokens)
  }

  /// How many ids may have no token, whatever the number of tokens: a small file must not take much memory.
  private static let spareIDs = 1 << 16

  subscript(id: Int) -> ArraySlice<UInt8> { bytes[starts[id]..<starts[id + 1]] }

  /// All ids, with the texts of those that have a token.
  var tokens: some RandomAccessCollection<[UInt8]> { (0..<count).lazy.map { Array(self[$0]) } }

  /// The id of every token.
  var ids: [[UInt8]: Int32] {
    var result: [[UInt8]: Int32] = [:]
    result.reserveCapacity(count)
    for id in 0..<count where starts[id] < starts[id + 1] { result[Array(self[id])] = Int32(id) }
    return result
  }

  /// These tokens and added ones, which have ids of their own behind them, or are among them.
  func adding(_ addedTokens: [AddedToken]) throws(VocabularyError) -> Vocabulary {
    var entries = tokens.enumerated().map { (token: $1, id: $0) }
    let known = ids
    for token in addedTokens {
      let content = Array(token.content.utf8)
      if known[content].map({ $0 == token.id }) != true { entries.append((content, Int(token.id))) }
    }
    return try Vocabulary(entries)
  }

  private static func name(_ token: [UInt8]) -> String { String(decoding: token, as: UTF8.self) }
}

/// A vocabulary in which a token or an id occurs twice, or an id cannot be.
public enum VocabularyError: Error, Hashable, CustomStringConvertible {
  /// An id that two tokens have.
  case repeatedID(Int, first: String, second: String)
  /// A token that has two ids.
  case repeatedToken(String, first: Int, second: Int)
  /// An id below 0.
  case negativeID(Int, String)
  /// An id beyond those that are read.
  case largeID(Int, String, limit: Int)
  /// Two added tokens that are looked for alike, so that nothing says which of them a text holds.
  case indistinct(AddedToken, AddedToken)

  public var description: String {
    switch self {
    case .repeatedID(let id, let first, let second):
      "id \(id) is both \(quoted(first)) and \(quoted(second)); expected one token"
    case .repeatedToken(let token, let first, let second):
      "token \(quoted(token)) has the ids \(first) and \(second); expected one"
    case .negativeID(let id, let token):
      "token \(quoted(token)) has id \(id); expected at least 0"
    case .largeID(let id, let token, let limit):
      "token \(quoted(token)) has id \(id); expected less than \(limit) for a vocabulary of this many tokens"
    case .indistinct(let first, let second):
      "the added tokens \(quoted(first.content)) (\(first.id)) and \(quoted(second.content)) (\(second.id)) are equal "
        + "once normalised; expected \"normalized\": false for one of them"
    }
  }
}
