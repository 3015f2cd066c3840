/// GPT-2's tokenizer: a text is cut into words, a word's bytes are merged pair by pair.
///
/// Where each byte has a token, every text has ids, also one that is not UTF-8, and `decode` gives its bytes back;
/// bytes without one are left out, which `note` tells. `encode` and `decode` are those
/// of Hugging Face's `tokenizers` for a `BPE` model with `ByteLevel` pre-tokenizer and decoder, without tokens added
/// around a text.
public struct BytePairTokenizer: VocabularyTokenizer, Sendable {
  /// A merge: of two tokens the one that is both.
  public struct Merge: Hashable, Sendable {
    /// The id of the first token.
    public let left: Int32
    /// The id of the second token.
    public let right: Int32

    /// A merge of two ids.
    public init(left: Int32, right: Int32) {
      self.left = left
      self.right = right
    }
  }

  /// What differs between byte-level tokenizers.
  public struct Options: Hashable, Sendable {
    /// Whether a text that does not begin with a space gets one.
    public var addsPrefixSpace = false
    /// Whether a text is cut into words at all.
    public var splitsWords = true
    /// Whether a word that is a token needs no merges.
    public var ignoresMerges = false
    /// What stands for a byte that has no token, such as `<unk>`; where nil, the byte is left out.
    public var unknown: String?
    /// Whether one of them stands for several such bytes in a row.
    public var fusesUnknown = false

    /// The options of GPT-2.
    public init() {}
  }

  /// Which tokens become one, the most urgent first.
  public let merges: [Merge]
  /// What is done to text.
  public let options: Options
  /// Tokens that are found in a text as they stand, in the order of their ids.
  public let addedTokens: [AddedToken]

  /// The tokens that text is made of, as the files write them: in `ByteAlphabet`, as a rule.
  let model: Vocabulary
  /// The special tokens among the ids.
  public let special: SpecialTokens.IDs

  /// All tokens as the bytes that they stand for.
  private let pieces: Vocabulary
  /// By byte, its token; −1 where it has none.
  private let byteIDs: [Int32]
  private let unknown: Int32?
  private let table: MergeTable
  private let finder: AddedTokenFinder
  /// The text is not normalised, but these tokens are looked for only where the others leave text.
  private let normalizedFinder: AddedTokenFinder
  /// Whole words that need no merges; empty unless the options ask for it.
  private let wholeWords: [[UInt8]: Int32]
  private let specials: Set<Int32>

  public var vocabularySize: Int { pieces.count }

  /// A tokenizer of tokens given by their bytes.
  ///
  /// - Parameters:
  ///   - merges: pairs of ids, in the order of their ranks.
  ///   - addedTokens: those of `tokens` that are found as they stand.
  ///   - specialTokens: which tokens stand around texts.
  ///   - options: what is done to text.
  ///   - tokens: all tokens, by id; an empty one is none.
  /// - Throws: `BytePairError`, `VocabularyError`, `SpecialTokenError`.
  public init(
    tokens: [[UInt8]], merges: [Merge], addedTokens: [AddedToken], options: Options = Options(),
    specialTokens: SpecialTokens = SpecialTokens()
  ) throws {
    let contents = Dictionary(addedTokens.map { (Int($0.id), $0.content) }, uniquingKeysWith: { first, _ in first })
    let names = tokens.enumerated().map { id, bytes in
      (token: Array((contents[id] ?? ByteAlphabet.text(of: bytes)).utf8), id: id)
    }
    try self.init(
      model: Vocabulary(names), merges: merges, addedTokens: addedTokens, options: options,
      specialTokens: specialTokens)
  }

  /// The same of tokens as the files write them, of which added ones may stand outside the model.
  init(
    model: Vocabulary, merges: [Merge], addedTokens: [AddedToken], options: Options, specialTokens: SpecialTokens
  ) throws {
    self.model = model
    let all = try model.adding(addedTokens)
    let bytes = all.tokens.map { ByteAlphabet.bytes(of: $0) ?? $0 }
    pieces = Vocabulary(bytes)
    let ids = model.ids
    byteIDs = ByteAlphabet.characters.map { ids[Array(UTF8.encode($0)!)] ?? -1 }
    unknown = try options.unknown.map { name in
      guard let id = ids[Array(name.utf8)] else { throw SpecialTokenError.notFound(name) }
      return id
    }
    table = MergeTable(
      try merges.enumerated().map { index, merge in
        guard (0..<model.count).contains(Int(merge.left)), (0..<model.count).contains(Int(merge.right)),
          let result = ids[Array(model[Int(merge.left)] + model[Int(merge.right)])]
        else { throw BytePairError.mergeWithoutToken(index: index) }
        return (merge.left, merge.right, result)
      })
    self.merges = merges
    self.options = options
    self.addedTokens = addedTokens.sorted { $0.id < $1.id }
    wholeWords =
      options.ignoresMerges
      ? Dictionary(ids.compactMap { name, id in ByteAlphabet.bytes(of: name).map { ($0, id) } }, uniquingKeysWith: max)
      : [:]
    func finder(_ tokens: [AddedToken]) throws -> AddedTokenFinder {
      try AddedTokenFinder(tokens.map { ($0, Array($0.content.utf8)) })
    }
    self.finder = try finder(addedTokens.filter { !$0.isNormalized })
    normalizedFinder = try finder(addedTokens.filter(\.isNormalized))
    specials = Set(addedTokens.filter(\.isSpecial).map(\.id))
    special = try specialTokens.ids(among: addedTokens, usual: Self.usualNames)
  }

