import Randomness
import Torch

/// Decides, call by call, which positions of a sequence are written.
///
/// A plan may be fixed beforehand (``UnmaskingPlan``) or decide as it goes (``AdaptivePlan``), and it may
/// draw tokens itself (``SpeculativePlan``). To keep the distribution of texts proper, and
/// the probability of one replayable, it may look at what is written, at its own state and at the current logits, but
/// never at how likely a token is that was just drawn.
public protocol DecodingPlan: Sendable {
  /// What the next network call evaluates; nil where nothing is left to write.
  ///
  /// - Parameter generation: the sequence as it stands.
  mutating func next(after generation: Generation) -> PlannedCall?

  /// Whether `choose` looks at logits. Otherwise everything evaluated is written.
  var choosesByLogits: Bool { get }

  /// Which of a call's positions are written now, as places among them, in the order in which they become slots; at
  /// least one, unless the call takes slots back. The others stay masked.
  ///
  /// - Parameters:
  ///   - call: what was evaluated.
  ///   - logits: [positions, vocabulary].
  mutating func choose(from call: PlannedCall, logits: Tensor) -> [Int]

  /// Whether `draw` draws a call's tokens. Otherwise each is drawn from its own logits.
  var drawsTokens: Bool { get }

  /// What a call writes: tokens in the order in which they become slots, each distributed as the network says it is
  /// given what was written before it, those of this call included; at least one.
  ///
  /// - Parameters:
  ///   - call: what was evaluated.
  ///   - distributions: of the call's positions, then of its drafts.
  ///   - generator: for this call alone.
  mutating func draw(
    from call: PlannedCall, distributions: [TokenDistribution], using generator: inout CounterGenerator
  ) -> [PlannedCall.Drawn]

  /// How many network calls are left, where that is known beforehand.
  var remainingCalls: Int? { get }
}

extension DecodingPlan {
  public var choosesByLogits: Bool { false }
  public mutating func choose(from call: PlannedCall, logits: Tensor) -> [Int] { Array(call.positions.indices) }
  public var drawsTokens: Bool { false }
  public mutating func draw(
    from call: PlannedCall, distributions: [TokenDistribution], using generator: inout CounterGenerator
  ) -> [PlannedCall.Drawn] { [] }
  public var remainingCalls: Int? { nil }
}

/// What one network call of a sequence evaluates.
public struct PlannedCall: Sendable, Equatable {
  /// The positions whose logits are asked for, in the order in which the network sees their masks: each sees those
  /// before it.
  public var positions: [Int]
  /// Whether the diffusion phase is over: a method whose clean tokens see each other both ways keeps them as they are
  /// from here on.
  public var isSequential: Bool
  /// How many of the slots written last become masks again before the call.
  public var takesBack: Int
  /// Tokens that are fed as if they were written, before the masks of `positions`, which see them. Each has a mask too,
  /// that sees what is written, the drafts before its own, and itself. Of a method whose slots are each a segment.
  public var drafts: [Draft]

  /// A token that may turn out to be wrong.
  public struct Draft: Sendable, Equatable {
    /// Where it stands.
    public var position: Int
    /// Its id.
    public var token: Int32

    /// A draft by its parts.
    public init(position: Int, token: Int32) {
      self.position = position
      self.token = token
    }
  }

  /// A token that is written, at one of the positions or in place of one of the drafts.
  public struct Drawn: Sendable, Equatable {
    /// Among the positions, then the drafts.
    public var place: Int
    /// Its id.
    public var token: Int32

    /// A token by its parts.
    public init(place: Int, token: Int32) {
      self.place = place
      self.token = token
    }
  }

  /// A call by its parts.
  public init(positions: [Int], isSequential: Bool = false, takesBack: Int = 0, drafts: [Draft] = []) {
    self.positions = positions
    self.isSequential = isSequential
    self.takesBack = takesBack
    self.drafts = drafts
  }

  /// The positions of all masks that have logits: those asked for, then those of drafts.
  var evaluated: [Int] { positions + drafts.map(\.position) }
}

/// A plan that was fixed beforehand, as it is carried out. Positions behind the end of a text that was cut are passed
/// over.
public struct FixedPlan: DecodingPlan {
  /// The plan that is carried out.
  public let plan: UnmaskingPlan
  private var nextStep = 0

  /// The plan before its first call.
  public init(_ plan: UnmaskingPlan) { self.plan = plan }

  public mutating func next(after generation: Generation) -> PlannedCall? {
    while nextStep < plan.steps.count {
      defer { nextStep += 1 }
      let positions = plan.steps[nextStep].filter { $0 < generation.end }
      guard positions.isEmpty else {
        return PlannedCall(positions: positions, isSequential: nextStep >= plan.diffusionStepCount)
      }
    }
    return nil
  }

  public var remainingCalls: Int? { plan.steps.count - nextStep }
}
