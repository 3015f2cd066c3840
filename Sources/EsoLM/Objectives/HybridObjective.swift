import Randomness
import Torch

/// The objective of Eso-LMs: diffusion for a part of the tokens, left to right for the rest, one network for both.
///
///     NELBO(x) = E[ −Σ_{ℓ masked in z₀} log p(x_ℓ | z₀, x_{<ℓ}) ]                    sequential term
///              + E_t[ −α'_t/(1 − α_t) · Σ_{ℓ masked in z_t} −log p(x_ℓ | z_t) ]      diffusion term
///
/// z_t masks each token of x with chance 1 − α_t. A training batch is split: its first sequences train the diffusion
/// term, the others the sequential term, each averaged over its own tokens; the averages are added.
public struct HybridObjective: Sendable, Equatable {
  /// How the diffusion term weighs a masked token.
  public enum Weighting: String, Codable, CaseIterable, Sendable {
    /// As the bound says.
    case elbo
    /// Every masked token alike, which lowers the variance of gradients; for α₀ = 1, and for training only.
    case lowVariance = "low_var"

    /// Where nothing is said.
    public static let usual = elbo
  }

  /// What may see what in the two terms, and in which order tokens stand.
  public struct Passes: Sendable, Equatable {
    /// What may see what in the diffusion term.
    public let diffusion: AttentionPattern
    /// What may see what in the sequential term.
    public let sequential: AttentionPattern
    /// Whether the clean tokens of the sequential term are shuffled, as diffusion writes them. Where they see each other
    /// both ways, their order does not matter.
    public let shufflesClean: Bool
    /// How the tokens of the diffusion term stand.
    public var orders: DiffusionOrders

    /// Both terms' patterns and orders.
    public init(
      diffusion: AttentionPattern, sequential: AttentionPattern, shufflesClean: Bool, orders: DiffusionOrders = .random
    ) {
      self.diffusion = diffusion
      self.sequential = sequential
      self.shufflesClean = shufflesClean
      self.orders = orders
    }
  }

  /// How likely a token is masked at a time.
  public let schedule: NoiseSchedule
  /// How the diffusion term weighs masked tokens.
  public let weighting: Weighting
  /// What may see what.
  public let passes: Passes
  /// The share of a batch that trains the diffusion term.
  public let batchSplit: Double

  /// - Throws: ``ConfigurationError`` unless α₀ is in [0, 1], and 1 where the weighting is not that of the bound.
  public init(
    alpha0: Double, weighting: Weighting = .elbo, passes: Passes = EsotericMethod.Variant.b.passes
  ) throws {
    schedule = try NoiseSchedule(alpha0: alpha0)
    try ConfigurationError.require(
      weighting == .elbo || alpha0 == 1, "weighting", weighting.rawValue, expected: "elbo where alpha0 is below 1")
    self.weighting = weighting
    self.passes = passes
    batchSplit = alpha0 == 1 ? 1 : alpha0 == 0 ? 0 : 0.5
  }

  /// How many sequences of a batch train the diffusion term; they are the first ones.
  public func diffusionCount(ofBatch count: Int) -> Int { Int(batchSplit * Double(count)) }

  // MARK: Corruption

  /// A sequence as one of the two terms sees it.
  public struct Corrupted: Sendable {
    /// Clean, in text order.
    public let text: PaddedTokens
    /// The order in which the network sees it, and how many tokens are clean.
    public let order: GenerationOrder
    /// t of the diffusion term; nil for the sequential term.
    public let time: Double?

    /// A sequence with an order; a time makes it the diffusion term's.
    public init(_ text: PaddedTokens, order: GenerationOrder, time: Double?) {
      self.text = text
      self.order = order
      self.time = time
    }
  }

  /// z_t and an order for the diffusion term.
  public func diffusion(
    _ text: PaddedTokens, at time: Double, using generator: inout CounterGenerator
  ) -> Corrupted {
    let masked = mask(count: text.count, keeping: schedule.alpha(at: time), using: &generator)
    let order = GenerationOrder.diffusion(masked: masked, using: &generator).arranged(passes.orders)
    return Corrupted(text, order: order, time: time)
  }

  /// z₀ and an order for the sequential term.
  public func sequential(_ text: PaddedTokens, using generator: inout CounterGenerator) -> Corrupted {
    let masked = mask(count: text.count, keeping: schedule.alpha(at: 0), using: &generator)
    let order =
      passes.shufflesClean
      ? GenerationOrder.sequential(masked: masked, using: &generator) : .ascending(masked: masked)
    return Corrupted(text, order: order, time: nil)
  }

