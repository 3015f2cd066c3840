import Randomness

/// A method of the family: what it is trained on, how likely it finds a text, and how it writes one.
///
/// All methods train the same network by the same step and write by the same loop. What they differ in is data: orders,
/// an attention pattern and loss weights (``ScoredBatch``), a plan and a rule for reading what is written
/// (``UnmaskingPlan``, ``DecodingRule``), which make a ``Generation``.
public protocol GenerationMethod: Sendable {
  /// A training batch whose loss, `Σ weight · nll`, is the method's objective in nats per token.
  ///
  /// The draws of a sequence depend on the seed, the step and its place in the global batch alone.
  func trainingBatch(_ sequences: [PaddedTokens], maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch

  /// A draw of the bound on the negative log-likelihood, in nats: passes over all the sequences in turn, of which a
  /// sequence's losses are to be added up.
  func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch

  /// The pass that gives `log p` of each token exactly, all at once, and its sum for the whole sequence under the given
  /// order; nil if the method has no such pass. It is smallest where sequences of one length stand together.
  func exactBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch?

  /// The pass that gives `log p` of each token after the clean ones of its order, given those and the ones before it;
  /// nil if the method has no such pass, or not in one of the orders. Sequences of one length stand together.
  func conditionalBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch?

  /// Whether `drawOrder` always gives the same order.
  var hasOneOrder: Bool { get }

  /// The attention of a diffusion pass, clean tokens first and all masks after them; nil if the method has none.
  var diffusionPass: AttentionPattern? { get }

  /// An order as generation draws it.
  func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder

  /// How many tokens of a sequence are predicted, and so counted by perplexities.
  ///
  /// - Parameter length: tokens of the sequence, without padding.
  func predictedCount(ofLength length: Int) -> Int

  /// A sequence as the method writes it.
  ///
  /// - Parameter configuration: of the network that will write it.
  /// - Throws: ``ConfigurationError``, which names what does not belong to the method or does not fit.
  func generation(_ request: GenerationRequest, for configuration: TransformerConfiguration) throws -> Generation
}

extension GenerationMethod {
  public func exactBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch? {
    nil
  }

  public func conditionalBatch(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int
  ) -> ScoredBatch? {
    nil
  }

  public var hasOneOrder: Bool { false }

  public var diffusionPass: AttentionPattern? { nil }

  public func predictedCount(ofLength length: Int) -> Int { length }
}

/// Which draws of a bound are made: those of some sequences of a set. Times are spread evenly over the whole set, and a
/// sequence's draws do not depend on which others are measured with it.
public struct EvaluationNoise: Sendable, Equatable {
  public let seed: UInt64
  /// Counted from 0.
  public let draw: Int
  /// The number of the first sequence in the set, and how many the set has.
  public let first: Int
  public let count: Int

  public init(seed: UInt64, draw: Int = 0, first: Int = 0, count: Int) {
    self.seed = seed
    self.draw = draw
    self.first = first
    self.count = count
  }

  /// The generator of the sequence at a place of the batch.
  func generator(_ place: Int) -> CounterGenerator {
    CounterGenerator(seed: seed, stream: .validation, major: draw, minor: first + place)
  }

  /// Times for the sequences of a batch, one each or one per block.
  ///
  /// Each draw spreads the times of the whole set evenly. From draw to draw they move on by the golden section, so that
  /// the draws of one sequence are spread evenly too, however many they are.
  ///
  /// - Parameter uniforms: numbers in [0, 1), equally many for each sequence.
  func times(_ uniforms: [[Double]]) -> [[Double]] {
    let perSequence = uniforms.first?.count ?? 0
    let goldenSection = (5.0.squareRoot() - 1) / 2
    let turn = (Double(draw) * goldenSection).truncatingRemainder(dividingBy: 1)
    let shift = Int(turn * Double(count * perSequence))
    return uniforms.enumerated().map { place, uniforms in
      uniforms.enumerated().map {
        NoiseSchedule.antitheticTime(
          uniform: $1, index: (first + place) * perSequence + $0 + shift, count: count * perSequence)
      }
    }
  }
}
