import Torch

/// Decides, call by call, which positions of a sequence are written.
///
/// A plan may be fixed beforehand (``UnmaskingPlan``) or decide as it goes (``AdaptivePlan``). To keep the distribution of texts proper, and
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

  /// How many network calls are left, where that is known beforehand.
  var remainingCalls: Int? { get }
}

extension DecodingPlan {
  public var choosesByLogits: Bool { false }
  public mutating func choose(from call: PlannedCall, logits: Tensor) -> [Int] { Array(call.positions.indices) }
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

  /// A call by its parts.
  public init(positions: [Int], isSequential: Bool = false, takesBack: Int = 0) {
    self.positions = positions
    self.isSequential = isSequential
    self.takesBack = takesBack
  }
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
