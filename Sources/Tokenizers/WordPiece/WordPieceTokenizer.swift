/// BERT's tokenizer: a text is normalised and cut into words, a word into the longest tokens that the vocabulary has.
///
/// Upper case, accents and white space are lost: `decode` gives the text of the tokens, words apart by one space.
/// `encode` and `decode` are those of Hugging Face's `tokenizers` for a `WordPiece` model with `BertNormalizer`,
/// `BertPreTokenizer` and `WordPiece` decoder, without `[CLS]` and `[SEP]` added around a text.
public struct WordPieceTokenizer: VocabularyTokenizer, Sendable {
  /// What is done to text before it is cut into words.
  public struct Options: Hashable, Sendable {
    /// Whether control characters go and white space becomes spaces.
    public var cleansText = true
    /// Whether each Chinese character is a word.
    public var separatesChinese = true
    /// Whether accents go.
    public var stripsAccents = true
    /// Whether letters become small.
    public var lowercases = true
    /// What tokens inside a word begin with.
    public var continuation = "##"
    /// A word of more characters is unknown.
    public var longestWord = 100
    /// Whether decoding joins punctuation to the word before it.
    public var cleansUp = true

    /// The options of bert-base-uncased.
    public init() {}
  }

  /// What is done to text.
  public let options: Options
  /// The id of what has no pieces.
  public let unknown: Int32
  /// Tokens that are looked for in text before it is cut into words.
  public let addedTokens: [AddedToken]

  /// The tokens that words are made of; added ones may stand outside it.
  let model: Vocabulary
  /// The special tokens among the ids.
  public let special: SpecialTokens.IDs

  private let vocabulary: Vocabulary

  private let ids: [[UInt8]: Int32]
  private let specials: Set<Int32>
  /// Tokens found in the text as it is, and those found in the normalised text.
  private let finder: AddedTokenFinder
  private let normalizedFinder: AddedTokenFinder
  private let normalizer: BertNormalizer

  public var vocabularySize: Int { vocabulary.count }

  /// - Parameters:
  ///   - unknown: the token of words that cannot be written.
  ///   - addedTokens: those of `tokens` that are found in a text as they stand.
  ///   - specialTokens: which tokens stand around texts.
  ///   - options: what is done to text.
  ///   - tokens: all tokens as bytes, by id; an empty one is none.
  ///   - modelTokenCount: of how many of the first tokens words are made; nil for all.
  /// - Throws: `VocabularyError`, `SpecialTokenError`.
  public init(
    tokens: [[UInt8]], unknown: String = "[UNK]", addedTokens: [AddedToken], options: Options = Options(),
    specialTokens: SpecialTokens = SpecialTokens(), modelTokenCount: Int? = nil
  ) throws {
    try self.init(
      model: Vocabulary(tokens.prefix(modelTokenCount ?? tokens.count).enumerated().map { ($1, $0) }),
      unknown: unknown, addedTokens: addedTokens, options: options, specialTokens: specialTokens)
  }

  init(
    model: Vocabulary, unknown: String, addedTokens: [AddedToken], options: Options, specialTokens: SpecialTokens
  ) throws {
    self.model = model
    vocabulary = try model.adding(addedTokens)
    ids = model.ids
    guard let unknownID = ids[Array(unknown.utf8)] else { throw SpecialTokenError.notFound(unknown) }
    self.unknown = unknownID
    self.options = options
    self.addedTokens = addedTokens.sorted { $0.id < $1.id }
    specials = Set(addedTokens.filter(\.isSpecial).map(\.id))
    let normalizer = BertNormalizer(
      cleansText: options.cleansText, separatesChinese: options.separatesChinese,
      stripsAccents: options.stripsAccents, lowercases: options.lowercases)
    self.normalizer = normalizer
    finder = try AddedTokenFinder(addedTokens.filter { !$0.isNormalized }.map { ($0, Array($0.content.utf8)) })
    normalizedFinder = try AddedTokenFinder(
      addedTokens.filter(\.isNormalized).map { ($0, normalizer.normalizedBytes(Array($0.content.utf8))) })
    special = try specialTokens.ids(among: addedTokens, usual: Self.usualNames)
  }

  static let usualNames = SpecialTokens.UsualNames(
    beginning: ["[CLS]", "[BOS]"], end: ["[SEP]", "[EOS]"], padding: ["[PAD]"], mask: ["[MASK]"])

