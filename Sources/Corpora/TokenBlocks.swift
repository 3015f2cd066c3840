/// Token sequences of one length, stored one after another: what a model is trained and evaluated on.
public struct TokenBlocks: RandomAccessCollection, Hashable, Sendable {
  /// The number of tokens in each block.
  public let length: Int

  /// The tokens of all blocks, `count × length` of them.
  public let tokens: [Int32]

  /// Cuts `tokens` into blocks. What is left at the end, shorter than a block, is dropped.
  ///
  /// - Precondition: `length` is at least 1.
  public init(cutting tokens: [Int32], length: Int) {
    precondition(length >= 1, "a block of \(length) tokens; expected at least 1")
    self.length = length
    self.tokens = tokens.count.isMultiple(of: length) ? tokens : tokens.dropLast(tokens.count % length)
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { tokens.count / length }

  /// The tokens of one block.
  public subscript(index: Int) -> ArraySlice<Int32> {
    precondition(indices.contains(index), "block \(index) of \(count)")
    return tokens[index * length..<(index + 1) * length]
  }
}
