import Randomness

/// Eso-LM (Sahoo, Yang et al. 2025): diffusion writes a share of the tokens in random order, the rest follows from left
/// to right.
///
/// (A2) of the authors' branch of 2026 is (B) with α₀ = 1 whose clean tokens stand from left to right, whenever they were
/// written. What is written can so come to stand before what is cached: keys and values are computed again from there on.
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
  /// The paper's objective: what it is trained on, unless that is `anyOrder`, and what its bound is of.
  public let objective: HybridObjective
  /// What it is trained on in place of the paper's objective; nil for that.
  public let anyOrder: AnyOrderObjective?
  /// The share of tokens that diffusion writes.
  public var alpha0: Double { objective.schedule.alpha0 }

  /// - Parameters:
  ///   - variant: (A) or (B).
  ///   - alpha0: the share of tokens that diffusion writes.
  ///   - weighting: how training weighs masked tokens.
  ///   - orders: how tokens stand in the diffusion term.
  ///   - anyOrder: what it is trained on in place of the paper's objective.
  /// - Throws: ``ConfigurationError`` unless α₀ is in [0, 1], and 1 where the weighting is not that of the bound or clean
  ///   tokens stand from left to right, which is for (B); so is `anyOrder`, which goes with neither.
  public init(
    _ variant: Variant = .b, alpha0: Double, weighting: HybridObjective.Weighting = .elbo,
    orders: DiffusionOrders = .random, anyOrder: AnyOrderObjective? = nil
  ) throws {
    self.variant = variant
    self.anyOrder = anyOrder
    var passes = variant.passes
    passes.orders = orders
    objective = try HybridObjective(alpha0: alpha0, weighting: weighting, passes: passes)
    try ConfigurationError.require(
      orders.clean == .random || variant == .b && alpha0 == 1, "cleanOrder", orders.clean.rawValue,
      expected: "random, but for Eso-LM (B) with alpha0 1")
    guard anyOrder != nil else { return }
    let found = MethodConfiguration.Objective.anyOrder.rawValue
    try ConfigurationError.require(variant == .b, "objective", found, expected: "paper, but for Eso-LM (B)")
    try ConfigurationError.require(
      weighting == .elbo, "weighting", weighting.rawValue,
      expected: "elbo with objective \(found), which weighs all tokens alike")
    for (field, order) in [("cleanOrder", orders.clean), ("maskOrder", orders.masks)] {
      try ConfigurationError.require(
        order == .random, field, order.rawValue, expected: "random with objective \(found), which has no diffusion term"
      )
    }
  }

  private var name: String { isSorted ? "A2" : variant.rawValue.uppercased() }

  public var title: String {
    let share = anyOrder?.leftToRightShare ?? 0
    return "Eso-LM (\(name))" + (anyOrder == nil ? "" : " any-order")
      + (share == 0 ? "" : " (\(share.shortText) left to right)") + ", α₀ = \(alpha0.shortText)"
      + (diffusionOrders.masks == .random ? "" : ", masks left to right")
  }

  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    anyOrder?.trainingBatch(share, of: self, maskToken: maskToken, seed: seed, step: step)
      ?? objective.trainingBatch(share, maskToken: maskToken, seed: seed, step: step)
  }

  /// Whether clean tokens stand from left to right: (A2).
  private var isSorted: Bool { diffusionOrders.clean == .leftToRight }

  /// The sequential pass with every token masked (section 6). (A) and (A2) have none: what their diffusion phase sees of a
  /// clean token changes with later ones.
  public func exactBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch? {
    guard variant == .b, !isSorted else { return nil }
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
    guard variant == .b, !isSorted else { return nil }
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

  /// Steps of positions far apart for the share α₀, so many that with a call for each other token it comes to that.
  public func request(length: Int, calls: Int) -> GenerationRequest? {
    guard alpha0 > 0 else { return calls == length ? GenerationRequest(length: length) : nil }
    let steps = Int(((Double(calls) - (1 - alpha0) * Double(length)) / alpha0).rounded())
    guard (1...length).contains(steps) else { return nil }
    return GenerationRequest(length: length, steps: steps, alpha0: alpha0, schedule: .blockShuffled)
  }

  /// α₀ = 0 has one plan.
  public func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest] {
    (alpha0 == 0 ? [1] : timeSteps).map { GenerationRequest(length: length, steps: $0) }
  }

  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    try request.validate(for: configuration)
    if variant == .a || isSorted {
      try request.forbidDrafts(
        "Eso-LM (\(name))",
        "whose tokens have no exact conditionals: what a clean one is to the others changes with later ones")
    }
    let schedule = try request.schedule(
      of: "Eso-LM", known: [.ancestral, .leftToRight, .block, .blockShuffled, .adaptive])
    if schedule == .leftToRight { try request.forbidAlpha0("schedule left-to-right") }
    return Generation(
      rule: DecodingRule(segments: variant == .a ? .cleanTogether : .each, orders: diffusionOrders),
      plan: try request.decodingPlan(schedule, alpha0: diffusedShare(of: request)!, for: configuration),
      given: variant == .a || isSorted ? try request.ascendingContext("Eso-LM (\(name))") : request.orderedContext(),
      request: request, maskToken: configuration.maskToken)
  }
}

extension Algorithm {
  /// Eso-LM (B): all attention causal along the order.
  public static let esolmB = esoteric(.b, "esolm-b", "Eso-LM with a cache in both phases")
  /// Eso-LM (A): clean tokens see each other both ways.
  public static let esolmA = esoteric(.a, "esolm-a", "its variant whose clean tokens see each other")
  /// Eso-LM (A2): (B) with α₀ = 1 and clean tokens from left to right.
  public static let esolmA2 = Algorithm(
    "esolm-a2", family: "Eso-LM", summary: "esolm-b with alpha0 1 whose clean tokens stand from left to right",
    options: [.weighting, .maskOrder], fillUsual: { $0.weighting = $0.weighting ?? .lowVariance },
    make: { options, _ in
      try EsotericMethod(
        .b, alpha0: 1, weighting: options.weighting ?? .usual,
        orders: DiffusionOrders(clean: .leftToRight, masks: options.maskOrder ?? .usual))
    })

  private static func anyOrder(_ options: MethodConfiguration) throws -> AnyOrderObjective? {
    let share = options.leftToRightShare
    guard options.objective ?? .usual != .anyOrder else { return try AnyOrderObjective(leftToRightShare: share ?? 0) }
    if let share {
      throw ConfigurationError(
        field: "leftToRightShare", found: "\(share)", expected: "none, but with objective any-order")
    }
    return nil
  }

  private static func esoteric(_ variant: EsotericMethod.Variant, _ name: String, _ summary: String) -> Algorithm {
    Algorithm(
      name, family: "Eso-LM", summary: summary,
      options: Set([.alpha0, .weighting, .cleanOrder, .maskOrder]).union(
        variant == .b ? [.objective, .leftToRightShare] : []),
      required: [.alpha0], number: .alpha0(usual: 1), fillUsual: { $0.alpha0 = $0.alpha0 ?? 0.5 },
      make: { options, _ in
        guard let alpha0 = options.alpha0 else {
          throw ConfigurationError(
            field: "alpha0", found: "missing", expected: "a number from 0 (autoregressive) to 1 (diffusion)")
        }
        return try EsotericMethod(
          variant, alpha0: alpha0, weighting: options.weighting ?? .usual,
          orders: DiffusionOrders(clean: options.cleanOrder ?? .usual, masks: options.maskOrder ?? .usual),
          anyOrder: anyOrder(options))
      })
  }
}
