import Torch

/// Keys and values of the tokens that a batch of generations has written so far.
///
/// Attention is causal along the generation order, so the key and value of a written token never change: storing them
/// is exact. A mask's never enter. They are written behind the end for the one call that needs them, where the next
/// call's rows overwrite them, so that attention always reads one contiguous stretch.
///
/// A cache is an argument of the network, never its state: one network serves any number of them.
public final class KVCache {
  /// How many slots are stored.
  public internal(set) var count = 0
  public let capacity: Int
  public let batch: Int
  /// Per block, [batch, heads, capacity, head size].
  private var keys: [Tensor]
  private var values: [Tensor]

  /// - Parameter capacity: the most slots at a time, those of one call's masks included.
  public init(for network: Network, batch: Int, capacity: Int) {
    let configuration = network.configuration
    let shape = [batch, configuration.numHeads, capacity, configuration.headSize]
    keys = (0..<configuration.numBlocks).map { _ in .zeros(shape, device: network.device) }
    values = (0..<configuration.numBlocks).map { _ in .zeros(shape, device: network.device) }
    self.batch = batch
    self.capacity = capacity
  }

  /// The memory that a cache of these sizes takes.
  public static func byteCount(
    _ configuration: TransformerConfiguration, batch: Int, capacity: Int, dtype: DType = .float32
  ) -> Int {
    2 * configuration.numBlocks * batch * configuration.hiddenSize * capacity * dtype.byteCount
  }

  /// Writes to all of the memory, so that it is really there, as after a generation.
  func touch() {
    for store in keys + values { store.fill(0.01) }
  }

  /// Puts the keys and values of `fed` rows a sequence, [batch·fed, heads, size], behind the stored ones and returns
  /// all, [batch, heads, count + fed, size]. They stay only if `count` is moved past them; a call that keeps none where
  /// none is stored leaves them where they are.
  func extended(block: Int, key: Tensor, value: Tensor, fed: Int, keeps: Bool) -> (key: Tensor, value: Tensor) {
    let new = count..<count + fed
    func place(_ rows: Tensor, in store: Tensor) -> Tensor {
      let rows = rows.reshaped([batch, fed, rows.size(1), rows.size(2)]).transposed(1, 2)
      guard keeps || count > 0 else { return rows }
      precondition(new.upperBound <= capacity, "the cache is full")
      store.narrowed(dim: 2, to: new).copy(from: rows)
      return store.narrowed(dim: 2, to: 0..<new.upperBound)
    }
    return (place(key, in: keys[block]), place(value, in: values[block]))
  }
}
