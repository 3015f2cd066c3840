import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing

@Suite("Unmasking plan")
struct UnmaskingPlanTests {
  private func plans(_ count: Int, length: Int, steps: Int, alpha0: Double) -> [UnmaskingPlan] {
    (0..<count).map {
      var generator = CounterGenerator(seed: 1, stream: .samplingPlan, major: $0)
      return .ancestral(length: length, steps: steps, alpha0: alpha0, using: &generator)
    }
  }

  @Test(arguments: [1, 0.5, 0.125, 0], [1, 4, 1000, 1 << 40])
  func everySlotIsWrittenOnce(alpha0: Double, steps: Int) {
    for length in [1, 2, 17, 300] {
      for plan in plans(20, length: length, steps: steps, alpha0: alpha0) {
        #expect(plan.length == length)
        #expect(plan.steps.reduce(0, +) == length)
        #expect(plan.steps.allSatisfy { $0 >= 1 })
        #expect(plan.steps == plan.diffusionSteps + Array(repeating: 1, count: plan.sequentialCount))
        #expect(plan.diffusedCount == plan.diffusionSteps.reduce(0, +))
        #expect(plan.diffusionSteps.count <= min(steps, length))
        #expect(plan.networkCalls == plan.steps.count)
        if alpha0 == 1 { #expect(plan.sequentialCount == 0) }
        if alpha0 == 0 { #expect(plan.diffusionSteps.isEmpty) }
      }
    }
  }

  /// 400 tokens in 4 steps, so that no step is empty. Step by step, of the r tokens still masked each is written with
  /// chance (α_s − α_t)/(1 − α_t): the sum over 2,000 plans lies within 4 standard deviations, and so does the sum of
  /// squared deviations, which would not if sizes were less random than that.
  @Test(arguments: [1, 0.5, 0.125])
  func stepSizesAreBinomialStepByStep(alpha0: Double) {
    let (length, steps, count) = (400, 4, 2000)
    let schedule = NoiseSchedule(alpha0: alpha0)
    var deviations = [[Double]](repeating: [], count: steps)
    for plan in plans(count, length: length, steps: steps, alpha0: alpha0) {
      guard plan.diffusionSteps.count == steps else {
        Issue.record("a step of \(plan.diffusionSteps) is missing")
        continue
      }
      var left = Double(length)
      for step in 0..<steps {
        let (t, s) = (1 - Double(step) / Double(steps), 1 - Double(step + 1) / Double(steps))
        let chance = (schedule.alpha(at: s) - schedule.alpha(at: t)) / (1 - schedule.alpha(at: t))
        let size = Double(plan.diffusionSteps[step])
        let variance = left * chance * (1 - chance)
        // The last step of α₀ = 1 writes all that is left.
        if variance < 1e-9 {
          #expect(size == left)
        } else {
          deviations[step].append((size - left * chance) / variance.squareRoot())
        }
        left -= size
      }
      #expect(left == Double(plan.sequentialCount))
    }
    for scores in deviations where !scores.isEmpty {
      #expect(abs(scores.reduce(0, +)) < 4 * Double(count).squareRoot())
      // The squares of standard deviations have variance 2, a little more for counts.
      #expect(abs(scores.reduce(0) { $0 + $1 * $1 } - Double(count)) < 4 * (2.1 * Double(count)).squareRoot())
    }
  }

  @Test(arguments: [0.5, 0.125])
  func theSequentialShareIsBinomial(alpha0: Double) {
    var counts = [Int](repeating: 0, count: 9)
    for plan in plans(10_000, length: 8, steps: 1, alpha0: alpha0) { counts[plan.sequentialCount] += 1 }
    let schedule = NoiseSchedule(alpha0: alpha0)
    let law = binomialLaw(count: 8, chance: (1 - schedule.alpha(at: 0)) / (1 - schedule.alpha(at: 1)))
    #expect(chiSquareScore(counts, law: law) < 4)
  }

  @Test func aSeedGivesAPlan() {
    let plans = (0..<20).map { UnmaskingPlan.ancestral(length: 30, steps: 5, alpha0: 0.5, seed: $0) }
    #expect(plans == (0..<20).map { .ancestral(length: 30, steps: 5, alpha0: 0.5, seed: $0) })
    #expect(Set(plans.map(\.diffusionSteps)).count > 15)
  }

  @Test func aPlanCanBeGiven() {
    let plan = UnmaskingPlan(diffusionSteps: [3, 1], sequentialCount: 2)
    #expect(plan.steps == [3, 1, 1, 1])
    #expect(plan.length == 6)
    for seed in 0..<20 as Range<UInt64> {
      var generator = CounterGenerator(seed: seed, stream: .samplingOrder)
      let order = plan.order(using: &generator)
      #expect(order.positions.sorted() == Array(0..<6))
      #expect(order.positions[4] < order.positions[5])
      #expect(order.cleanCount == 0)
    }
  }

  // MARK: Block schedules

  @Test(arguments: 1...9)
  func blockStepsTakeEveryNthPosition(steps: Int) {
    let plan = UnmaskingPlan.block(length: 9, steps: steps, shuffled: false)
    var generator = CounterGenerator(seed: 1, stream: .samplingOrder)
    let positions = plan.order(using: &generator).positions
    #expect(plan.sequentialCount == 0)
    var start = 0
    for (step, size) in plan.steps.enumerated() {
      #expect(Array(positions[start..<start + size]) == Array(stride(from: step, to: 9, by: steps)))
      start += size
    }
    #expect(start == 9)
  }

  @Test(arguments: 1...9)
  func shuffledBlockStepsTakeTheSamePositionsInAnotherOrder(steps: Int) {
    let plan = UnmaskingPlan.block(length: 9, steps: steps, shuffled: true)
    let blocks = Set((0..<steps).map { Set(stride(from: $0, to: 9, by: steps)) })
    var orders: Set<[Int]> = []
    for seed in 0..<50 as Range<UInt64> {
      var generator = CounterGenerator(seed: seed, stream: .samplingOrder)
      let positions = plan.order(using: &generator).positions
      orders.insert(positions)
      var start = 0
      let found = plan.steps.map { size in
        defer { start += size }
        return Set(positions[start..<start + size])
      }
      #expect(Set(found) == blocks)
    }
    #expect(orders.count > 10)
  }
}
