import Faults
import Randomness

/// The tokens of a sequence, padding at their end included: the network sees it, but it carries no loss (section 4).
public struct PaddedTokens: Sendable, Equatable {
  /// All tokens, padding included, in text order.
  public let tokens: [Int32]
  /// How many of the first tokens are no padding.
  public let contentCount: Int

  /// - Parameters:
  ///   - tokens: all, padding last.
  ///   - contentCount: how many are no padding; nil if there is none.
  /// - Precondition: `contentCount` is from 0 to the number of tokens.
  public init(_ tokens: some Sequence<Int32>, contentCount: Int? = nil) {
    self.tokens = Array(tokens)
    self.contentCount = contentCount ?? self.tokens.count
    trap(unless: (0...count).contains(self.contentCount), "\(self.contentCount) of \(count) tokens")
  }

  /// How many tokens there are, padding included.
  public var count: Int { tokens.count }
}

// The same for sequences without padding.
extension GenerationMethod {
  /// A training batch of sequences without padding.
  public func trainingBatch(_ sequences: [[Int32]], maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    trainingBatch(BatchShare(sequences.map { PaddedTokens($0) }), maskToken: maskToken, seed: seed, step: step)
  }

  /// A draw of the bound for sequences without padding.
  public func boundBatch(_ sequences: [[Int32]], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    boundBatch(sequences.map { PaddedTokens($0) }, maskToken: maskToken, noise: noise)
  }
}

extension Likelihood {
  /// One draw of the NELBO of each sequence, none with padding, in nats.
  public func negativeELBO(_ sequences: [[Int32]], noise: EvaluationNoise) -> [Double] {
    negativeELBO(sequences.map { PaddedTokens($0) }, noise: noise)
  }

  /// One draw of IMDCE of each sequence, none with padding, in nats.
  public func imdce(_ sequences: [[Int32]], noise: EvaluationNoise) -> [Double] {
    imdce(sequences.map { PaddedTokens($0) }, noise: noise)
  }
}

extension HybridObjective {
  /// Corrupts a global batch of sequences without padding.
  public func corrupt(_ batch: [[Int32]], seed: UInt64, stream: RandomStream = .corruption, step: Int) -> [Corrupted] {
    corrupt(BatchShare(batch.map { PaddedTokens($0) }), seed: seed, stream: stream, step: step)
  }
}
