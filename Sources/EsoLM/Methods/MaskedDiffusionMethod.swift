import Randomness

/// MDLM (Sahoo et al. 2024): masked diffusion with bidirectional attention. Every token sees every other, so each call
/// of the network computes the whole sequence and nothing can be cached.
public struct MaskedDiffusionMethod: HybridMethod, Equatable {
  /// The diffusion term alone.
  public let objective: HybridObjective

  /// MDLM, trained with these weights of masked tokens.
  public init(weighting: HybridObjective.Weighting = .elbo) {
    // Every weighting fits α₀ = 1.
    objective = try! HybridObjective(
      alpha0: 1, weighting: weighting,
      passes: .init(diffusion: .bidirectional, sequential: .bidirectional, shufflesClean: false))
  }

  public var title: String { "MDLM" }

  public var diffusionPass: AttentionPattern? { .bidirectional }

  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    .random(length: length, diffused: length, using: &generator)
  }

  /// Stretches of time in which no token is written cost nothing: the network would see what it saw before.
  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    try request.validate(for: configuration)
    try request.forbidAlpha0("MDLM")
    try request.forbidDrafts("MDLM", "whose tokens have no exact conditionals: all see each other")
    let schedule = try request.schedule(
      of: "MDLM", known: [.ancestral, .leftToRight, .block, .blockShuffled, .adaptive])
    return Generation(
      rule: DecodingRule(segments: .whole),
      plan: try request.decodingPlan(schedule, alpha0: 1, for: configuration),
      given: try request.ascendingContext("MDLM"), request: request, maskToken: configuration.maskToken)
  }
}

extension Algorithm {
  /// MDLM: diffusion under bidirectional attention.
  public static let maskedDiffusion = Algorithm(
    "mdlm", family: "MDLM", summary: "masked diffusion", options: [.weighting],
    make: { options, _ in MaskedDiffusionMethod(weighting: options.weighting ?? .usual) })
}
