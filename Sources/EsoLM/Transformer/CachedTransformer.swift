import Faults
import Torch

/// A network that decodes with a KV cache. It copies the weights of matrices into the layout that is fastest for few
/// rows, so it takes about as much memory as the network once more.
///
/// On a CPU whose products are oneDNN's, a row's logits are the same bit for bit whichever sequences share its call:
/// products of packed weights, attention and norms compute every row alike.
public final class CachedTransformer: DecodingNetwork {
  private let network: Transformer
  private let pool: PagePool

  /// Packs a network's weights; later updates of them are not seen.
  public init(_ network: Transformer) {
    self.network = network.packed()
    pool = PagePool(network.configuration, device: network.device)
  }

  /// The sizes of the network.
  public var configuration: TransformerConfiguration { network.configuration }
  /// Where it computes.
  public var device: Device { network.device }

  public func makeCache() -> PagedCache { PagedCache(pool: pool) }

  /// The most memory that caches took at one time, in bytes, what they share counted once.
  public var peakCacheByteCount: Int { pool.peak * pool.pageByteCount }
  /// The memory that caches take now.
  public var cacheByteCount: Int { pool.count * pool.pageByteCount }
  /// Forgets the peak so far.
  public func resetPeak() { pool.resetPeak() }

  /// Below this many multiplications in a square layer, one thread is as fast as two, and several times faster where idle
  /// threads sleep and must be woken for each operation: measured on a model of width 128.
  private static let smallLayer = 1 << 19

  public func logits(_ feed: DecodingFeed, caches: [PagedCache]) -> Tensor {
    trap(unless: feed.sequences.count == caches.count && !feed.tokens.isEmpty, "a cache for each sequence")
    let hidden = network.configuration.hiddenSize
    let isSmall = feed.tokens.count * hidden * hidden < Self.smallLayer
    return Torch.withThreads(atMost: isSmall ? 1 : .max) { withoutGradients { compute(feed, caches: caches) } }
  }

  private func compute(_ feed: DecodingFeed, caches: [PagedCache]) -> Tensor {
    let pages = zip(feed.sequences, caches).map { $1.reserve($0.keptCount) }
    func rows(_ queries: [Range<Int>], visible: [Int]) -> RaggedAttention {
      RaggedAttention(
        feed.sequences.indices.map { index in
          .init(
            queries: queries[index], keys: feed.sequences[index].rows, stored: caches[index].count,
            kept: feed.sequences[index].keptCount, pages: pages[index])
        }, visible: visible)
    }
    let attention = rows(feed.sequences.map(\.rows), visible: feed.visible)
    // The last block computes outputs alone; other rows need no more than keys and values there.
    let topAttention = rows(feed.sequences.map(\.outputs), visible: feed.outputs.map { feed.visible[$0] })

    let device = network.device
    let angles = network.rotary.angles(at: feed.positions.map(Int64.init))
    var stream = network.embedding.embedding(Tensor(feed.tokens.map(Int64.init)).to(device))
    for (number, block) in network.blocks.dropLast().enumerated() {
      stream = block(stream, rotary: angles) { attention(query: $0, key: $1, value: $2, block: number) }
    }
    let outputs = Tensor(feed.outputs.map(Int64.init)).to(device)
    stream = network.blocks.last!(stream, rotary: angles, kept: outputs) {
      topAttention(query: $0, key: $1, value: $2, block: network.blocks.count - 1)
    }
    for (sequence, cache) in zip(feed.sequences, caches) { cache.grow(by: sequence.keptCount) }
    return network.logits(network.finalNorm(stream))
  }
}
