/// Tokens as bytes, by id: every id from 0 on has exactly one, and every token one id.
struct Vocabulary: Sendable, Hashable {
  /// All tokens, one after another.
  private let bytes: [UInt8]
  /// Where each token begins, and where the last ends.
  private let starts: [Int]

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
  /// - Throws: `VocabularyError` if an id is missing, or is that of two tokens, or a token has two.
  init(_ entries: [(token: [UInt8], id: Int)]) throws(VocabularyError) {
    var tokens = [[UInt8]?](repeating: nil, count: entries.count)
    var ids: [[UInt8]: Int] = [:]
    ids.reserveCapacity(entries.count)
    for (token, id) in entries {
      if let other = ids.updateValue(id, forKey: token) {
        throw .repeatedToken(Self.name(token), first: other, second: id)
      }
      guard id >= 0 else { throw .negativeID(id, Self.name(token)) }
      guard id < tokens.count else { continue }  // Then a smaller id is missing.
      if let other = tokens[id] { throw .repeatedID(id, first: Self.name(other), second: Self.name(token)) }
      tokens[id] = token
    }
    if let missing = tokens.firstIndex(of: nil) {
      throw .missingID(missing, largest: ids.values.max() ?? 0)
    }
    self.init(tokens.map { $0! })
  }

  subscript(id: Int) -> ArraySlice<UInt8> { bytes[starts[id]..<starts[id + 1]] }

  /// The id of every token.
  var ids: [[UInt8]: Int32] {
    Dictionary(uniqueKeysWithValues: (0..<count).map { (Array(self[$0]), Int32($0)) })
  }

  /// Checks that added tokens have the ids of their texts.
  func check(_ addedTokens: [AddedToken]) throws(VocabularyError) {
    for token in addedTokens {
      let id = Int(token.id)
      guard (0..<count).contains(id) else { throw .missingID(id, largest: count - 1) }
      guard self[id].elementsEqual(token.content.utf8) else {
        throw .repeatedID(id, first: Self.name(Array(self[id])), second: token.content)
      }
    }
  }

  private static func name(_ token: [UInt8]) -> String { String(decoding: token, as: UTF8.self) }
}

/// A vocabulary whose ids are not those from 0 on, each once.
public enum VocabularyError: Error, Hashable, CustomStringConvertible {
  case missingID(Int, largest: Int)
  case repeatedID(Int, first: String, second: String)
  case repeatedToken(String, first: Int, second: Int)
  case negativeID(Int, String)

  public var description: String {
    switch self {
    case .missingID(let id, let largest):
      "id \(id) is missing from the vocabulary; expected every id from 0 to \(largest)"
    case .repeatedID(let id, let first, let second):
      "id \(id) is both \(quoted(first)) and \(quoted(second)); expected one token"
    case .repeatedToken(let token, let first, let second):
      "token \(quoted(token)) has the ids \(first) and \(second); expected one"
    case .negativeID(let id, let token):
      "token \(quoted(token)) has id \(id); expected at least 0"
    }
  }
}