  static let usualNames = SpecialTokens.UsualNames(
    beginning: ["<s>", "<bos>", "[BOS]", "<|begin_of_text|>"],
    end: ["<|endoftext|>", "</s>", "<eos>", "[EOS]", "<|end_of_text|>"], padding: ["<pad>", "[PAD]", "<|pad|>"],
    mask: ["<mask>", "[MASK]", "<|mask|>"])

  /// Which bytes of text have no token.
  public var note: String? {
    // Those that no UTF-8 has do not matter.
    let missing = byteIDs.indices.filter { byteIDs[$0] < 0 && ![0xC0, 0xC1].contains($0) && $0 < 0xF5 }
    guard let first = missing.first else { return nil }
    return "the vocabulary has no token for \(missing.count) of the 256 bytes, such as 0x"
      + String(first, radix: 16, uppercase: true) + ", which are "
      + (options.unknown.map { "read as \(quoted($0))" } ?? "left out of text")
  }

  public func makeEncoder() -> any TextEncoder { Encoder(self) }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    String(decoding: bytes(of: tokens, keepingSpecialTokens: keepingSpecialTokens), as: UTF8.self)
  }

  /// The bytes of `tokens`, which need not be valid UTF-8.
  public func bytes(of tokens: some Sequence<Int32>, keepingSpecialTokens: Bool = false) -> [UInt8] {
    var result: [UInt8] = []
    for token in tokens where keepingSpecialTokens || !specials.contains(token) {
      if (0..<vocabularySize).contains(Int(token)) {
        result += pieces[Int(token)]
      } else {
        result += [0xEF, 0xBF, 0xBD]  // U+FFFD
      }
    }
    return result
  }

  /// The tokens of bytes, of which some have none.
  private func withoutGaps(_ tokens: ArraySlice<Int32>) -> [Int32] {
    guard let unknown else { return tokens.filter { $0 >= 0 } }
    return zip(tokens.indices, tokens).compactMap { place, token in
      guard token < 0 else { return token }
      let isFused = options.fusesUnknown && place > tokens.startIndex && tokens[place - 1] < 0
      return isFused ? nil : unknown
    }
  }

  private final class Encoder: TextEncoder {
    private let tokenizer: BytePairTokenizer
    private let merger: WordMerger
    private var cache = WordCache()

    init(_ tokenizer: BytePairTokenizer) {
      self.tokenizer = tokenizer
      merger = WordMerger(tokenizer.table)
    }

    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      tokenizer.finder.forEachPart(of: text) { part in
        switch part {
        case .token(let id): tokens.append(id)
        case .text(let range):
          let text = UnsafeBufferPointer(rebasing: text[range])
          tokenizer.normalizedFinder.forEachPart(of: text) { part in
            switch part {
            case .token(let id): tokens.append(id)
            case .text(let range): append(part: UnsafeBufferPointer(rebasing: text[range]), to: &tokens)
            }
          }
        }
      }
    }

    private func append(part: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      if tokenizer.options.addsPrefixSpace, part.first != UInt8(ascii: " ") {
        ([UInt8(ascii: " ")] + part).withUnsafeBufferPointer { append(words: $0, to: &tokens) }
      } else {
        append(words: part, to: &tokens)
      }
    }

    private func append(words text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      guard tokenizer.options.splitsWords else { return append(word: text, to: &tokens) }
      var start = 0
      while start < text.count {
        let end = GPT2Words.end(of: start, in: text)
        append(word: UnsafeBufferPointer(rebasing: text[start..<end]), to: &tokens)
        start = end
      }
    }

    private func append(word: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) {
      cache.append(word, to: &tokens) { [tokenizer, merger] word, tokens in
        if tokenizer.options.ignoresMerges, let whole = tokenizer.wholeWords[Array(word)] {
          return tokens.append(whole)
        }
        let start = tokens.count
        tokens.append(contentsOf: word.lazy.map { tokenizer.byteIDs[Int($0)] })
        if tokens[start...].contains(-1) {
          let known = tokenizer.withoutGaps(tokens[start...])
          tokens.replaceSubrange(start..., with: known)
        }
        merger.merge(&tokens, from: start)
      }
    }

    /// Before a single space or line end between two other characters, since a word begins there whatever is around.
    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? {
      guard !tokenizer.finder.readsContext, !tokenizer.normalizedFinder.readsContext, tokenizer.options.splitsWords,
        !tokenizer.options.addsPrefixSpace,
        text.count > 2
      else { return nil }
      return (1..<text.count - 1).last { place in
        (text[place] == UInt8(ascii: " ") || text[place] == UInt8(ascii: "\n"))
          && isVisible(text[..<place].lastIndex { $0 & 0xC0 != 0x80 }, in: text) && isVisible(place + 1, in: text)
      }
    }

    private func isVisible(_ place: Int?, in text: UnsafeBufferPointer<UInt8>) -> Bool {
      guard let place, UTF8Scalars.scalar(at: place, in: text).scalar != nil else { return false }
      return GPT2Words.classify(place, in: text).0 != .space
    }
  }
}

extension BytePairTokenizer: Equatable {
  public static func == (first: BytePairTokenizer, second: BytePairTokenizer) -> Bool {
    first.model == second.model && first.merges == second.merges && first.options == second.options
      && first.addedTokens == second.addedTokens && first.special == second.special
  }
}

/// A byte-level vocabulary that cannot be used.
public enum BytePairError: Error, Hashable, CustomStringConvertible {
  /// A merge whose result is no token.
  case mergeWithoutToken(index: Int)

  public var description: String {
    switch self {
    case .mergeWithoutToken(let index):
      "merge \(index + 1): its two parts and what they make are not all in the vocabulary"
    }
  }
}
