import Faults
import Torch

/// A network that decodes with a KV cache.
///
/// On the CPU a call is one operation (``Torch/FusedDecoder``), elsewhere it is made of the operations that training uses
/// and ``Torch/GatheredAttention``.
/// On the CPU a row's logits are the same bit for bit whichever sequences share its call and on any number of threads.
public final class CachedTransformer: DecodingNetwork {
  /// What it computes, without a cache.
  public let transformer: Transformer
  private let pool: PagePool
  private let fused: FusedDecoder?

  /// A network in the form that decodes. On the CPU it has weights of its own, unless those of `network` are packed
  /// already; elsewhere it shares them, so `network` must not be trained meanwhile.
  ///
  /// - Parameters:
  ///   - network: what computes.
  ///   - precision: how its matrices are kept; nil leaves them as they are.
  ///   - cachePrecision: how keys and values are kept, in float32 or bf16.
  /// - Throws: an error where a precision does not suit the device or the sizes.
  public convenience init(
    _ network: Transformer, precision: Precision? = nil, cachePrecision: Precision = .float32
  ) throws {
    try self.init(network, precision: precision, cachePrecision: cachePrecision, fuses: network.device == .cpu)
  }

  /// - Parameter fuses: false makes calls of single operations on the CPU too, for checking.
  package init(_ network: Transformer, precision: Precision?, cachePrecision: Precision, fuses: Bool) throws {
    try ConfigurationError.require(
      cachePrecision != .int8, "cachePrecision", cachePrecision.rawValue, expected: "float32 or bf16")
    let precision = precision ?? network.precision
    transformer = fuses || precision != .float32 ? try network.packed(in: precision) : network
    pool = PagePool(
      network.configuration, dtype: cachePrecision == .float32 ? .float32 : .bfloat16, device: network.device,
      isOneTensor: !fuses)
    fused = fuses ? transformer.fused() : nil
  }

  /// A network in the form that decodes, in the precision that it has.
  public convenience init(_ network: Transformer) { try! self.init(network, precision: nil) }

  /// The sizes of the transformer.
  public var configuration: TransformerConfiguration { transformer.configuration }
  /// Where it computes.
  public var device: Device { transformer.device }
  /// How its matrices are kept.
  public var precision: Precision { transformer.precision }
  /// How keys and values are kept.
  public var cachePrecision: Precision { pool.dtype == .float32 ? .float32 : .bfloat16 }
  /// The memory of all weights, in bytes.
  public var weightByteCount: Int {
    transformer.tensors.reduce(0) { $0 + $1.tensor.count * $1.tensor.dtype.byteCount }
  }

  /// The weights that every call reads, in bytes: all but the embedding, of which it reads a row for each token.
  public var readByteCount: Int { weightByteCount - 4 * transformer.embedding.count }
  /// The memory of one slot's keys and values, in bytes.
  public var bytesPerCachedSlot: Int { pool.pageByteCount / pool.slots }

  /// What calls on the CPU took from when it was set; nil measures nothing.
  public var profile: FusedDecoder.Profile? {
    get { fused?.profile }
    set { fused?.profile = newValue }
  }

  public func makeCache() -> PagedCache { PagedCache(pool: pool) }

  /// The most memory that caches took at one time, in bytes, what they share counted once.
  public var peakCacheByteCount: Int { pool.peak * pool.pageByteCount }
  /// The memory that caches take now.
  public var cacheByteCount: Int { pool.count * pool.pageByteCount }
  /// Forgets the peak so far.
  public func resetPeak() { pool.resetPeak() }

  /// Below this many multiplications of a square layer, one thread is as fast as two, and much faster where another program
  /// has the second core: measured on models of width 64 and 128.
  private static let smallLayer = 1 << 19

  public func logits(_ feed: DecodingFeed, caches: [PagedCache]) -> Tensor {
    trap(unless: feed.sequences.count == caches.count && !feed.tokens.isEmpty, "a cache for each sequence")
    for (sequence, cache) in zip(feed.sequences, caches) { cache.reserve(sequence.keptCount) }
    let pages = caches.map(\.tensors)
    let lone = zip(feed.sequences, caches).flatMap { sequence, cache in
      sequence.rows.map { feed.isApart[$0] ? cache.count + $0 - sequence.rows.lowerBound : nil }
    }
    func rows(_ queries: [Range<Int>], visible: [Int], lone: [Int?]) -> RaggedAttention {
      RaggedAttention(
        feed.sequences.indices.map { index in
          .init(
            queries: queries[index], keys: feed.sequences[index].rows, stored: caches[index].count,
            kept: feed.sequences[index].keptCount, pages: pages[index])
        }, visible: visible, lone: lone)
    }
    let attention = rows(feed.sequences.map(\.rows), visible: feed.visible, lone: lone)
    // The last block computes outputs alone; other rows need no more than keys and values there.
    let topAttention = rows(
      feed.sequences.map(\.outputs), visible: feed.outputs.map { feed.visible[$0] },
      lone: feed.outputs.map { lone[$0] })
    defer { for (sequence, cache) in zip(feed.sequences, caches) { cache.grow(by: sequence.keptCount) } }
    return withoutGradients {
      guard let fused else { return composed(feed, attention, topAttention) }
      let table = transformer.rotary.table(for: feed.positions.max()! + 1)
      let hidden = transformer.configuration.hiddenSize
      return fused.logits(
        tokens: feed.tokens, positions: feed.positions, attention: attention, outputs: feed.outputs,
        topAttention: topAttention, angles: (table.cosine, table.sine),
        alone: feed.tokens.count * hidden * hidden < Self.smallLayer)
    }
  }

  /// The same call made of single operations.
  ///
  /// It is not captured in a CUDA graph: libtorch's class for that needs CUDA's own headers and libraries, without which
  /// this package is built, and shapes that stay while caches grow.
  private func composed(
    _ feed: DecodingFeed, _ attention: RaggedAttention, _ topAttention: RaggedAttention
  ) -> Tensor {
    // All that goes to the device goes before it has something to do: a transfer waits for that.
    let (device, heads) = (transformer.device, transformer.configuration.numHeads)
    let (gathered, topGathered) = (
      GatheredAttention(attention, heads: heads, device: device),
      GatheredAttention(topAttention, heads: heads, device: device)
    )
    let angles = transformer.rotary.angles(at: feed.positions.map(Int64.init))
    let outputs = Tensor(feed.outputs.map(Int64.init)).to(device)
    var stream = transformer.embedding.embedding(Tensor(feed.tokens.map(Int64.init)).to(device))
    for (number, block) in transformer.blocks.dropLast().enumerated() {
      stream = block(stream, rotary: angles) { gathered(query: $0, key: $1, value: $2, block: number) }
    }
    stream = transformer.blocks.last!(stream, rotary: angles, kept: outputs) {
      topGathered(query: $0, key: $1, value: $2, block: transformer.blocks.count - 1)
    }
    return transformer.logits(transformer.finalNorm(stream))
  }
}
