import Faults
import Torch

/// What decoding asks of a network: one function, and memory for keys and values.
///
/// A network that computes elsewhere, or keeps nothing, implements it with a cache of its own.
public protocol DecodingNetwork<Cache> {
  /// What keeps a sequence's keys and values.
  associatedtype Cache: KVCache

  /// The sizes of the network.
  var configuration: TransformerConfiguration { get }

  /// An empty cache for one sequence.
  func makeCache() -> Cache

  /// Logits of a feed's outputs, [outputs, vocabulary]. Afterwards each sequence's cache holds its kept rows too.
  ///
  /// - Parameters:
  ///   - feed: the rows of the call.
  ///   - caches: of the feed's sequences.
  func logits(_ feed: DecodingFeed, caches: [Cache]) -> Tensor
}

/// What one network call is fed: rows of several sequences, one sequence after another, each with rows behind those that
/// its cache holds, clean ones first, then masks.
///
/// A row sees a number of slots from the first on, which for most rows ends with themselves. A row *apart* sees itself
/// besides: so a mask can look at the slots before it and not at the masks that are fed between.
public struct DecodingFeed: Sendable {
  /// The rows of one sequence among all rows.
  public struct Sequence: Sendable, Equatable {
    /// Its rows.
    public let rows: Range<Int>
    /// Its part of the outputs.
    public let outputs: Range<Int>
    /// How many of its rows, the first ones, stay in the cache.
    public let keptCount: Int
  }

  /// The token of each row.
  public private(set) var tokens: [Int32] = []
  /// The position of each row.
  public private(set) var positions: [Int] = []
  /// How many slots of its sequence, the first ones, each row sees; those in the cache count too.
  public private(set) var visible: [Int] = []
  /// Whether each row sees itself besides, though not all between: a mask beside others that it must not see.
  public private(set) var isApart: [Bool] = []
  /// The rows that logits are asked for.
  public private(set) var outputs: [Int] = []
  /// The sequences that have rows, in their order.
  public private(set) var sequences: [Sequence] = []

  /// A call without rows.
  public init() {}

  /// Adds a sequence.
  ///
  /// - Parameters:
  ///   - tokens: of each row.
  ///   - positions: of each row in its text.
  ///   - visible: for each row; slots are counted from the first in the cache.
  ///   - apart: how many rows, the last ones, see themselves besides.
  ///   - outputs: which of the rows logits are asked for.
  ///   - keptCount: how many rows, the first ones, stay in the cache.
  public mutating func append(
    tokens: [Int32], positions: [Int], visible: [Int], apart: Int = 0, outputs: Range<Int>, keptCount: Int
  ) {
    trap(
      unless: positions.count == tokens.count && visible.count == tokens.count
        && (0...tokens.count - keptCount).contains(apart)
        && outputs.clamped(to: tokens.indices) == outputs
        && (0...tokens.count).contains(keptCount), "a sequence's rows do not fit each other")
    let first = self.tokens.count
    sequences.append(
      Sequence(
        rows: first..<first + tokens.count, outputs: self.outputs.count..<self.outputs.count + outputs.count,
        keptCount: keptCount))
    self.tokens += tokens
    self.positions += positions
    self.visible += visible
    isApart += tokens.indices.map { $0 >= tokens.count - apart }
    self.outputs += outputs.shifted(by: first)
  }
}
