import Foundation
import Randomness
import Torch

/// How likely a trained network finds given text, in nats. Nothing here is trained.
public struct Likelihood {
  public let network: Network
  public let alpha0: Double

  public init(_ network: Network, alpha0: Double) {
    self.network = network
    self.alpha0 = alpha0
  }

  // MARK: Exact

  /// `log p(x_{σ(i)} | x_{σ(<i)})` of every slot i under the given order, [sequence][slot].
  ///
  /// One pass gives all: the sequential pass with every token masked. Their sum is `log p(x | σ)`, no bound, and over
  /// all sequences of a length these probabilities add up to 1.
  public func logProbabilities(_ sequences: [(tokens: [Int32], order: GenerationOrder)]) -> [[Double]] {
    var batch = ScoredBatch()
    batch.append(
      sequences.map { ($0.tokens, GenerationOrder(positions: $0.order.positions, cleanCount: 0)) },
      pattern: .twoStream, weights: sequences.map { _ in 1 }, maskToken: network.configuration.maskToken)
    let nll = withoutGradients { batch.loss(under: network).nll.array(of: Double.self) }
    var start = 0
    return sequences.map { sequence in
      defer { start += sequence.tokens.count }
      return nll[start..<start + sequence.tokens.count].map { -$0 }
    }
  }

  /// An order as generation draws it: the number of diffused tokens is binomial in α₀, those come first in random
  /// order, the rest left to right.
  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    let diffused = (0..<length).reduce(0) { count, _ in count + (generator.uniform() < alpha0 ? 1 : 0) }
    return .random(length: length, diffused: diffused, using: &generator)
  }

  /// `log (1/K) Σ_k p(x | σ_k)`, whose expectation bounds log p(x) from below and rises with K towards it.
  public static func importanceWeighted(_ logProbabilities: [Double]) -> Double {
    let largest = logProbabilities.max()!
    guard largest > -.infinity else { return largest }
    let sum = logProbabilities.reduce(0) { $0 + exp($1 - largest) }
    return largest + log(sum / Double(logProbabilities.count))
  }

  // MARK: Bounds

  /// One draw of the NELBO of each sequence: both terms of the hybrid objective, over the whole sequence.
  public func negativeELBO(_ sequences: [[Int32]], seed: UInt64, draw: Int) -> [Double] {
    let objective = HybridObjective(alpha0: alpha0)
    var generators = sequences.indices.map {
      CounterGenerator(seed: seed, stream: .validation, major: draw, minor: $0)
    }
    let times = NoiseSchedule.antitheticTimes(uniforms: sequences.indices.map { generators[$0].uniform() })
    var batch = ScoredBatch()
    let mask = network.configuration.maskToken
    if alpha0 > 0 {
      let diffusion = sequences.indices.map {
        objective.diffusion(sequences[$0], at: times[$0], using: &generators[$0])
      }
      batch.append(
        diffusion.map { ($0.tokens, $0.order) }, pattern: .causal, weights: times.map(objective.weight(at:)),
        maskToken: mask)
    }
    if alpha0 < 1 {
      let sequential = sequences.indices.map { objective.sequential(sequences[$0], using: &generators[$0]) }
      batch.append(
        sequential.map { ($0.tokens, $0.order) }, pattern: .twoStream, weights: sequential.map { _ in 1 },
        maskToken: mask)
    }
    let losses = batch.sequenceLosses(under: network)
    return sequences.indices.map { sequence in
      stride(from: sequence, to: losses.count, by: sequences.count).reduce(0) { $0 + losses[$1] }
    }
  }

  /// One draw of the cheaper bound for α₀ = 1 (IMDCE): k clean tokens with chance ∝ 1/(L − k), the rest masked, one
  /// diffusion pass.
  ///
  /// With `H_L = Σ_{i ≤ L} 1/i` the chance of k is 1/((L − k) H_L), so `H_L · Σ_masked −log p` has the expectation
  /// `Σ_k 1/(L − k) · E[Σ_masked −log p]`: the NELBO with its integral over time done in closed form.
  public func imdce(_ sequences: [[Int32]], seed: UInt64, draw: Int) -> [Double] {
    var batch = ScoredBatch()
    for (index, tokens) in sequences.enumerated() {
      var generator = CounterGenerator(seed: seed, stream: .validation, major: ~draw, minor: index)
      let length = tokens.count
      let harmonic = (1...length).reduce(0) { $0 + 1 / Double($1) }
      var rest = generator.uniform() * harmonic
      var masked = 1
      while masked < length, rest >= 1 / Double(masked) {
        rest -= 1 / Double(masked)
        masked += 1
      }
      let order = GenerationOrder(
        positions: Array(0..<length).shuffled(using: &generator), cleanCount: length - masked)
      batch.append(
        [(tokens, order)], pattern: .causal, weights: [harmonic], maskToken: network.configuration.maskToken)
    }
    return batch.sequenceLosses(under: network)
  }
}
