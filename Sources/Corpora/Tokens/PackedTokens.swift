import Randomness
import Tokenizers

extension TokenBlocks {
  /// All of a token file, packed.
  ///
  /// - Parameters:
  ///   - file: the tokens.
  ///   - name: where the tokens come from, for an error's text.
  ///   - packing: how documents become sequences.
  ///   - length: tokens of a sequence.
  ///   - tokenizer: the one that made the file.
  /// - Throws: `CorpusError` if the length does not fit, or no block is filled.
  public init(
    _ file: TokenFile, name: String, packing: Packing = .continuous, length: Int, tokenizer: any Tokenizer
  ) throws(CorpusError) {
    guard (1...CorpusError.maximumLength).contains(length) else { throw .length(length) }
    guard length > 2 || packing == .continuous || packing == .crop else { throw .framedLength(length) }
    let packed = PackedTokens(
      file, packing, length: length, documents: 0..<file.documentCount, tokens: 0..<file.count, tokenizer: tokenizer)
    guard packed.count > 0 else {
      throw .tooFewTokens(name: name, found: file.count, length: length, validationFraction: nil)
    }
    self.init(packed)
  }
}

/// Sequences of one length, made of a token file whenever they are asked for.
struct PackedTokens: Sendable {
  let file: TokenFile
  let packing: Packing
  let length: Int
  /// The documents, or all tokens of documents, that it is made of.
  private let documents: Range<Int>
  private let tokens: Range<Int>
  private let frame: (begin: Int32, end: Int32, padding: Int32)
  private let appendsEndOfText: Bool
  private let seed: UInt64

  let count: Int

  /// - Parameter documents: which of the file's documents; nil stands for `tokens` without regard to documents.
  init(
    _ file: TokenFile, _ packing: Packing, length: Int, documents: Range<Int>, tokens: Range<Int>,
    tokenizer: any Tokenizer, seed: UInt64 = 0
  ) {
    self.file = file
    self.packing = packing
    self.length = length
    self.documents = documents
    self.tokens = tokens
    self.seed = seed
    frame = (tokenizer.beginningOfText, tokenizer.endOfText, tokenizer.padding)
    appendsEndOfText = file.metadata.appendsEndOfText
    count =
      switch packing {
      case .continuous: tokens.count / length
      case .framed: length > 2 ? tokens.count / (length - 2) : 0
      case .padded: length > 2 ? documents.count : 0
      case .crop: tokens.count / (2 * length)
      }
  }

  /// - Parameter draw: which of the random windows of a part.
  func block(_ index: Int, draw: Int) -> [Int32] {
    switch packing {
    case .continuous:
      return tokens(index * length, length)
    case .framed:
      return [frame.begin] + tokens(index * (length - 2), length - 2) + [frame.end]
    case .padded:
      var range = file.document(documents.lowerBound + index)
      if appendsEndOfText { range = range.dropLast() }
      let text = file.tokens(range.prefix(length - 2))
      let framed = [frame.begin] + text + [frame.end]
      return framed + [Int32](repeating: frame.padding, count: length - framed.count)
    case .crop:
      var generator = CounterGenerator(seed: seed, stream: .crop, major: index, minor: draw)
      let offset = Int(generator.next().multipliedFullWidth(by: UInt64(length + 1)).high)
      return tokens(2 * length * index + offset, length)
    }
  }

  /// How many tokens of a block are not padding.
  func contentCount(_ index: Int) -> Int {
    guard packing == .padded else { return length }
    let range = file.document(documents.lowerBound + index)
    return min(length, range.count - (appendsEndOfText ? 1 : 0) + 2)
  }

  private func tokens(_ start: Int, _ count: Int) -> [Int32] {
    file.tokens(tokens.lowerBound + start..<tokens.lowerBound + start + count)
  }
}
