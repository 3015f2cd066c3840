import Randomness
import Torch

// The likelihood of a part of a text when another part is given.
extension Likelihood {
  /// `log p(x_{σ(i)} | x_{σ(<i)})` of every slot i after the clean ones of each order, [sequence][masked slot].
  ///
  /// With the given tokens in the clean slots their sum is `log p(rest | given, σ)`, exactly. Sequences may differ in
  /// length.
  public func conditionalLogProbabilities(_ sequences: [(tokens: [Int32], order: GenerationOrder)]) -> [[Double]] {
    var batch = ScoredBatch()
    // The network takes sequences of one length as a group; the results come in the order of the groups.
    let byLength = Dictionary(grouping: sequences.indices) { sequences[$0].tokens.count }
      .sorted { $0.key < $1.key }.map(\.value)
    for group in byLength {
      batch.append(
        group.map { sequences[$0] }, pattern: .twoStream, weights: group.map { _ in 1 },
        maskToken: network.configuration.maskToken)
    }
    var results = [[Double]](repeating: [], count: sequences.count)
    guard !batch.targets.isEmpty else { return results }
    var rest = withoutGradients { batch.loss(under: network).nll.array(of: Double.self) }[...]
    for index in byLength.joined() {
      let count = sequences[index].order.maskedCount
      results[index] = rest.prefix(count).map { -$0 }
      rest = rest.dropFirst(count)
    }
    return results
  }

  /// An order in which the positions of each part come after those of the parts before it, the first part being clean.
  ///
  /// Inside a part positions are ordered as generation orders a whole text: as many as are binomial in α₀ come first, at
  /// random, the rest left to right. So with α₀ = 0 every part is read from left to right.
  ///
  /// - Parameter parts: together every position once.
  public func drawOrder(parts: [[Int]], using generator: inout CounterGenerator) -> GenerationOrder {
    let positions = parts.flatMap { part in
      drawOrder(length: part.count, using: &generator).positions.map { part[$0] }
    }
    return GenerationOrder(positions: positions, cleanCount: parts.first?.count ?? 0)
  }
}
