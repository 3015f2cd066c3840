import Torch

// The arithmetic of a training step: what speeds are held against.
extension ScoredBatch {
  /// Operations, two for a multiplication and its addition, that a training step on this batch cannot do without.
  ///
  /// A weight of a block meets each row once forward and twice backward; in the last block the rows that lend only their
  /// keys and values meet those weights alone. A weight of the output layer meets each row that predicts something. In
  /// attention each query meets each key that it sees in two products forward and four backward. Norms, activations,
  /// softmax and the update are left out.
  public func trainingOperations(_ configuration: TransformerConfiguration) -> Double {
    let (width, blocks) = (Double(configuration.hiddenSize), Double(configuration.numBlocks))
    let (rows, top) = (Double(input.tokens.count), Double(input.topRows.count))
    let products =
      12 * width * width * (rows * (blocks - 1) + top) + 2 * width * width * (rows - top)
      + Double(configuration.vocabularySize) * width * Double(targets.count)
    let pairs =
      input.attention.reduce(0) { $0 + $1.pairCount } * (blocks - 1)
      + input.topAttention.reduce(0) { $0 + $1.pairCount }
    return 6 * products + 12 * width * pairs
  }
}

extension AttentionPart {
  /// How often a row sees a key.
  fileprivate var pairCount: Double {
    let (rows, keys) = (Double(rows.count), Double(keys.count))
    switch reach {
    case .all: return rows * keys
    case .upToBlock(let size): return min(rows, keys) * (min(rows, keys) + Double(size)) / 2
    case .ownBlock(let size): return min(rows, keys) * Double(size)
    }
  }
}
