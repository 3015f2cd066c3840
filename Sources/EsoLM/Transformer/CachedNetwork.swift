import Torch

/// What one network call of a generation feeds, the same number of rows for each sequence of the batch: slots behind
/// those in the cache, clean ones first, then masks.
public struct DecodingFeed: Sendable {
  /// For each sequence the token of each row.
  public let tokens: [[Int32]]
  /// For each sequence the position of each row.
  public let positions: [[Int]]
  /// The rows that logits are asked for.
  public let outputs: Range<Int>
  /// How many of the first rows stay in the cache.
  public let keptCount: Int
  /// How the rows see each other; every row also sees the cache.
  let runs: [SegmentRun]

  init(tokens: [[Int32]], positions: [[Int]], runs: [SegmentRun], outputs: Range<Int>, keptCount: Int) {
    self.tokens = tokens
    self.positions = positions
    self.runs = runs
    self.outputs = outputs
    self.keptCount = keptCount
  }

  /// Rows that see each other by an attention pattern's segments.
  ///
  /// - Parameter cleanCount: how many of the rows the pattern regards as clean.
  public init(
    tokens: [[Int32]], positions: [[Int]], segments: AttentionPattern.Segments, cleanCount: Int, outputs: Range<Int>,
    keptCount: Int
  ) {
    let rows = positions.first?.count ?? 0
    self.init(
      tokens: tokens, positions: positions,
      runs: SegmentRun.runs(segments, length: rows, cleanCount: cleanCount), outputs: outputs, keptCount: keptCount)
  }

  var rowCount: Int { positions[0].count }
}

extension SegmentRun {
  /// The part of the run in a range of slots that cuts no segment it keeps keys of, counted from the range's start.
  func within(_ range: Range<Int>) -> SegmentRun? {
    let common = slots.clamped(to: range)
    return common.isEmpty ? nil : SegmentRun(slots: common.shifted(by: -range.lowerBound), size: size)
  }
}

/// What decoding asks of a network: one function.
public protocol DecodingNetwork {
  var configuration: TransformerConfiguration { get }

  /// An empty cache for a batch of sequences.
  ///
  /// - Parameter capacity: the most slots that are stored, masks of a call included; 0 if nothing ever is.
  func makeCache(batch: Int, capacity: Int) -> KVCache

  /// Logits of a feed's outputs, [batch · outputs, vocabulary], one sequence after another. Afterwards the cache holds
  /// the feed's kept rows too.
  func logits(_ feed: DecodingFeed, cache: KVCache) -> Tensor
}

/// A network that decodes with a KV cache. It copies the weights of matrices into the layout that is fastest for few
/// rows, so it takes about as much memory as the network once more.
public final class CachedNetwork: DecodingNetwork {
  private let network: Network

  public init(_ network: Network) { self.network = network.packed() }

  public var configuration: TransformerConfiguration { network.configuration }

  public func makeCache(batch: Int, capacity: Int) -> KVCache {
    KVCache(for: network, batch: batch, capacity: capacity)
  }

  /// Below this many multiplications in a square layer, one thread is as fast as two, and several times faster where idle
  /// threads sleep and must be woken for each operation: measured on a model of width 128.
  private static let smallLayer = 1 << 19

  public func logits(_ feed: DecodingFeed, cache: KVCache) -> Tensor {
    let (rows, hidden) = (cache.batch * feed.rowCount, network.configuration.hiddenSize)
    let isSmall = rows * hidden * hidden < Self.smallLayer
    return Torch.withThreads(atMost: isSmall ? 1 : .max) { withoutGradients { compute(feed, cache: cache) } }
  }

  private func compute(_ feed: DecodingFeed, cache: KVCache) -> Tensor {
    let (batch, fed, outputs) = (cache.batch, feed.rowCount, feed.outputs)
    precondition(
      feed.positions.count == batch && !outputs.isEmpty && outputs.upperBound <= fed && feed.keptCount <= fed,
      "the feed does not fit")
    let device = network.device
    let angles = network.rotary.angles(at: feed.positions.joined().map(Int64.init))
    let outputRows = Tensor(
      (0..<batch).flatMap { sequence in outputs.map { Int64(sequence * fed + $0) } }
    ).to(device)

    var stream = network.embedding.embedding(Tensor(feed.tokens.joined().map(Int64.init)).to(device))
    let stored = cache.count
    let visible = feed.runs.flatMap { run in run.slots.map { stored + run.segment(of: $0)!.upperBound } }
    let keeps = feed.keptCount > 0
    for (number, block) in network.blocks.enumerated() {
      let isLast = number == network.blocks.count - 1
      stream = block(stream, rotary: angles, kept: isLast ? outputRows : nil) { query, key, value in
        let (keys, values) = cache.extended(block: number, key: key, value: value, fed: fed, keeps: keeps)
        let rows = isLast ? outputs : 0..<fed
        return query.reshaped([batch, rows.count, query.size(1), query.size(2)]).transposed(1, 2)
          .attention(key: keys, value: values, visible: Array(visible[rows]))
          .transposed(1, 2)
      }
    }
    cache.count += feed.keptCount
    return network.logits(network.finalNorm(stream))
  }
}
