import Files
import Foundation

/// The older files of the same vocabularies: `vocab.json` with `merges.txt`, and `vocab.txt`.
enum VocabularyFiles {
  typealias Problem = TokenizerFileError.Problem

  /// Names of special tokens. GPT-2's files do not mark theirs.
  private static let bytePairSpecials = ["<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"]
  private static let wordPieceSpecials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"]

  /// GPT-2's `vocab.json`, whose contents are given, with the lines of `merges.txt`.
  static func bytePairTokenizer(
    vocabulary json: JSONValue, merges: Data, _ declaration: TokenizerDeclaration
  ) throws -> BytePairTokenizer {
    try declaration.requireClass(among: [TokenizerDeclaration.bytePairClass])
    guard case .object(let members) = json else { throw Problem.notJSON }
    let entries = try members.map { key, value -> (token: [UInt8], id: Int) in
      guard let id = value.integer else {
        throw Problem.wrongKind(field: String(decoding: key, as: UTF8.self), expected: "a whole number")
      }
      return (key, id)
    }
    let vocabulary = try Vocabulary(entries)
    let ids = vocabulary.ids
    // Where there is GPT-2's own, or tokens are named, the other names may be ordinary tokens.
    let own = specials(ids, Array(bytePairSpecials.prefix(1)))
    let usual = own.isEmpty && !declaration.namesRoles ? specials(ids, bytePairSpecials) : own
    var options = BytePairTokenizer.Options()
    options.addsPrefixSpace = try declaration.bool("add_prefix_space") ?? false
    return try BytePairTokenizer(
      model: vocabulary, merges: try self.merges(merges, ids),
      addedTokens: declaration.tokens(added: usual, to: vocabulary), options: options,
      specialTokens: declaration.specialTokens)
  }

  private static func merges(_ data: Data, _ ids: [[UInt8]: Int32]) throws -> [BytePairTokenizer.Merge] {
    var merges: [BytePairTokenizer.Merge] = []
    for (index, line) in lines(data).enumerated() {
      if line.isEmpty || index == 0 && line.starts(with: Array("#version".utf8)) { continue }
      let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw Problem.invalid("line \(index + 1) is no pair of tokens") }
      guard let left = ids[Array(parts[0])], let right = ids[Array(parts[1])] else {
        throw Problem.invalid("line \(index + 1) merges tokens that are not in the vocabulary")
      }
      merges.append(BytePairTokenizer.Merge(left: left, right: right))
    }
    return merges
  }

  /// BERT's `vocab.txt`: a token a line, numbered from 0.
  static func wordPieceTokenizer(_ data: Data, _ declaration: TokenizerDeclaration) throws -> WordPieceTokenizer {
    try declaration.requireClass(among: TokenizerDeclaration.wordPieceClasses)
    var tokens = lines(data)
    while tokens.last?.isEmpty == true { tokens.removeLast() }
    var places: [[UInt8]: Int] = [:]
    for (id, token) in tokens.enumerated() {
      guard !token.isEmpty else { throw Problem.invalid("line \(id + 1) is empty; expected a token") }
      if let first = places.updateValue(id, forKey: token) {
        throw Problem.invalid(
          "line \(id + 1) is \(quoted(String(decoding: token, as: UTF8.self))), as is line \(first + 1); "
            + "expected each token once")
      }
    }
    var options = WordPieceTokenizer.Options()
    try options.apply(declaration)
    let vocabulary = Vocabulary(tokens)
    let usual = specials(places.mapValues(Int32.init), wordPieceSpecials)
    return try WordPieceTokenizer(
      model: vocabulary, unknown: declaration.content(of: "unk_token") ?? "[UNK]",
      addedTokens: declaration.tokens(added: usual, to: vocabulary), options: options,
      specialTokens: declaration.specialTokens)
  }

  private static func specials(_ ids: [[UInt8]: Int32], _ names: [String]) -> [AddedToken] {
    names.compactMap { name in ids[Array(name.utf8)].map { AddedToken(id: $0, content: name) } }
  }

  private static func lines(_ data: Data) -> [[UInt8]] {
    data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
      line.last == UInt8(ascii: "\r") ? Array(line.dropLast()) : Array(line)
    }
  }
}
