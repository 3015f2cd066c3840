import Faults
import Randomness

/// Which positions of one sequence are written in which network call, decided before it starts.
///
/// All positions of a step are written at once, independently of each other given what came before; the sequential phase
/// then writes one token a call. The number of network calls (NFE) is therefore the number of steps. Positions that
/// are given are in no step.
///
/// Invariant: every step writes at least one position, and no position is written twice.
public struct UnmaskingPlan: Sendable, Equatable {
  /// The positions that each network call writes, in the order in which the network sees them.
  public let steps: [[Int]]
  /// How many steps, the first ones, diffusion takes; those of the sequential phase follow.
  public let diffusionStepCount: Int

  /// The most time steps, few enough to be exact as floating-point numbers.
  public static let maximumSteps = 1 << 52

  /// A plan with given steps.
  ///
  /// - Throws: ``ConfigurationError`` if a step is empty or a position comes twice.
  public init(steps: [[Int]], diffusionStepCount: Int? = nil) throws {
    try ConfigurationError.require(
      steps.allSatisfy { !$0.isEmpty }, "steps", "one without positions", expected: "a position in each")
    try ConfigurationError.require(
      Set(steps.joined()).count == steps.reduce(0) { $0 + $1.count } && steps.joined().allSatisfy { $0 >= 0 },
      "steps", "a position twice or below 0", expected: "each position once")
    let count = diffusionStepCount ?? steps.count
    try ConfigurationError.require(
      (0...steps.count).contains(count), "diffusionStepCount", count, expected: "0 to \(steps.count)")
    self.init(trusting: steps, diffusionStepCount: count)
  }

  init(trusting steps: [[Int]], diffusionStepCount: Int) {
    self.steps = steps
    self.diffusionStepCount = diffusionStepCount
  }

  /// How many positions are written.
  public var count: Int { steps.reduce(0) { $0 + $1.count } }
  /// How many of them diffusion writes.
  public var diffusedCount: Int { steps[..<diffusionStepCount].reduce(0) { $0 + $1.count } }
  /// How many times the network runs.
  public var networkCalls: Int { steps.count }
  /// All positions in the order in which they are written.
  public var positions: [Int] { Array(steps.joined()) }

  // MARK: The paper's plan

  /// Ancestral sampling over `steps` equal stretches of time.
  ///
  /// In the stretch from t to s = t − 1/T each masked token is written with chance (α_s − α_t)/(1 − α_t). So a token
  /// that is masked at t = 1 is still masked at s with chance (1 − α_s)/(1 − α_1), and the steps' sizes, which going
  /// step by step are binomial, can be drawn in one go: each token gets the stretch in which its own uniform number
  /// crosses that chance. Steps without a token cost nothing and are dropped, so `steps` may be huge. Tokens that
  /// outlast t = 0 are left to the sequential phase; for α₀ = 1 there are none.
  ///
  /// - Parameters:
  ///   - holes: the positions to write, ascending.
  ///   - steps: T, from 1 to 2⁵².
  ///   - schedule: its α₀ is the share that diffusion writes, which need not be that of training.
  static func ancestral(
    holes: [Int], steps: Int, schedule: NoiseSchedule, using generators: inout SamplingGenerators
  ) -> UnmaskingPlan {
    trap(unless: (1...maximumSteps).contains(steps), "T is from 1 to 2^52")
    let sizes = stretches(
      count: holes.count, steps: steps, schedule: schedule, using: &generators.plan)
    let diffused = sizes.reduce(0, +)
    let shuffled = holes.inRandomOrder(using: &generators.order)
    return UnmaskingPlan(
      trusting: shuffled[..<diffused].cut(into: sizes) + shuffled[diffused...].sorted().map { [$0] },
      diffusionStepCount: sizes.count)
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

  // MARK: Other plans

  /// The block ("optimised") schedule: of S steps, step j takes the holes j, j + S, j + 2S, …, so that tokens written
  /// together lie far apart. With α₀ < 1 the first α₀ S steps diffuse, and what they leave follows from left to right.
  ///
  /// - Parameters:
  ///   - steps: S, from 1 to the number of holes.
  ///   - shuffled: whether the steps, and the positions inside each, come in random order.
  static func block(
    holes: [Int], steps: Int, shuffled: Bool, alpha0: Double, using generators: inout SamplingGenerators
  ) -> UnmaskingPlan {
    trap(unless: (1...max(1, holes.count)).contains(steps), "\(holes.count) tokens in \(steps) steps")
    var blocks = (0..<steps).map { start in stride(from: start, to: holes.count, by: steps).map { holes[$0] } }
    if shuffled {
      blocks = blocks.map { $0.inRandomOrder(using: &generators.order) }.inRandomOrder(using: &generators.order)
    }
    let diffused = Int((alpha0 * Double(steps)).rounded())
    return UnmaskingPlan(
      trusting: blocks[..<diffused] + blocks[diffused...].joined().sorted().map { [$0] }, diffusionStepCount: diffused)
  }

  /// From left to right in steps of equally many positions.
  ///
  /// - Parameters:
  ///   - steps: from 1 to the number of holes.
  ///   - isDiffusion: whether these steps are the diffusion phase's.
  static func leftToRight(holes: [Int], steps: Int, isDiffusion: Bool = true) -> UnmaskingPlan {
    trap(unless: (1...max(1, holes.count)).contains(steps), "\(holes.count) tokens in \(steps) steps")
    let count = holes.count
    return UnmaskingPlan(
      trusting: holes[...].cut(into: (0..<steps).map { count * ($0 + 1) / steps - count * $0 / steps }),
      diffusionStepCount: isDiffusion ? steps : 0)
  }

  /// Block after block, as BD3-LM writes, each by ancestral sampling of its own.
  ///
  /// - Parameters:
  ///   - blockSize: blocks begin at its multiples.
  ///   - steps: stretches of time for each block; nil writes one token a step, at the times at which a masked token
  ///     would be hit first (first-hitting sampling): the limit of infinitely many steps, but without the empty ones.
  static func blocks(
    holes: [Int], blockSize: Int, steps: Int?, using generators: inout SamplingGenerators
  ) -> UnmaskingPlan {
    let plans = Dictionary(grouping: holes) { $0 / blockSize }.sorted { $0.key < $1.key }.flatMap { _, block in
      let sizes =
        steps.map {
          stretches(count: block.count, steps: $0, schedule: .diffusion, using: &generators.plan)
        } ?? Array(repeating: 1, count: block.count)
      return block.inRandomOrder(using: &generators.order)[...].cut(into: sizes)
    }
    return UnmaskingPlan(trusting: plans, diffusionStepCount: plans.count)
  }
}

/// What the draws of one sequence's plan depend on: the seed and the sequence's number alone.
struct SamplingGenerators {
  /// How many tokens each step writes.
  var plan: CounterGenerator
  /// Which positions they have.
  var order: CounterGenerator

  init(seed: UInt64, number: Int) {
    plan = CounterGenerator(seed: seed, stream: .samplingPlan, major: number)
    order = CounterGenerator(seed: seed, stream: .samplingOrder, major: number)
  }
}

extension ArraySlice<Int> {
  /// Consecutive pieces of these sizes.
  fileprivate func cut(into sizes: [Int]) -> [[Int]] {
    var start = startIndex
    return sizes.map { size in
      defer { start += size }
      return Array(self[start..<start + size])
    }
  }
}
