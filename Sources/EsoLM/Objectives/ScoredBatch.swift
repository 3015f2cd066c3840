import Torch

/// What a loss is made of: an input, and for every row with an output the token it should predict and what a nat of its
/// negative log-likelihood weighs. Rows without loss are never given an output.
public struct ScoredBatch: Sendable {
  public private(set) var input = NetworkInput()
  public private(set) var targets: [Int64] = []
  public private(set) var lossWeights: [Float] = []
  /// For each output, which of the appended sequences it belongs to.
  public private(set) var sequences: [Int] = []
  public private(set) var sequenceCount = 0

  public init() {}

  /// Adds sequences whose masked slots are to be predicted.
  ///
  /// - Parameters:
  ///   - sequences: clean tokens in text order, and the order to sort them by.
  ///   - weights: the weight of each sequence's outputs.
  public mutating func append(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], pattern: AttentionPattern, weights: [Double],
    maskToken: Int
  ) {
    input.append(sequences, pattern: pattern, maskToken: maskToken)
    for ((tokens, order), weight) in zip(sequences, weights) {
      let masked = order.positions[order.cleanCount...]
      targets += masked.map { Int64(tokens[$0]) }
      lossWeights += Array(repeating: Float(weight), count: masked.count)
      self.sequences += Array(repeating: sequenceCount, count: masked.count)
      sequenceCount += 1
    }
  }

  /// The loss `Σ weight · nll` (float64, differentiable) and the nll of every output, in nats.
  public func loss(under network: Network) -> (loss: Tensor, nll: Tensor) {
    network.negativeLogLikelihood(
      network.hidden(input), targets: Tensor(targets).to(network.device),
      lossWeights: Tensor(lossWeights).to(network.device))
  }

  /// `Σ weight · nll` of each sequence, without gradients.
  public func sequenceLosses(under network: Network) -> [Double] {
    guard !targets.isEmpty else { return [Double](repeating: 0, count: sequenceCount) }
    let nll = withoutGradients { loss(under: network).nll.array(of: Double.self) }
    var sums = [Double](repeating: 0, count: sequenceCount)
    for (output, sequence) in sequences.enumerated() { sums[sequence] += Double(lossWeights[output]) * nll[output] }
    return sums
  }
}
