import Randomness

/// Which slots of a generation are written in which network call, decided before it starts.
///
/// All slots of a step are written at once, independently of each other given what came before; the sequential phase
/// then writes one token a call. The number of network calls (NFE) is therefore the number of steps.
///
/// Invariant: every step writes at least one slot, and all of them together every slot once.
public struct UnmaskingPlan: Sendable, Equatable {
  /// How many slots each step of the diffusion phase writes.
  public let diffusionSteps: [Int]
  /// How many tokens the sequential phase writes.
  public let sequentialCount: Int
  /// How many slots each network call writes.
  public let steps: [Int]
  private let arrangement: Arrangement

  private enum Arrangement: Sendable, Equatable {
    case random
    case strided(shuffled: Bool)
  }

  /// The most time steps, few enough to be exact as floating-point numbers.
  public static let maximumSteps = 1 << 52

  public var length: Int { diffusedCount + sequentialCount }
  public var diffusedCount: Int { diffusionSteps.reduce(0, +) }
  /// How many times the network runs.
  public var networkCalls: Int { steps.count }

  /// Ancestral sampling over `steps` equal stretches of time, the paper's plan.
  ///
  /// In the stretch from t to s = t − 1/T each masked token is written with chance (α_s − α_t)/(1 − α_t). So a token
  /// that is masked at t = 1 is still masked at s with chance (1 − α_s)/(1 − α_1), and the steps' sizes, which going
  /// step by step are binomial, can be drawn in one go: each token gets the stretch in which its own uniform number
  /// crosses that chance. Steps without a token cost nothing and are dropped, so `steps` may be huge. Tokens that
  /// outlast t = 0 are left to the sequential phase; for α₀ = 1 there are none.
  ///
  /// - Parameters:
  ///   - steps: T, from 1 to 2⁵².
  ///   - alpha0: the share that diffusion writes, which need not be that of training.
  public static func ancestral(
    length: Int, steps: Int, alpha0: Double, using generator: inout CounterGenerator
  ) -> UnmaskingPlan {
    precondition(length > 0 && (1...maximumSteps).contains(steps), "a plan needs tokens and steps")
    let schedule = NoiseSchedule(alpha0: alpha0)
    let (alphaEnd, alphaStart) = (schedule.alpha(at: 0), schedule.alpha(at: 1))
    var sizes: [Int: Int] = [:]
    var left = 0
    for _ in 0..<length {
      // The token is written when α reaches this value: 1 − (1 − α_1) u has the survival function above.
      let crossing = 1 - (1 - alphaStart) * generator.uniform()
      if crossing > alphaEnd {
        left += 1
      } else {
        let elapsed = (crossing - alphaStart) / (alphaEnd - alphaStart)
        sizes[min(steps - 1, max(0, Int(elapsed * Double(steps)))), default: 0] += 1
      }
    }
    return UnmaskingPlan(
      diffusionSteps: sizes.sorted { $0.key < $1.key }.map(\.value), sequentialCount: left, arrangement: .random)
  }

  /// The plan that a seed gives; all sequences sampled with that seed follow it.
  public static func ancestral(length: Int, steps: Int, alpha0: Double, seed: UInt64) -> UnmaskingPlan {
    var generator = CounterGenerator(seed: seed, stream: .samplingPlan)
    return .ancestral(length: length, steps: steps, alpha0: alpha0, using: &generator)
  }

  /// The block ("optimised") schedule: of S steps, step j writes the positions j, j + S, j + 2S, …, so that tokens
  /// written together lie far apart.
  ///
  /// - Parameters:
  ///   - steps: S, from 1 to `length`.
  ///   - shuffled: whether the steps, and the positions inside each, come in random order.
  public static func block(length: Int, steps: Int, shuffled: Bool) -> UnmaskingPlan {
    precondition((1...length).contains(steps), "a block schedule of \(length) tokens has 1 to \(length) steps")
    return UnmaskingPlan(
      diffusionSteps: (0..<steps).map { (length - $0 + steps - 1) / steps }, sequentialCount: 0,
      arrangement: .strided(shuffled: shuffled))
  }

  /// A plan with given steps, each of at least one slot; which slots are whose is drawn at random.
  public init(diffusionSteps: [Int], sequentialCount: Int = 0) {
    precondition(diffusionSteps.allSatisfy { $0 > 0 } && sequentialCount >= 0, "a step must write a slot")
    self.init(diffusionSteps: diffusionSteps, sequentialCount: sequentialCount, arrangement: .random)
  }

  private init(diffusionSteps: [Int], sequentialCount: Int, arrangement: Arrangement) {
    self.diffusionSteps = diffusionSteps
    self.sequentialCount = sequentialCount
    self.arrangement = arrangement
    steps = diffusionSteps + Array(repeating: 1, count: sequentialCount)
  }

  /// Draws the order in which one sequence follows the plan.
  public func order(using generator: inout CounterGenerator) -> GenerationOrder {
    guard case .strided(let shuffled) = arrangement else {
      return .random(length: length, diffused: diffusedCount, using: &generator)
    }
    let stride = diffusionSteps.count
    var blocks = diffusionSteps.indices.map { Array(Swift.stride(from: $0, to: length, by: stride)) }
    if shuffled {
      blocks = blocks.map { $0.shuffled(using: &generator) }
      // Steps of different size keep their places, so that all sequences share the plan's sizes.
      for size in Set(diffusionSteps) {
        let places = blocks.indices.filter { blocks[$0].count == size }
        let shuffledBlocks = places.map { blocks[$0] }.shuffled(using: &generator)
        for (place, block) in zip(places, shuffledBlocks) { blocks[place] = block }
      }
    }
    return GenerationOrder(positions: blocks.flatMap { $0 }, cleanCount: 0)
  }
}
