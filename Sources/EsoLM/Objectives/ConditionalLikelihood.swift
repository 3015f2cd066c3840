import Randomness

// The likelihood of a part of a text when another part is given.
extension Likelihood {
  /// `log p(x_{σ(i)} | x_{σ(<i)})` of every slot i after the clean ones of each order, [sequence][masked slot].
  ///
  /// With the given tokens in the clean slots their sum is `log p(rest | given, σ)`, exactly. Sequences may differ in
  /// length. A first token that the method does not predict has no number: then a sequence's numbers are those of its
  /// last slots.
  ///
  /// - Returns: nil if the method cannot tell: it has no exact likelihood, or (AR) not in one of the orders.
  public func conditionalLogProbabilities(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)]
  ) -> [[Double]]? {
    // The network takes sequences of one length as a group.
    let sorted = sequences.indices
      .filter { method.predictedCount(ofLength: sequences[$0].tokens.count) > 0 && sequences[$0].order.maskedCount > 0 }
      .sorted { (sequences[$0].tokens.count, $0) < (sequences[$1].tokens.count, $1) }
    let mask = network.configuration.maskToken
    guard let batch = method.conditionalBatch(sorted.map { sequences[$0] }, maskToken: mask) else { return nil }
    var results = [[Double]](repeating: [], count: sequences.count)
    for (index, nll) in zip(sorted, batch.negativeLogLikelihoods(under: network)) { results[index] = nll.map { -$0 } }
    return results
  }

  /// An order in which the positions of each part come after those of the parts before it, the first part being clean.
  ///
  /// Inside a part positions are ordered as generation orders a whole text: with an Eso-LM as many as are binomial in α₀
  /// come first, at random, the rest left to right.
  ///
  /// - Parameters:
  ///   - parts: together every position once.
  ///   - generator: draws the orders of the parts.
  public func drawOrder(parts: [[Int]], using generator: inout CounterGenerator) -> GenerationOrder {
    let positions = parts.flatMap { part in
      drawOrder(length: part.count, using: &generator).positions.map { part[$0] }
    }
    return GenerationOrder(positions: positions, cleanCount: parts.first?.count ?? 0)
  }
}
