import Torch

/// What one network call of a generation feeds, the same number of rows for each sequence of the batch: first the
/// tokens written by the call before, now clean, then the masks of the slots that this call writes.
public struct DecodingFeed: Sendable {
  /// For each sequence the token of each row.
  public let tokens: [[Int32]]
  /// For each sequence the position of each row.
  public let positions: [[Int]]
  /// How many of the rows are clean.
  public let cleanCount: Int

  public init(tokens: [[Int32]], positions: [[Int]], cleanCount: Int) {
    self.tokens = tokens
    self.positions = positions
    self.cleanCount = cleanCount
  }

  var rowCount: Int { positions[0].count }
}

/// What decoding asks of a network: one function.
public protocol DecodingNetwork {
  var configuration: TransformerConfiguration { get }

  /// An empty cache for a batch of sequences.
  func makeCache(batch: Int, capacity: Int) -> KVCache

  /// Logits of the mask rows of a feed, [batch · masks, vocabulary], one sequence after another. A row sees the cache
  /// and the rows fed before it. Afterwards the cache holds the feed's clean rows too.
  func logits(_ feed: DecodingFeed, cache: KVCache) -> Tensor
}

/// A network that decodes with a KV cache.
public final class CachedNetwork: DecodingNetwork {
  private let network: Network

  public init(_ network: Network) { self.network = network }

  public var configuration: TransformerConfiguration { network.configuration }

  public func makeCache(batch: Int, capacity: Int) -> KVCache {
    KVCache(for: network, batch: batch, capacity: capacity)
  }

  /// Below this many multiplications in a square layer, one thread is faster than two: measured on a model of width 128,
  /// where a call with one token takes a third less time.
  private static let smallLayer = 1 << 17

  public func logits(_ feed: DecodingFeed, cache: KVCache) -> Tensor {
    let (rows, hidden) = (cache.batch * feed.rowCount, network.configuration.hiddenSize)
    let isSmall = rows * hidden * hidden < Self.smallLayer
    return Torch.withThreads(atMost: isSmall ? 1 : .max) { withoutGradients { compute(feed, cache: cache) } }
  }

  private func compute(_ feed: DecodingFeed, cache: KVCache) -> Tensor {
    let (batch, fed, clean) = (cache.batch, feed.rowCount, feed.cleanCount)
    let masks = fed - clean
    precondition(
      feed.positions.count == batch && masks > 0 && cache.count + fed <= cache.capacity, "the feed does not fit")
    let device = network.device
    let angles = network.rotary.angles(at: feed.positions.joined().map(Int64.init))
    let maskRows = Tensor(
      (0..<batch).flatMap { sequence in (clean..<fed).map { Int64(sequence * fed + $0) } }
    ).to(device)

    var stream = network.embedding.embedding(Tensor(feed.tokens.joined().map(Int64.init)).to(device))
    // With nothing stored the first blocks' attention is plainly causal, which needs no mask.
    let isEmpty = cache.count == 0
    let allowed = isEmpty ? nil : Self.mask(rows: 0..<fed, stored: cache.count).to(device)
    // A single mask is the last row and sees everything.
    let allowedForMasks = masks == 1 ? nil : Self.mask(rows: clean..<fed, stored: cache.count).to(device)
    for (number, block) in network.blocks.enumerated() {
      let isLast = number == network.blocks.count - 1
      let rows = isLast ? masks : fed
      stream = block(stream, rotary: angles, kept: isLast ? maskRows : nil) { query, key, value in
        let (keys, values) = cache.extended(block: number, key: key, value: value, fed: fed)
        return query.reshaped([batch, rows, query.size(1), query.size(2)]).transposed(1, 2)
          .attention(
            key: keys, value: values, mask: isLast ? allowedForMasks : allowed, causal: isEmpty && !isLast
          )
          .transposed(1, 2)
      }
    }
    cache.count += clean
    return network.logits(network.finalNorm(stream))
  }

  /// Row i of a feed sees what is stored and the feed's rows 0 ... i: bool [rows, stored + fed].
  private static func mask(rows: Range<Int>, stored: Int) -> Tensor {
    let slots = stored + rows.upperBound
    return Tensor(rows.flatMap { row in (0..<slots).map { $0 <= stored + row } }, shape: [rows.count, slots])
  }
}