  private func mask(
    count: Int, keeping alpha: Double, using generator: inout CounterGenerator
  ) -> [Bool] {
    (0..<count).map { _ in generator.uniform() >= alpha }
  }

  /// Corrupts a share of a global batch. The draws of a sequence depend on the seed, the step and its place in the global
  /// batch alone, so a resumed run, or one spread over processes, draws the same.
  public func corrupt(
    _ share: BatchShare, seed: UInt64, stream: RandomStream = .corruption, step: Int
  ) -> [Corrupted] {
    let diffused = diffusionCount(ofBatch: share.contentCounts.count)
    return zip(share.places, share.sequences).map { place, text in
      var generator = CounterGenerator(seed: seed, stream: stream, major: step, minor: place)
      guard place < diffused else { return sequential(text, using: &generator) }
      let time = NoiseSchedule.antitheticTime(uniform: generator.uniform(), index: place, count: diffused)
      return diffusion(text, at: time, using: &generator)
    }
  }

  // MARK: Loss

  /// A corrupted batch as the network sees it, weighted so that the sum of its losses is the objective.
  ///
  /// - Parameters:
  ///   - batch: each sequence as its term sees it.
  ///   - tokenCounts: how many tokens each term of the global batch has; nil where `batch` is all of it.
  ///   - maskToken: what masked tokens are read as.
  public func scored(
    _ batch: [Corrupted], tokenCounts: (diffusion: Int, sequential: Int)? = nil, maskToken: Int
  ) -> ScoredBatch {
    let diffusion = batch.filter { $0.time != nil }
    let sequential = batch.filter { $0.time == nil }
    func count(_ sequences: [Corrupted]) -> Int { sequences.reduce(0) { $0 + $1.text.contentCount } }
    let counts = tokenCounts ?? (count(diffusion), count(sequential))
    let (diffusionShare, sequentialShare) = (1 / Double(counts.diffusion), 1 / Double(counts.sequential))
    var scored = ScoredBatch()
    scored.append(
      diffusion.map { member($0, weight: weight(at: $0.time!) * diffusionShare) }, pattern: passes.diffusion,
      maskToken: maskToken, term: .diffusion)
    scored.append(
      sequential.map { member($0, weight: sequentialShare) }, pattern: passes.sequential, maskToken: maskToken)
    return scored
  }

  /// What a nat of a masked token weighs in the diffusion term.
  public func weight(at time: Double) -> Double {
    weighting == .elbo ? schedule.lossWeight(at: time) : 1
  }

  /// A share of a training batch.
  ///
  /// - Parameters:
  ///   - share: the sequences.
  ///   - maskToken: what masked tokens are read as.
  ///   - seed: of the run.
  ///   - step: from 0.
  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    let (count, all) = (diffusionCount(ofBatch: share.contentCounts.count), share.contentCounts)
    return scored(
      corrupt(share, seed: seed, step: step),
      tokenCounts: (all[..<count].reduce(0, +), all[count...].reduce(0, +)), maskToken: maskToken)
  }

  // MARK: Bound

  /// Both terms over the whole of every sequence: a draw of the NELBO, in nats.
  func bound(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    var generators = sequences.indices.map(noise.generator)
    let times = noise.times(sequences.indices.map { [generators[$0].uniform()] }).map { $0[0] }
    var batch = ScoredBatch()
    if schedule.alpha0 > 0 {
      batch.append(
        sequences.indices.map {
          member(
            diffusion(sequences[$0], at: times[$0], using: &generators[$0]), weight: schedule.lossWeight(at: times[$0]))
        }, pattern: passes.diffusion, maskToken: maskToken)
    }
    if schedule.alpha0 < 1 {
      batch.append(
        sequences.indices.map { member(sequential(sequences[$0], using: &generators[$0]), weight: 1) },
        pattern: passes.sequential, maskToken: maskToken)
    }
    return batch
  }

  private func member(_ corrupted: Corrupted, weight: Double) -> ScoredBatch.Member {
    ScoredBatch.Member(corrupted.text, order: corrupted.order, weight: weight)
  }
}

/// A method that is trained on a ``HybridObjective``.
public protocol HybridMethod: GenerationMethod {
  /// What it is trained on.
  var objective: HybridObjective { get }
}

extension HybridMethod {
  public var diffusionOrders: DiffusionOrders { objective.passes.orders }

  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    objective.trainingBatch(share, maskToken: maskToken, seed: seed, step: step)
  }

  public func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    objective.bound(sequences, maskToken: maskToken, noise: noise)
  }
}
