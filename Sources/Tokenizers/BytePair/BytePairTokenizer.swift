/// GPT-2's tokenizer: a text is cut into words, a word's bytes are merged pair by pair.
///
/// Every text has ids, also one that is not UTF-8, and `decode` gives its bytes back. `encode` and `decode` are those
/// of Hugging Face's `tokenizers` for a `BPE` model with `ByteLevel` pre-tokenizer and decoder, without tokens added
/// around a text.
public struct BytePairTokenizer: Tokenizer, Sendable {
  /// A merge: of two tokens the one that is both.
  public struct Merge: Hashable, Sendable {
    public let left: Int32
    public let right: Int32

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

    public init() {}
  }

  public let merges: [Merge]
  public let options: Options
  /// Tokens that are found in a text as they stand, in the order of their ids.
  public let addedTokens: [AddedToken]
  public let endOfText: Int32
  public let beginningOfText: Int32
  public let padding: Int32
  public let maskToken: Int32?

  /// The tokens as the bytes that they stand for.
  let vocabulary: Vocabulary

  private let byteIDs: [Int32]
  private let table: MergeTable
  private let finder: AddedTokenFinder
  /// The text is not normalised, but these tokens are looked for only where the others leave text.
  private let normalizedFinder: AddedTokenFinder
  /// Whole words that need no merges; empty unless the options ask for it.
  private let wholeWords: [[UInt8]: Int32]
  private let specials: Set<Int32>

  public var vocabularySize: Int { vocabulary.count }

  /// A tokenizer of tokens given by their bytes.
  ///
  /// - Parameters:
  ///   - tokens: all tokens, by id.
  ///   - merges: pairs of ids, in the order of their ranks.
  ///   - addedTokens: those of `tokens` that are found as they stand.
  ///   - endOfText: the text of the token after every document; it must be one of `addedTokens`. nil stands for the
  ///     usual names.
  /// - Throws: `BytePairError`, `VocabularyError`.
  public init(
    tokens: [[UInt8]], merges: [Merge], addedTokens: [AddedToken], options: Options = Options(),
    endOfText: String? = nil
  ) throws {
    vocabulary = try Vocabulary(tokens.enumerated().map { ($1, $0) })
    try vocabulary.check(addedTokens)
    let ids = vocabulary.ids
    byteIDs = try (0...255 as ClosedRange<UInt8>).map { byte in
      guard let id = ids[[byte]] else { throw BytePairError.missingByte(byte) }
      return id
    }
    table = MergeTable(
      try merges.enumerated().map { index, merge in
        guard tokens.indices.contains(Int(merge.left)), tokens.indices.contains(Int(merge.right)),
          let result = ids[tokens[Int(merge.left)] + tokens[Int(merge.right)]]
        else { throw BytePairError.mergeWithoutToken(index: index) }
        return (merge.left, merge.right, result)
      })
    self.merges = merges
    self.options = options
    self.addedTokens = addedTokens.sorted { $0.id < $1.id }
    wholeWords = options.ignoresMerges ? ids : [:]
    func finder(_ tokens: [AddedToken]) -> AddedTokenFinder {
      AddedTokenFinder(tokens.map { ($0, Array($0.content.utf8)) })
    }
    self.finder = finder(addedTokens.filter { !$0.isNormalized })
    normalizedFinder = finder(addedTokens.filter(\.isNormalized))
    specials = Set(addedTokens.filter(\.isSpecial).map(\.id))

    func id(_ names: [String]) -> Int32? {
      names.lazy.compactMap { name in addedTokens.first { $0.isSpecial && $0.content == name }?.id }.first
    }
    let ends = endOfText.map { [$0] } ?? ["<|endoftext|>", "</s>", "<eos>", "[EOS]", "<|end_of_text|>"]
    guard let end = id(ends) else { throw BytePairError.missingEndOfText(expected: ends) }
    self.endOfText = end
    beginningOfText = id(["<s>", "<bos>", "[BOS]", "<|begin_of_text|>"]) ?? end
    padding = id(["<pad>", "[PAD]", "<|pad|>"]) ?? end
    maskToken = id(["<mask>", "[MASK]", "<|mask|>"])
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
        result += vocabulary[Int(token)]
      } else {
        result += [0xEF, 0xBF, 0xBD]  // U+FFFD
      }
    }
    return result
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
    first.vocabulary == second.vocabulary && first.merges == second.merges && first.options == second.options
      && first.addedTokens == second.addedTokens && first.endOfText == second.endOfText
  }
}

/// A byte-level vocabulary that cannot be used.
public enum BytePairError: Error, Hashable, CustomStringConvertible {
  case missingByte(UInt8)
  case mergeWithoutToken(index: Int)
  case missingEndOfText(expected: [String])

  public var description: String {
    switch self {
    case .missingByte(let byte):
      "no token stands for the byte 0x\(String(byte, radix: 16, uppercase: true)); expected one for each of the 256"
    case .mergeWithoutToken(let index):
      "merge \(index + 1): its two parts and what they make are not all in the vocabulary"
    case .missingEndOfText(let expected):
      "no special token ends a text; expected \(expected.map(quoted).joined(separator: " or "))"
    }
  }
}
