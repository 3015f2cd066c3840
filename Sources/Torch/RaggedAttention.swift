import CTorch
import Faults

/// Scaled dot-product attention of sequences of different length with a KV cache: what a call of a decoding network
/// needs, the same for all of its blocks.
///
/// Rows of all sequences stand one after another. A sequence's slots are those in its pages, then its new rows. A row is
/// computed alike whichever sequences share the call.
public struct RaggedAttention {
  /// One sequence of the call.
  public struct Sequence {
    /// Its queries among all; fewer than its keys where only some rows are asked for.
    public var queries: Range<Int>
    /// Its new keys and values among all.
    public var keys: Range<Int>
    /// How many slots its pages hold.
    public var stored: Int
    /// How many of the new keys and values, the first ones, its pages take over.
    public var kept: Int
    /// Each [blocks, 2, heads, slots, size], keys then values, with room for all that is stored and kept.
    /// ``GatheredAttention`` needs them to be parts of one tensor.
    public var pages: [Tensor]

    /// The rows of one sequence.
    public init(queries: Range<Int>, keys: Range<Int>, stored: Int = 0, kept: Int = 0, pages: [Tensor] = []) {
      self.queries = queries
      self.keys = keys
      self.stored = stored
      self.kept = kept
      self.pages = pages
    }
  }

  let sequences: [CTSequenceRows]
  let visible: [Int64]
  /// Empty where no row sees a lone slot.
  let lone: [Int64]
  private let pages: [Tensor]
  private let handles: [OpaquePointer?]

  /// - Parameters:
  ///   - sequences: together they have every query once.
  ///   - visible: for each query how many slots, the first ones of its sequence, it looks at: from 1 to all.
  ///   - lone: for each query another one of the new slots that it looks at besides, or nil; empty where none does.
  public init(_ sequences: [Sequence], visible: [Int], lone: [Int?] = []) {
    var pages: [Tensor] = []
    let hasLone = lone.contains { $0 != nil }
    self.sequences = sequences.map { sequence in
      trap(
        unless: visible[sequence.queries].allSatisfy { (1...sequence.stored + sequence.keys.count).contains($0) },
        "a row sees from 1 to all slots of its sequence")
      trap(
        unless: !hasLone
          || sequence.queries.allSatisfy { query in
            lone[query].map {
              $0 >= visible[query] && (sequence.stored..<sequence.stored + sequence.keys.count).contains($0)
            } ?? true
          }, "a lone slot is a new one that a row does not see anyway")
      trap(
        unless: (0...sequence.keys.count).contains(sequence.kept)
          && sequence.stored + sequence.kept <= sequence.pages.reduce(0) { $0 + $1.size(3) },
        "a sequence's pages hold what is stored and kept")
      defer { pages += sequence.pages }
      return CTSequenceRows(
        firstQuery: Int64(sequence.queries.lowerBound), queryCount: Int64(sequence.queries.count),
        firstKey: Int64(sequence.keys.lowerBound), keyCount: Int64(sequence.keys.count),
        stored: Int64(sequence.stored), kept: Int64(sequence.kept), firstPage: Int64(pages.count))
    }
    self.visible = visible.map(Int64.init)
    self.lone = hasLone ? lone.map { Int64($0 ?? -1) } : []
    self.pages = pages
    handles = pages.map(\.handle)
  }

  /// Stores what is kept and attends, on the CPU in float32, as ``FusedDecoder`` does.
  ///
  /// - Parameters:
  ///   - query: [queries, heads, size].
  ///   - key: [keys, heads, size].
  ///   - value: [keys, heads, size].
  ///   - block: which part of the pages is this block's.
  /// - Returns: [queries, heads, size].
  public func callAsFunction(query: Tensor, key: Tensor, value: Tensor, block: Int = 0) -> Tensor {
    trap(unless: query.size(0) == visible.count, "\(query.size(0)) queries for \(visible.count) rows")
    return withExtendedLifetime((value, pages)) {
      produce(query, key) { query, key, out in
        ct_ragged_attention(
          query, key, value.handle, sequences, Int64(sequences.count), visible, lone.isEmpty ? nil : lone, handles,
          Int64(handles.count), Int64(block), out)
      }
    }
  }

  /// The tensor that all pages are parts of, [pages, blocks, 2, heads, slots, size], and which of its parts each is; nil
  /// without pages.
  func store() -> (whole: Tensor, places: [Int])? {
    guard !pages.isEmpty else { return nil }
    return withExtendedLifetime(pages) {
      var whole: OpaquePointer?
      var places = [Int64](repeating: 0, count: pages.count)
      must(ct_whole(handles, Int64(handles.count), &places, &whole))
      return (Tensor(owning: whole!), places.map(Int.init))
    }
  }

  /// The rows as C functions read them.
  func withRows<Result>(
    _ body: (
      _ sequences: UnsafeBufferPointer<CTSequenceRows>, _ visible: UnsafeBufferPointer<Int64>,
      _ lone: UnsafePointer<Int64>?, _ pages: UnsafeBufferPointer<OpaquePointer?>
    ) -> Result
  ) -> Result {
    withExtendedLifetime(pages) {
      sequences.withUnsafeBufferPointer { sequences in
        visible.withUnsafeBufferPointer { visible in
          lone.withUnsafeBufferPointer { lone in
            handles.withUnsafeBufferPointer { body(sequences, visible, lone.isEmpty ? nil : lone.baseAddress, $0) }
          }
        }
      }
    }
  }
}
