import Foundation
import Randomness
import Torch

/// How likely a trained network finds given text, in nats. Nothing here is trained.
public struct Likelihood {
  /// The network that is asked.
  public let network: Transformer
  /// How it is read.
  public let method: any GenerationMethod

  /// The likelihood of a network under a method.
  public init(_ network: Transformer, method: any GenerationMethod) {
    self.network = network
    self.method = method
  }

  /// Of an Eso-LM (B).
  ///
  /// - Throws: ``ConfigurationError`` unless α₀ is in [0, 1].
  public init(_ network: Transformer, alpha0: Double) throws {
    self.init(network, method: try EsotericMethod(alpha0: alpha0))
  }

  // MARK: Exact

  /// Whether the method has an exact likelihood: AR, and Eso-LM (B).
  public var isExact: Bool { method.exactBatch([], maskToken: network.configuration.maskToken) != nil }

  /// `log p(x_{σ(i)} | x_{σ(<i)})` of every slot i under the given order, [sequence][slot].
  ///
  /// One pass gives all. Their sum is `log p(x | σ)`, no bound, and over all sequences of a length these probabilities
  /// add up to 1.
  ///
  /// - Precondition: `isExact`.
  public func logProbabilities(_ sequences: [(tokens: [Int32], order: GenerationOrder)]) -> [[Double]] {
    guard let batch = method.exactBatch(sequences, maskToken: network.configuration.maskToken) else {
      fatalError("the method has no exact likelihood")
    }
    return batch.negativeLogLikelihoods(under: network).map { $0.map { -$0 } }
  }

  /// An order as generation draws it.
  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    method.drawOrder(length: length, using: &generator)
  }

  /// `log (1/K) Σ_k p(x | σ_k)`, whose expectation bounds log p(x) from below and rises with K towards it.
  ///
  /// - Precondition: there is at least one.
  public static func importanceWeighted(_ logProbabilities: [Double]) -> Double {
    guard let largest = logProbabilities.max() else { fatalError("an average over no orders") }
    guard largest > -.infinity else { return largest }
    let sum = logProbabilities.reduce(0) { $0 + exp($1 - largest) }
    return largest + log(sum / Double(logProbabilities.count))
  }

  // MARK: Bounds

  /// One draw of the NELBO of each sequence; for AR, the negative log-likelihood itself.
  public func negativeELBO(_ sequences: [PaddedTokens], noise: EvaluationNoise) -> [Double] {
    let losses = method.boundBatch(sequences, maskToken: network.configuration.maskToken, noise: noise)
      .sequenceLosses(under: network)
    return sequences.indices.map { sequence in
      stride(from: sequence, to: losses.count, by: sequences.count).reduce(0) { $0 + losses[$1] }
    }
  }

  /// One draw of the cheaper bound for α₀ = 1 (IMDCE): k clean tokens with chance ∝ 1/(L − k), the rest masked, one
  /// diffusion pass.
  ///
  /// With `H_L = Σ_{i ≤ L} 1/i` the chance of k is 1/((L − k) H_L), so `H_L · Σ_masked −log p` has the expectation
  /// `Σ_k 1/(L − k) · E[Σ_masked −log p]`: the NELBO with its integral over time done in closed form.
  ///
  /// - Precondition: the method has a diffusion pass.
  public func imdce(_ sequences: [PaddedTokens], noise: EvaluationNoise) -> [Double] {
    guard let pattern = method.diffusionPass else { fatalError("the method has no diffusion pass") }
    let maskToken = network.configuration.maskToken
    var batch = ScoredBatch()
    for (place, text) in sequences.enumerated() {
      var generator = noise.generator(place)
      let length = text.count
      let harmonic = (1...length).reduce(0) { $0 + 1 / Double($1) }
      var rest = generator.uniform() * harmonic
      var masked = 1
      while masked < length, rest >= 1 / Double(masked) {
        rest -= 1 / Double(masked)
        masked += 1
      }
      let order = GenerationOrder(
        positions: Array(0..<length).inRandomOrder(using: &generator), cleanCount: length - masked
      ).arranged(method.diffusionOrders)
      batch.append(
        [.init(text, order: order, weight: harmonic)], pattern: pattern, maskToken: maskToken)
    }
    return batch.sequenceLosses(under: network)
  }
}
