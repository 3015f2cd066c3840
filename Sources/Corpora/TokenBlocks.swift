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
    precondition(length >= 1, "a block of \(length) tokens; expected at least 1")
    self.length = length
    storage = .array(tokens.count.isMultiple(of: length) ? tokens : tokens.dropLast(tokens.count % length))
  }

  init(_ packed: PackedTokens, _ blocks: Range<Int>? = nil) {
    length = packed.length
    storage = .packed(packed, blocks ?? 0..<packed.count)
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
    precondition(indices.contains(index), "block \(index) of \(count)")
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
