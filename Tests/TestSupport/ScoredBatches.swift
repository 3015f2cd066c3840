import EsoLM

extension ScoredBatch {
  /// Adds sequences whose masked slots are to be predicted, all outputs of a sequence with one weight.
  public mutating func append(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], pattern: AttentionPattern, weights: [Double],
    maskToken: Int
  ) {
    append(
      zip(sequences, weights).map { Member(tokens: $0.tokens, order: $0.order, weight: $1) }, pattern: pattern,
      maskToken: maskToken)
  }
}
