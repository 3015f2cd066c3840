import Faults
import Randomness

/// A method of the family: what it is trained on, how likely it finds a text, and how it writes one.
///
/// All methods train the same network by the same step and write by the same loop. What they differ in is data: orders,
/// an attention pattern and loss weights (``ScoredBatch``), a plan and a rule for reading what is written
/// (``UnmaskingPlan``, ``DecodingRule``), which make a ``Generation``.
public protocol GenerationMethod: Sendable {
  /// As the paper writes it, with what tells it from its kin.
  var title: String { get }

  /// A share of a training batch. The losses, `Σ weight · nll`, of all shares together are the method's objective in nats
  /// per token of the global batch.
  ///
  /// The draws of a sequence depend on the seed, the step and its place in the global batch alone.
  func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch

  /// A draw of the bound on the negative log-likelihood, in nats: passes over all the sequences in turn, of which a
  /// sequence's losses are to be added up.
  func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch

  /// Whether the bound is the negative log-likelihood itself and has no noise.
  var isBoundExact: Bool { get }

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

  /// How clean tokens and masks stand in it.
  var diffusionOrders: DiffusionOrders { get }

  /// An order as generation draws it.
  func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder

  /// How many tokens of a sequence are predicted, and so counted by perplexities.
  ///
  /// - Parameter length: tokens of the sequence, without padding.
  func predictedCount(ofLength length: Int) -> Int

  // MARK: Training noise

  /// The same method, training on other times where it can.
  ///
  /// - Throws: ``ConfigurationError`` for times that are none.
  func training(on times: ClosedRange<Double>?) throws -> any GenerationMethod

  /// Of the training times that a method may choose among, those in which its loss varies least; nil if it chooses none.
  ///
  /// - Parameters:
  ///   - network: what measures the loss.
  ///   - sequences: what is looked at.
  ///   - seed: of its noise.
  func quietestTimes(
    under network: Transformer, sequences: [PaddedTokens], seed: UInt64
  ) -> ClosedRange<Double>?

  // MARK: Writing

  /// A sequence as the method writes it.
  ///
  /// - Parameters:
  ///   - request: what is wanted.
  ///   - configuration: of the network that will write it.
  /// - Throws: ``ConfigurationError``, which names what does not belong to the method or does not fit.
  func generation(_ request: GenerationRequest, for configuration: TransformerConfiguration) throws -> Generation

  /// Lengths are multiples of this.
  var lengthUnit: Int { get }

  /// α₀ of training: the share of tokens that diffusion writes; nil for a method that has no such share.
  var diffusedShare: Double? { get }

  /// The share that diffusion writes of a text.
  func diffusedShare(of request: GenerationRequest) -> Double?

  /// What every text starts from, of a method that predicts each token from those to its left alone, by one network
  /// that sees no masks; nil of all others.
  var leftToRightStart: DecodingRule.Start? { get }

  // MARK: Comparing

  /// What to ask for so that a text takes about so many network calls; nil where the method has no such plan.
  func request(length: Int, calls: Int) -> GenerationRequest?

  /// What to ask for to see texts of few network calls up to one a token: for each number of time steps, where the method
  /// has a choice.
  func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest]
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

  public var isBoundExact: Bool { false }

  public func training(on times: ClosedRange<Double>?) -> any GenerationMethod { self }

  public func quietestTimes(
    under network: Transformer, sequences: [PaddedTokens], seed: UInt64
  ) -> ClosedRange<Double>? {
    nil
  }

  public var lengthUnit: Int { 1 }

  public var diffusedShare: Double? { nil }

  public func diffusedShare(of request: GenerationRequest) -> Double? { nil }

  public var leftToRightStart: DecodingRule.Start? { nil }

  /// Steps of positions far apart, exactly so many.
  public func request(length: Int, calls: Int) -> GenerationRequest? {
    GenerationRequest(length: length, steps: calls, schedule: .blockShuffled)
  }

  public func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest] {
    timeSteps.map { GenerationRequest(length: length, steps: $0) }
  }

  public var hasOneOrder: Bool { false }

  public var diffusionPass: AttentionPattern? { nil }

  public var diffusionOrders: DiffusionOrders { .random }

  public func predictedCount(ofLength length: Int) -> Int { length }
}

extension Double {
  /// A number of a title: without a fraction where it has none.
  package var shortText: String { self == rounded() && abs(self) < 1e9 ? "\(Int(self))" : "\(self)" }
}

/// Which draws of a bound are made: those of some sequences of a set. Times are spread evenly over the whole set, and a
/// sequence's draws do not depend on which others are measured with it.
public struct EvaluationNoise: Sendable, Equatable {
  /// The seed of the evaluation.
  public let seed: UInt64
  /// Counted from 0.
  public let draw: Int
  /// The number of the first sequence in the set.
  public let first: Int
  /// How many sequences the set has.
  public let count: Int

  /// The noise of a part of a set.
  ///
  /// - Precondition: no number is negative.
  public init(seed: UInt64, draw: Int = 0, first: Int = 0, count: Int) {
    trap(unless: draw >= 0 && first >= 0 && count >= 0, "draw \(draw), sequences from \(first) of \(count)")
    self.seed = seed
    self.draw = draw
    self.first = first
    self.count = count
  }

  /// The generator of the sequence at a place of the batch.
  package func generator(_ place: Int) -> CounterGenerator {
    CounterGenerator(seed: seed, stream: .validation, major: draw, minor: first + place)
  }

  /// Times for the sequences of a batch, one each or one per block.
  ///
  /// Each draw spreads the times of the whole set evenly. From draw to draw they move on by the golden section, so that
  /// the draws of one sequence are spread evenly too, however many they are.
  ///
  /// - Parameter uniforms: numbers in [0, 1), equally many for each sequence.
  package func times(_ uniforms: [[Double]]) -> [[Double]] {
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
