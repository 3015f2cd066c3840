import Randomness

/// Eso-LM (Sahoo, Yang et al. 2025): diffusion writes a share of the tokens in random order, the rest follows from left
/// to right.
public struct EsotericMethod: HybridMethod, Equatable {
  /// The paper's two variants, (A) and (B).
  public enum Variant: String, Sendable, CaseIterable {
    /// Clean tokens see each other both ways while diffusion lasts. No cache in the diffusion phase.
    case a
    /// Everything is causal along the order: an exact cache in both phases and an exact likelihood.
    case b

    /// What may see what in the two terms of the objective.
    public var passes: HybridObjective.Passes {
      switch self {
      case .a: .init(diffusion: .cleanThenCausal, sequential: .cleanThenTwoStream, shufflesClean: false)
      case .b: .init(diffusion: .causal, sequential: .twoStream, shufflesClean: true)
      }
    }
  }

  /// (A) or (B).
  public let variant: Variant
  /// What it is trained on.
  public let objective: HybridObjective
  /// The share of tokens that diffusion writes.
  public var alpha0: Double { objective.schedule.alpha0 }

  /// - Throws: ``ConfigurationError`` unless α₀ is in [0, 1], and 1 where the weighting is not that of the bound.
  public init(_ variant: Variant = .b, alpha0: Double, weighting: HybridObjective.Weighting = .elbo) throws {
    self.variant = variant
    objective = try HybridObjective(alpha0: alpha0, weighting: weighting, passes: variant.passes)
  }

  public var title: String { "Eso-LM (\(variant.rawValue.uppercased())), α₀ = \(alpha0.shortText)" }

  /// The sequential pass with every token masked (section 6). (A) has none: what its diffusion phase sees of a clean
  /// token changes with every later one.
  public func exactBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch? {
    guard variant == .b else { return nil }
    var batch = ScoredBatch()
    batch.append(
      runs: sequences.map { tokens, order in
        .init(tokens: tokens, order: GenerationOrder(positions: order.positions, cleanCount: 0), weight: 1)
      }, pattern: .twoStream, maskToken: maskToken)
    return batch
  }

  /// The sequential pass as it is trained.
  public func conditionalBatch(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int
  ) -> ScoredBatch? {
    guard variant == .b else { return nil }
    var batch = ScoredBatch()
    batch.append(
      runs: sequences.map { .init(tokens: $0.tokens, order: $0.order, weight: 1) }, pattern: .twoStream,
      maskToken: maskToken)
    return batch
  }

  public var hasOneOrder: Bool { alpha0 == 0 }

  public var diffusionPass: AttentionPattern? { variant.passes.diffusion }

  /// The number of diffused tokens is binomial in α₀, those come first in random order, the rest left to right.
  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    let diffused = (0..<length).reduce(0) { count, _ in count + (generator.uniform() < alpha0 ? 1 : 0) }
    return .random(length: length, diffused: diffused, using: &generator)
  }

  public var diffusedShare: Double? { alpha0 }

  /// The steps of a block schedule diffuse, unless a share is asked for.
  public func diffusedShare(of request: GenerationRequest) -> Double? {
    request.alpha0 ?? (request.schedule ?? .ancestral == .ancestral ? alpha0 : 1)
  }

  /// α₀ = 0 has one plan.
  public func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest] {
    (alpha0 == 0 ? [1] : timeSteps).map { GenerationRequest(length: length, steps: $0) }
  }

  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    try request.validate(for: configuration)
    if variant == .a {
      try request.forbidDrafts(
        "Eso-LM (A)",
        "whose tokens have no exact conditionals: what a clean one is to the others changes with later ones")
    }
    let schedule = try request.schedule(of: "Eso-LM", known: [.ancestral, .block, .blockShuffled, .adaptive])
    return Generation(
      rule: DecodingRule(segments: variant == .a ? .cleanTogether : .each),
      plan: try request.decodingPlan(schedule, alpha0: diffusedShare(of: request)!, for: configuration),
      given: variant == .a ? try request.ascendingContext("Eso-LM (A)") : request.orderedContext(), request: request,
      maskToken: configuration.maskToken)
  }
}

extension Algorithm {
  /// Eso-LM (B): all attention causal along the order.
  public static let esolmB = esoteric(.b, "esolm-b", "Eso-LM with a cache in both phases")
  /// Eso-LM (A): clean tokens see each other both ways.
  public static let esolmA = esoteric(.a, "esolm-a", "its variant whose clean tokens see each other")

  private static func esoteric(_ variant: EsotericMethod.Variant, _ name: String, _ summary: String) -> Algorithm {
    Algorithm(
      name, family: "Eso-LM", summary: summary, options: [.alpha0, .weighting], required: [.alpha0],
      number: .alpha0(usual: 1), fillUsual: { $0.alpha0 = $0.alpha0 ?? 0.5 },
      make: { options, _ in
        guard let alpha0 = options.alpha0 else {
          throw ConfigurationError(
            field: "alpha0", found: "missing", expected: "a number from 0 (autoregressive) to 1 (diffusion)")
        }
        return try EsotericMethod(variant, alpha0: alpha0, weighting: options.weighting ?? .elbo)
      })
  }
}