  public func makeEncoder() -> any TextEncoder { Encoder(self) }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    var text = ""
    var isFirst = true
    for token in tokens where keepingSpecialTokens || !specials.contains(token) {
      // An id without a token adds nothing, not even a space.
      if (0..<vocabularySize).contains(Int(token)), vocabulary[Int(token)].isEmpty { continue }
      var piece =
        (0..<vocabularySize).contains(Int(token))
        ? String(decoding: vocabulary[Int(token)], as: UTF8.self) : "\u{FFFD}"
      if !isFirst {
        let continues = piece.utf8.starts(with: options.continuation.utf8)
        piece =
          continues ? String(piece.unicodeScalars.dropFirst(options.continuation.unicodeScalars.count)) : " " + piece
      }
      text += options.cleansUp ? Self.cleanedUp(piece) : piece
      isFirst = false
    }
    return text
  }

  /// The decoder looks at one token at a time, so that of BERT's own tokens only `.`, `?`, `!` and `,` change.
  private static func cleanedUp(_ piece: String) -> String {
    guard piece.utf8.contains(where: { $0 == 0x20 }) else { return piece }
    let rules = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
      (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]
    return rules.reduce(piece) { text, rule in Substitution.replace(rule.0, by: rule.1, in: text) }
  }

  private final class Encoder: TextEncoder {
    private let tokenizer: WordPieceTokenizer
    private var cache = WordCache()
    private var scratch: [UInt8] = []
    private let continuation: [UInt8]

    init(_ tokenizer: WordPieceTokenizer) {
      self.tokenizer = tokenizer
      continuation = Array(tokenizer.options.continuation.utf8)
    }

    /// Bytes that are not UTF-8 read as U+FFFD, which cleaning removes.
    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      tokenizer.finder.forEachPart(of: text) { part in
        switch part {
        case .token(let id): tokens.append(id)
        case .text(let range): append(part: UnsafeBufferPointer(rebasing: text[range]), to: &tokens)
        }
      }
    }

    private func append(part: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      guard !tokenizer.normalizedFinder.isEmpty else { return append(words: part, tokenizer.normalizer, to: &tokens) }
      tokenizer.normalizer.normalizedBytes(part).withUnsafeBufferPointer { text in
        tokenizer.normalizedFinder.forEachPart(of: text) { part in
          switch part {
          case .token(let id): tokens.append(id)
          case .text(let range):
            let onlyCuts = BertNormalizer(
              cleansText: false, separatesChinese: false, stripsAccents: false, lowercases: false)
            append(words: UnsafeBufferPointer(rebasing: text[range]), onlyCuts, to: &tokens)
          }
        }
      }
    }

    private func append(
      words text: UnsafeBufferPointer<UInt8>, _ normalizer: BertNormalizer, to tokens: inout [Int32]
    ) {
      normalizer.forEachWord(of: text, scratch: &scratch) { word in
        cache.append(word, to: &tokens) { append(word: $0, to: &$1) }
      }
    }

    /// Takes the longest token that fits, again and again; a word that cannot be finished is unknown as a whole.
    private func append(word: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      let first = tokens.count
      let ends = word.indices.filter { $0 > 0 && word[$0] & 0xC0 != 0x80 } + [word.count]
      guard ends.count <= tokenizer.options.longestWord else { return tokens.append(tokenizer.unknown) }
      var start = 0
      while start < word.count {
        let prefix = start > 0 ? continuation : []
        var key = prefix + word[start...]
        guard
          let (id, end) = ends.reversed().lazy.prefix(while: { $0 > start }).compactMap({ end -> (Int32, Int)? in
            key.removeLast(key.count - prefix.count - (end - start))
            return self.tokenizer.ids[key].map { ($0, end) }
          }).first
        else {
          tokens.removeLast(tokens.count - first)
          return tokens.append(tokenizer.unknown)
        }
        tokens.append(id)
        start = end
      }
    }

    /// Before a space or line end: no word reaches over one.
    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? {
      guard !tokenizer.finder.readsContext, tokenizer.normalizedFinder.isEmpty else { return nil }
      let place = text.lastIndex { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
      return place == 0 ? nil : place
    }
  }
}

extension BertNormalizer {
  func normalizedBytes(_ text: [UInt8]) -> [UInt8] { text.withUnsafeBufferPointer(normalizedBytes) }

  func normalizedBytes(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    normalized(text).flatMap { Array(UTF8.encode($0)!) }
  }
}

extension WordPieceTokenizer: Equatable {
  public static func == (first: WordPieceTokenizer, second: WordPieceTokenizer) -> Bool {
    first.model == second.model && first.options == second.options && first.unknown == second.unknown
      && first.addedTokens == second.addedTokens && first.special == second.special
  }
}
