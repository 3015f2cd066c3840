import EsoLM
import Randomness

/// Masked diffusion under causal attention whose masks stand from left to right: clean tokens in random order, as they
/// were written, then the masks as in the text.
public struct LeftToRightDiffusionMethod: GenerationMethod, Equatable {
  /// The diffusion term alone.
  public let objective: HybridObjective

  /// The method, trained with these weights of masked tokens.
  public init(weighting: HybridObjective.Weighting = .elbo) {
    // Every weighting fits α₀ = 1.
    objective = try! HybridObjective(alpha0: 1, weighting: weighting)
  }

  public var title: String { "Diffusion, masks left to right" }

  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    let batch = objective.corrupt(share, seed: seed, step: step).map(masksLeftToRight)
    // All tokens of the global batch, of which this share may be a part, are the diffusion term's.
    return objective.scored(batch, tokenCounts: (share.contentCounts.reduce(0, +), 0), maskToken: maskToken)
  }

  public func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    var generators = sequences.indices.map(noise.generator)
    let times = noise.times(sequences.indices.map { [generators[$0].uniform()] }).map { $0[0] }
    var batch = ScoredBatch()
    batch.append(
      sequences.indices.map {
        let noised = masksLeftToRight(objective.diffusion(sequences[$0], at: times[$0], using: &generators[$0]))
        return .init(noised.text, order: noised.order, weight: objective.schedule.lossWeight(at: times[$0]))
      }, pattern: .causal, maskToken: maskToken)
    return batch
  }

  private func masksLeftToRight(_ noised: HybridObjective.Corrupted) -> HybridObjective.Corrupted {
    let (clean, masked) = (noised.order.positions.prefix(noised.order.cleanCount), noised.order.positions)
    let order = clean + masked.dropFirst(clean.count).sorted()
    return .init(
      noised.text, order: GenerationOrder(positions: Array(order), cleanCount: clean.count), time: noised.time)
  }

  public var diffusionPass: AttentionPattern? { .causal }

  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    .random(length: length, diffused: length, using: &generator)
  }

  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    try request.validate(for: configuration)
    try request.forbidAlpha0("left-to-right diffusion")
    let schedule = try request.schedule(of: "left-to-right diffusion", known: [.ancestral, .block, .blockShuffled])
    let plan = try request.anyOrderPlan(schedule, alpha0: 1)
    return Generation(
      rule: .causal, plan: FixedPlan(try UnmaskingPlan(steps: plan.steps.map { $0.sorted() })),
      given: request.orderedContext(), request: request, maskToken: configuration.maskToken)
  }
}

extension Algorithm {
  /// Diffusion whose masks stand from left to right.
  public static let leftToRightDiffusion = Algorithm(
    "ltr-diffusion", family: "left-to-right diffusion", summary: "diffusion, masks left to right",
    options: [.weighting], make: { options, _ in LeftToRightDiffusionMethod(weighting: options.weighting ?? .elbo) })
}
