import Faults
import Randomness
import Tokenizers

/// Token sequences of one length: what a model is trained and evaluated on. They are held in memory, or made of a token
/// file when they are asked for.
public struct TokenBlocks: RandomAccessCollection, Sendable {
  private enum Storage: Sendable {
    case array([Int32])
    case packed(PackedTokens, Range<Int>)
  }

  /// The number of tokens in each block.
  public let length: Int

  private let storage: Storage

  /// Cuts `tokens` into blocks. What is left at the end, shorter than a block, is dropped.
  ///
  /// - Precondition: `length` is at least 1.
  public init(cutting tokens: [Int32], length: Int) {
    trap(unless: length >= 1, "a block of \(length) tokens; expected at least 1")
    self.length = length
    storage = .array(tokens.count.isMultiple(of: length) ? tokens : tokens.dropLast(tokens.count % length))
  }

  /// A token file, or a part of it, packed.
  ///
  /// - Parameters:
  ///   - file: the tokens.
  ///   - part: which of them; nil stands for all.
  ///   - name: where the tokens come from, for an error's text.
  ///   - packing: how documents become sequences.
  ///   - length: tokens of a sequence.
  ///   - tokenizer: the one that made the file.
  ///   - seed: where random windows lie.
  /// - Throws: `CorpusError` if the length does not fit, or no block is filled.
  public init(
    _ file: TokenFile, _ part: TokenFile.Part? = nil, name: String, packing: Packing = .continuous, length: Int,
    tokenizer: any Tokenizer, seed: UInt64 = 0
  ) throws(CorpusError) {
    try Self.validate(length: length, packing: packing)
    let part = part ?? file.whole
    let packed = PackedTokens(file, part, packing, length: length, tokenizer: tokenizer, seed: seed)
    guard packed.count > 0 else {
      throw .tooFewTokens(name: name, found: part.tokens.count, length: length, validationFraction: nil)
    }
    self.init(packed, 0..<packed.count)
  }

  private init(_ packed: PackedTokens, _ blocks: Range<Int>) {
    length = packed.length
    storage = .packed(packed, blocks)
  }

  /// Throws unless text can be packed into sequences of this length.
  static func validate(length: Int, packing: Packing) throws(CorpusError) {
    guard (1...CorpusError.maximumLength).contains(length) else { throw .length(length) }
    guard length > 2 || packing == .continuous || packing == .crop else { throw .framedLength(length) }
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int {
    switch storage {
    case .array(let tokens): tokens.count / length
    case .packed(_, let blocks): blocks.count
    }
  }

  /// The tokens of one block.
  public subscript(index: Int) -> ArraySlice<Int32> { block(index, draw: 0) }

  /// The tokens of one block, as training sees it: where blocks are random windows, another one for each draw.
  public func block(_ index: Int, draw: Int) -> ArraySlice<Int32> {
    trap(unless: indices.contains(index), "block \(index) of \(count)")
    switch storage {
    case .array(let tokens): return tokens[index * length..<(index + 1) * length]
    case .packed(let packed, let blocks): return packed.block(blocks.lowerBound + index, draw: draw)[...]
    }
  }

  /// How many tokens of a block are not padding; they come first.
  public func contentCount(_ index: Int) -> Int {
    switch storage {
    case .array: length
    case .packed(let packed, let blocks): packed.contentCount(blocks.lowerBound + index)
    }
  }

  /// The first blocks, at most so many.
  public func first(_ maximumCount: Int) -> TokenBlocks {
    switch storage {
    case .array(let tokens):
      TokenBlocks(cutting: Array(tokens.prefix(Swift.min(maximumCount, count) * length)), length: length)
    case .packed(let packed, let blocks): TokenBlocks(packed, blocks.prefix(maximumCount))
    }
  }
}

extension TokenBlocks: Hashable {
  public static func == (first: TokenBlocks, second: TokenBlocks) -> Bool {
    first.length == second.length && first.elementsEqual(second)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(length)
    hasher.combine(count)
  }
}

/// Sequences of one length, made of a token file whenever they are asked for.
private struct PackedTokens: Sendable {
  let file: TokenFile
  let packing: Packing
  let length: Int
  private let part: TokenFile.Part
  private let frame: (begin: Int32, end: Int32, padding: Int32)
  private let appendsEndOfText: Bool
  private let seed: UInt64

  let count: Int

  init(
    _ file: TokenFile, _ part: TokenFile.Part, _ packing: Packing, length: Int, tokenizer: any Tokenizer, seed: UInt64
  ) {
    self.file = file
    self.packing = packing
    self.length = length
    self.part = part
    self.seed = seed
    frame = (tokenizer.beginningOfText, tokenizer.endOfText, tokenizer.padding)
    appendsEndOfText = file.metadata.appendsEndOfText
    count =
      switch packing {
      case .continuous: part.tokens.count / length
      case .framed: length > 2 ? part.tokens.count / (length - 2) : 0
      case .padded: length > 2 ? part.documents.count : 0
      case .crop: part.tokens.count / (2 * length)
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
      var range = file.document(part.documents.lowerBound + index)
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
    let range = file.document(part.documents.lowerBound + index)
    return min(length, range.count - (appendsEndOfText ? 1 : 0) + 2)
  }

  private func tokens(_ start: Int, _ count: Int) -> [Int32] {
    file.tokens(part.tokens.lowerBound + start..<part.tokens.lowerBound + start + count)
  }
}
