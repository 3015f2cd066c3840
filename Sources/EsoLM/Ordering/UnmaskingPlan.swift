import Randomness

/// Which slots of a generation are written in which network call, decided before it starts.
///
/// All slots of a step are written at once, independently of each other given what came before; the sequential phase
/// then writes one token a call. The number of network calls (NFE) is therefore the number of steps.
///
/// Invariant: every step writes at least one slot, and all of them together every slot once that is not given.
public struct UnmaskingPlan: Sendable, Equatable {
  /// How many slots, the first ones, at the first positions, are there before the first step.
  public let givenCount: Int
  /// How many slots each step of the diffusion phase writes.
  public let diffusionSteps: [Int]
  /// How many tokens the sequential phase writes.
  public let sequentialCount: Int
  /// How many slots each network call writes.
  public let steps: [Int]
  private let arrangement: Arrangement

  /// Which positions the slots of the diffusion phase hold.
  private enum Arrangement: Sendable, Equatable {
    case random
    case leftToRight
    case strided(shuffled: Bool)
    /// Block after block, at random inside.
    case blocks(size: Int)
  }

  /// The most time steps, few enough to be exact as floating-point numbers.
  public static let maximumSteps = 1 << 52

  public var length: Int { givenCount + diffusedCount + sequentialCount }
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
    let sizes = stretches(count: length, steps: steps, schedule: NoiseSchedule(alpha0: alpha0), using: &generator)
    return UnmaskingPlan(diffusionSteps: sizes, sequentialCount: length - sizes.reduce(0, +), arrangement: .random)
  }

  /// How many of `count` masked tokens each stretch of time writes, empty stretches left out.
  private static func stretches(
    count: Int, steps: Int, schedule: NoiseSchedule, using generator: inout CounterGenerator
  ) -> [Int] {
    let (alphaEnd, alphaStart) = (schedule.alpha(at: 0), schedule.alpha(at: 1))
    var sizes: [Int: Int] = [:]
    for _ in 0..<count {
      // The token is written when α reaches this value: 1 − (1 − α_1) u has the survival function above.
      let crossing = 1 - (1 - alphaStart) * generator.uniform()
      guard crossing <= alphaEnd else { continue }
      let elapsed = (crossing - alphaStart) / (alphaEnd - alphaStart)
      sizes[min(steps - 1, max(0, Int(elapsed * Double(steps)))), default: 0] += 1
    }
    return sizes.sorted { $0.key < $1.key }.map(\.value)
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

  /// One slot a call from left to right: autoregressive.
  ///
  /// - Parameter givenCount: how many of the first positions are given.
  public static func autoregressive(length: Int, givenCount: Int = 0) -> UnmaskingPlan {
    UnmaskingPlan(
      diffusionSteps: [], sequentialCount: length - givenCount, givenCount: givenCount, arrangement: .leftToRight)
  }

  /// `steps` steps of equally many positions, from left to right.
  ///
  /// - Parameter steps: from 1 to `length`.
  public static func leftToRight(length: Int, steps: Int) -> UnmaskingPlan {
    precondition((1...length).contains(steps), "\(length) tokens are written in 1 to \(length) steps")
    return UnmaskingPlan(
      diffusionSteps: (0..<steps).map { length * ($0 + 1) / steps - length * $0 / steps }, sequentialCount: 0,
      arrangement: .leftToRight)
  }

  /// Block after block, as BD3-LM writes, each by ancestral sampling of its own.
  ///
  /// - Parameters:
  ///   - blockSize: divides `length`.
  ///   - steps: stretches of time for each block; nil writes one token a step, at the times at which a masked token
  ///     would be hit first (first-hitting sampling): the limit of infinitely many steps, but without the empty ones.
  ///   - givenCount: how many of the first positions are given, fewer than a block.
  public static func blocks(
    length: Int, blockSize: Int, steps: Int?, givenCount: Int = 0, using generator: inout CounterGenerator
  ) -> UnmaskingPlan {
    precondition(length % blockSize == 0 && givenCount < length, "blocks of \(blockSize) do not divide \(length)")
    let sizes = stride(from: 0, to: length, by: blockSize).flatMap { start in
      let count = blockSize - min(max(0, givenCount - start), blockSize)
      guard let steps else { return Array(repeating: 1, count: count) }
      return stretches(count: count, steps: steps, schedule: NoiseSchedule(alpha0: 1), using: &generator)
    }
    return UnmaskingPlan(
      diffusionSteps: sizes, sequentialCount: 0, givenCount: givenCount, arrangement: .blocks(size: blockSize))
  }

  /// A plan with given steps, each of at least one slot; which slots are whose is drawn at random.
  public init(diffusionSteps: [Int], sequentialCount: Int = 0) {
    precondition(diffusionSteps.allSatisfy { $0 > 0 } && sequentialCount >= 0, "a step must write a slot")
    self.init(diffusionSteps: diffusionSteps, sequentialCount: sequentialCount, arrangement: .random)
  }

  private init(diffusionSteps: [Int], sequentialCount: Int, givenCount: Int = 0, arrangement: Arrangement) {
    self.givenCount = givenCount
    self.diffusionSteps = diffusionSteps
    self.sequentialCount = sequentialCount
    self.arrangement = arrangement
    steps = diffusionSteps + Array(repeating: 1, count: sequentialCount)
  }

  /// Draws the order in which one sequence follows the plan.
  public func order(using generator: inout CounterGenerator) -> GenerationOrder {
    GenerationOrder(positions: Array(0..<givenCount) + positions(using: &generator), cleanCount: 0)
  }

  private func positions(using generator: inout CounterGenerator) -> [Int] {
    switch arrangement {
    case .random:
      return GenerationOrder.random(length: length, diffused: diffusedCount, using: &generator).positions
    case .leftToRight:
      return Array(givenCount..<length)
    case .blocks(let size):
      return stride(from: 0, to: length, by: size).flatMap { start in
        (max(start, givenCount)..<max(start + size, givenCount)).shuffled(using: &generator)
      }
    case .strided(let shuffled):
      let stride = diffusionSteps.count
      let blocks = diffusionSteps.indices.map { Array(Swift.stride(from: $0, to: length, by: stride)) }
      return (shuffled ? Self.shuffled(blocks, using: &generator) : blocks).flatMap { $0 }
    }
  }

  /// Blocks in random order, and the positions inside each. Blocks of different size keep their places, so that all
  /// sequences share the plan's sizes.
  private static func shuffled(_ blocks: [[Int]], using generator: inout CounterGenerator) -> [[Int]] {
    var blocks = blocks.map { $0.shuffled(using: &generator) }
    for size in Set(blocks.map(\.count)).sorted() {
      let places = blocks.indices.filter { blocks[$0].count == size }
      let shuffledBlocks = places.map { blocks[$0] }.shuffled(using: &generator)
      for (place, block) in zip(places, shuffledBlocks) { blocks[place] = block }
    }
    return blocks
  }
}
