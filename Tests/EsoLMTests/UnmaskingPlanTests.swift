import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing

@Suite("Unmasking plan")
struct UnmaskingPlanTests {
  /// The plans of sequences of one seed, told by what they write.
  private func plans(
    _ count: Int, length: Int, steps: Int?, alpha0: Double? = nil, schedule: GenerationRequest.Schedule? = nil,
    seed: UInt64 = 1
  ) throws -> [UnmaskingPlan] {
    try (0..<count).map {
      try plan(
        of: GenerationRequest(
          length: length, steps: steps, alpha0: alpha0, schedule: schedule, seed: seed, number: $0))
    }
  }

  @Test(arguments: [1, 0.5, 0.125, 0], [1, 4, 1000, 1 << 40])
  func everyPositionIsWrittenOnce(alpha0: Double, steps: Int) throws {
    for length in [1, 2, 17, 300] {
      for plan in try plans(20, length: length, steps: steps, alpha0: alpha0) {
        #expect(plan.positions.sorted() == Array(0..<length))
        #expect(plan.count == length)
        #expect(plan.steps.allSatisfy { $0.count >= 1 })
        #expect(plan.diffusionStepCount <= min(steps, length))
        #expect(plan.networkCalls == plan.steps.count)
        let rest = plan.steps[plan.diffusionStepCount...]
        #expect(rest.allSatisfy { $0.count == 1 } && Array(rest.joined()) == rest.joined().sorted())
        if alpha0 == 1 { #expect(rest.isEmpty) }
        if alpha0 == 0 { #expect(plan.diffusionStepCount == 0) }
      }
    }
  }

  /// 400 tokens in 4 steps, so that no step is empty. Step by step, of the r tokens still masked each is written with
  /// chance (α_s − α_t)/(1 − α_t): the sum over 2,000 plans lies within 4 standard deviations, and so does the sum of
  /// squared deviations, which would not if sizes were less random than that. The plans are those of the sequences of
  /// one seed, which are therefore independent of each other.
  @Test(arguments: [1, 0.5, 0.125])
  func stepSizesAreBinomialStepByStep(alpha0: Double) throws {
    let (length, steps, count) = (400, 4, 2000)
    let schedule = try! NoiseSchedule(alpha0: alpha0)
    var deviations = [[Double]](repeating: [], count: steps)
    for plan in try plans(count, length: length, steps: steps, alpha0: alpha0) {
      guard plan.diffusionStepCount == steps else {
        Issue.record("a step of \(plan.steps) is missing")
        continue
      }
      var left = Double(length)
      for step in 0..<steps {
        let (t, s) = (1 - Double(step) / Double(steps), 1 - Double(step + 1) / Double(steps))
        let chance = (schedule.alpha(at: s) - schedule.alpha(at: t)) / (1 - schedule.alpha(at: t))
        let size = Double(plan.steps[step].count)
        let variance = left * chance * (1 - chance)
        // The last step of α₀ = 1 writes all that is left.
        if variance < 1e-9 {
          #expect(size == left)
        } else {
          deviations[step].append((size - left * chance) / variance.squareRoot())
        }
        left -= size
      }
      #expect(left == Double(plan.count - plan.diffusedCount))
    }
    for scores in deviations where !scores.isEmpty {
      #expect(abs(scores.reduce(0, +)) < 4 * Double(count).squareRoot())
      // The squares of standard deviations have variance 2, a little more for counts.
      #expect(abs(scores.reduce(0) { $0 + $1 * $1 } - Double(count)) < 4 * (2.1 * Double(count)).squareRoot())
    }
  }

  @Test(arguments: [0.5, 0.125])
  func theSequentialShareIsBinomial(alpha0: Double) throws {
    var counts = [Int](repeating: 0, count: 9)
    for plan in try plans(10_000, length: 8, steps: 1, alpha0: alpha0) { counts[plan.count - plan.diffusedCount] += 1 }
    let schedule = try! NoiseSchedule(alpha0: alpha0)
    let distribution = binomialDistribution(count: 8, chance: (1 - schedule.alpha(at: 0)) / (1 - schedule.alpha(at: 1)))
    #expect(chiSquareScore(counts, distribution: distribution) < 4)
  }

  @Test func seedAndNumberGiveAPlan() throws {
    let found = try plans(20, length: 30, steps: 5, alpha0: 0.5)
    #expect(try found == plans(20, length: 30, steps: 5, alpha0: 0.5))
    #expect(Set(found.map { $0.steps.map(\.count) }).count > 15)
    #expect(try found != plans(20, length: 30, steps: 5, alpha0: 0.5, seed: 2))
  }

  @Test func aPlanCanBeGiven() throws {
    let plan = try UnmaskingPlan(steps: [[4, 0, 2], [5], [1], [3]], diffusionStepCount: 2)
    #expect(plan.count == 6 && plan.diffusedCount == 4 && plan.networkCalls == 4)
    #expect(plan.positions == [4, 0, 2, 5, 1, 3])
    #expect(
      message { try UnmaskingPlan(steps: [[0], []]) } == "steps is one without positions, expected a position in each")
    #expect(
      message { try UnmaskingPlan(steps: [[0, 1], [0]]) }
        == "steps is a position twice or below 0, expected each position once")
    #expect(message { try UnmaskingPlan(steps: [[-1]]) } != nil)
    #expect(
      message { try UnmaskingPlan(steps: [[0]], diffusionStepCount: 2) }
        == "diffusionStepCount is 2, expected 0 to 1")
  }

  // MARK: Block schedules

  @Test(arguments: 1...9)
  func blockStepsTakeEveryNthPosition(steps: Int) throws {
    let plan = try plans(1, length: 9, steps: steps, schedule: .block)[0]
    #expect(plan.steps == (0..<steps).map { Array(stride(from: $0, to: 9, by: steps)) })
  }

  @Test(arguments: 1...9)
  func shuffledBlockStepsTakeTheSamePositionsInAnotherOrder(steps: Int) throws {
    let blocks = Set((0..<steps).map { Set(stride(from: $0, to: 9, by: steps)) })
    var orders: Set<[Int]> = []
    for plan in try plans(50, length: 9, steps: steps, schedule: .blockShuffled) {
      #expect(Set(plan.steps.map { Set($0) }) == blocks)
      orders.insert(plan.positions)
    }
    #expect(orders.count > 10)
  }

  /// As the authors' code has it: the first steps diffuse, what they leave follows from left to right.
  @Test func aBlockScheduleDiffusesAShare() throws {
    let plan = try plans(1, length: 8, steps: 4, alpha0: 0.5, schedule: .block)[0]
    #expect(plan.steps == [[0, 4], [1, 5], [2], [3], [6], [7]])
    #expect(plan.diffusionStepCount == 2)
    let sequential = try plans(1, length: 3, steps: 2, alpha0: 0, schedule: .block)[0]
    #expect(sequential.steps == [[0], [1], [2]] && sequential.diffusionStepCount == 0)
  }

  // MARK: Holes

  @Test func onlyHolesAreWritten() throws {
    for seed in 0..<20 as Range<UInt64> {
      for schedule in [.ancestral, .block, .blockShuffled] as [GenerationRequest.Schedule] {
        let request = GenerationRequest(
          template: [1, nil, nil, 0, nil, 2, nil], steps: 2, schedule: schedule, seed: seed)
        #expect(try plan(of: request).positions.sorted() == [1, 2, 4, 6])
      }
    }
  }

  private func plan(of request: GenerationRequest) throws -> UnmaskingPlan {
    let configuration = TransformerConfiguration.small(hidden: 4, blocks: 1, heads: 1)
    let generation = try EsotericMethod(alpha0: 0.5).generation(request, for: configuration)
    return try #require(generation.plan as? FixedPlan).plan
  }
}
