import Faults
import Torch

/// What a loss is made of: an input, and for every row with an output the token it should predict and what a nat of its
/// negative log-likelihood weighs. Rows without loss are never given an output.
public struct ScoredBatch: Sendable {
  /// What the network reads.
  public private(set) var input = NetworkInput()
  /// For each output the token that it should predict.
  public private(set) var targets: [Int64] = []
  /// For each output what a nat of its negative log-likelihood weighs.
  public private(set) var lossWeights: [Float] = []
  /// For each output, which of the appended sequences it belongs to.
  public private(set) var sequences: [Int] = []
  /// How many sequences were appended.
  public private(set) var sequenceCount = 0
  /// How many outputs, which are the first ones, belong to the diffusion term; the others are predicted left to right.
  public private(set) var diffusionOutputCount = 0

  /// The terms that an objective may have.
  public enum Term: Sendable {
    /// Tokens that diffusion predicts.
    case diffusion
    /// Tokens that are predicted one after another.
    case sequential
  }

  /// A batch without sequences.
  public init() {}

  /// A sequence with what its outputs should predict.
  public struct Member: Sendable {
    /// The sequence as the network reads it.
    public let sequence: NetworkSequence
    /// One token per output.
    public let targets: [Int32]
    /// What a nat of each output weighs.
    public let weights: [Double]

    /// A sequence with a target and a weight for each of its outputs.
    ///
    /// - Precondition: a target and a weight for each output.
    public init(_ sequence: NetworkSequence, targets: [Int32], weights: [Double]) {
      trap(
        unless: targets.count == sequence.outputs.count && weights.count == targets.count, "every output needs a target"
      )
      self.sequence = sequence
      self.targets = targets
      self.weights = weights
    }

    /// A sequence whose masked slots are to be predicted, all of one weight.
    ///
    /// - Parameters:
    ///   - tokens: clean, in text order.
    ///   - order: says which slots are masked.
    ///   - weight: what a nat of each masked slot weighs.
    public init(tokens: [Int32], order: GenerationOrder, weight: Double) {
      self.init(PaddedTokens(tokens), order: order, weight: weight)
    }

    /// The same of a sequence with padding, which need not be predicted.
    public init(_ text: PaddedTokens, order: GenerationOrder, weight: Double) {
      let all = NetworkSequence(tokens: text.tokens, order: order)
      let sequence = NetworkSequence(
        tokens: all.tokens, positions: all.positions, cleanCount: all.cleanCount, masked: all.masked,
        outputs: all.outputs.filter { all.positions[$0] < text.contentCount })
      self.init(
        sequence, targets: sequence.outputs.map { sequence.tokens[$0] },
        weights: Array(repeating: weight, count: sequence.outputs.count))
    }
  }

  /// Adds sequences of one length; those of the diffusion term come first.
  public mutating func append(
    _ members: [Member], pattern: AttentionPattern, maskToken: Int, term: Term = .sequential
  ) {
    if term == .diffusion {
      trap(unless: diffusionOutputCount == targets.count, "the diffusion term comes first")
      diffusionOutputCount += members.reduce(0) { $0 + $1.targets.count }
    }
    input.append(members.map(\.sequence), pattern: pattern, maskToken: maskToken)
    for member in members {
      targets += member.targets.map(Int64.init)
      lossWeights += member.weights.map(Float.init)
      sequences += Array(repeating: sequenceCount, count: member.targets.count)
      sequenceCount += 1
    }
  }

  /// Adds sequences of which those of one length stand together.
  public mutating func append(runs members: [Member], pattern: AttentionPattern, maskToken: Int) {
    var rest = members[...]
    while let length = rest.first?.sequence.length {
      let run = rest.prefix { $0.sequence.length == length }
      append(Array(run), pattern: pattern, maskToken: maskToken)
      rest = rest.dropFirst(run.count)
    }
  }

  /// The nll of every output of each sequence, without gradients.
  public func negativeLogLikelihoods(under network: Transformer) -> [[Double]] {
    var result = [[Double]](repeating: [], count: sequenceCount)
    guard !targets.isEmpty else { return result }
    let nll = withoutGradients { network.loss(of: self).nll.array(of: Double.self) }
    for (output, sequence) in sequences.enumerated() { result[sequence].append(nll[output]) }
    return result
  }

  /// `Σ weight · nll` of the two terms, of the nll of every output.
  public func terms(_ nll: [Double]) -> (diffusion: Double, sequential: Double) {
    let losses = zip(lossWeights, nll).map { Double($0) * $1 }
    return (
      losses[..<diffusionOutputCount].reduce(0, +), losses[diffusionOutputCount...].reduce(0, +)
    )
  }

  /// `Σ weight · nll` of each sequence, without gradients.
  public func sequenceLosses(under network: Transformer) -> [Double] {
    var sums = [Double](repeating: 0, count: sequenceCount)
    let nll = negativeLogLikelihoods(under: network).joined()
    for ((sequence, weight), nll) in zip(zip(sequences, lossWeights), nll) { sums[sequence] += Double(weight) * nll }
    return sums
  }
}
