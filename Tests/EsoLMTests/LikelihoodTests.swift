import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Likelihood")
struct LikelihoodTests {
  /// Three tokens and the mask.
  private let network = TransformerWeights.random(.small(vocabulary: 4)).transformer()
  private let tokens: [Int32] = [2, 0, 1, 1]

  private func order(_ positions: [Int], cleanCount: Int = 0) -> GenerationOrder {
    GenerationOrder(positions: positions, cleanCount: cleanCount)
  }

  /// `log p(x | σ)` under each order.
  private func logProbabilities(_ orders: [[Int]]) -> [Double] {
    try! Likelihood(network, alpha0: 1).logProbabilities(orders.map { (tokens, order($0)) }).map { $0.reduce(0, +) }
  }

  // MARK: Exact

  @Test func probabilitiesOfAllSequencesAddUpToOneUnderEveryOrder() {
    let all = sequences(of: 3, length: 4)
    #expect(all.count == 81)
    for positions in permutations(of: 4) {
      let likelihood = try! Likelihood(network, alpha0: 0.5)
      let rows = likelihood.logProbabilities(all.map { ($0, order(positions)) })
      #expect(abs(rows.reduce(0) { $0 + exp($1.reduce(0, +)) } - 1) < 1e-5)
    }
  }

  @Test func theLikelihoodIsTheSumOfTheSamplersLogProbabilities() throws {
    for positions in permutations(of: 4) {
      let generation = try Generation(
        GenerationRequest(length: 4), rule: .causal,
        plan: FixedPlan(UnmaskingPlan(steps: positions.map { [$0] })), for: .small(vocabulary: 4))
      let logits = try forcedLogits([generation], [tokens], by: CachedTransformer(network))[0]
      let expected = zip(positions, logits).map { position, logits in
        logits.narrowed(dim: 1, to: 0..<3).logSoftmax(dim: 1).array(of: Double.self)[Int(tokens[position])]
      }
      let found = try! Likelihood(network, alpha0: 0).logProbabilities([(tokens, order(positions))])[0]
      #expect(distance(found, expected) < 1e-5)
    }
  }

  @Test func cleanSlotsOfAnOrderAreScoredToo() {
    let likelihood = try! Likelihood(network, alpha0: 1)
    let rows = likelihood.logProbabilities([
      (tokens, order([2, 0, 3, 1])), (tokens, order([2, 0, 3, 1], cleanCount: 3)),
    ])
    #expect(rows[0].count == 4)
    #expect(rows[0] == rows[1])
  }

  /// The diffused tokens are binomially many and come first, the others rise: the chance of each of the 24 orders.
  @Test(arguments: [1, 0.5, 0.125, 0])
  func ordersAreDrawnAsGenerationDrawsThem(alpha0: Double) {
    let all = permutations(of: 4)
    let counts = binomialDistribution(count: 4, chance: alpha0)
    let distribution = all.map { positions in
      (0...4).reduce(0.0) { sum, diffused in
        guard positions[diffused...].elementsEqual(positions[diffused...].sorted()) else { return sum }
        let prefixes = (0..<diffused).reduce(1.0) { $0 * Double(4 - $1) }
        return sum + counts[diffused] / prefixes
      }
    }
    #expect(abs(distribution.reduce(0, +) - 1) < 1e-12)
    var seen = [Int](repeating: 0, count: all.count)
    for draw in 0..<6000 {
      var generator = CounterGenerator(seed: 1, stream: .likelihoodOrder, major: draw)
      let drawn = try! Likelihood(network, alpha0: alpha0).drawOrder(length: 4, using: &generator)
      seen[all.firstIndex(of: drawn.positions)!] += 1
    }
    if alpha0 == 0 {
      #expect(seen[all.firstIndex(of: [0, 1, 2, 3])!] == 6000)
    } else {
      #expect(chiSquareScore(seen, distribution: distribution) < 4)
    }
  }

  // MARK: Importance weighting

  @Test func manyOrdersAreAveragedAsProbabilities() {
    #expect(abs(Likelihood.importanceWeighted([log(0.5), log(0.25), log(0.15)]) - log(0.3)) < 1e-12)
    #expect(abs(Likelihood.importanceWeighted([-2000, -2000 + log(3)]) - (-2000 + log(2))) < 1e-9)
    #expect(Likelihood.importanceWeighted([-.infinity, -.infinity]) == -.infinity)
    #expect(abs(Likelihood.importanceWeighted([-.infinity, 0]) - log(0.5)) < 1e-12)
    #expect(Likelihood.importanceWeighted([-7]) == -7)
  }

  /// The expectation over K orders drawn independently, by going through all 24ᴷ.
  @Test func theBoundRisesWithTheNumberOfOrders() {
    let all = logProbabilities(permutations(of: 4))
    let truth = log(all.map { exp($0) }.mean)
    let one = all.mean
    let two = all.flatMap { a in all.map { Likelihood.importanceWeighted([a, $0]) } }.mean
    let three = all.flatMap { a in all.flatMap { b in all.map { Likelihood.importanceWeighted([a, b, $0]) } } }.mean
    #expect(one < two && two < three && three < truth)
    #expect(abs(Likelihood.importanceWeighted(all) - truth) < 1e-9)
  }

  // MARK: Bounds

  /// The mean over all orders of `Σ_masked −log p` in one diffusion pass, by the number of masked tokens (from 0).
  private var diffusionLosses: [Double] {
    [0]
      + (1...4).map { masked in
        var batch = ScoredBatch()
        let orders = permutations(of: 4)
        batch.append(
          orders.map { (tokens, order($0, cleanCount: 4 - masked)) }, pattern: .causal, weights: orders.map { _ in 1 },
          maskToken: 3)
        return batch.sequenceLosses(under: network).mean
      }
  }

  /// The expectation of the sequential term, by going through all masks and all orders of the clean tokens.
  private func sequentialLoss(alpha0: Double) -> Double {
    subsets(of: 4).reduce(0) { sum, masked in
      let (clean, hidden) = (masked.indices.filter { !masked[$0] }, masked.indices.filter { masked[$0] })
      guard !hidden.isEmpty else { return sum }
      let orders = permutations(of: clean.count).map { places in
        order(places.map { clean[$0] } + hidden, cleanCount: clean.count)
      }
      var batch = ScoredBatch()
      batch.append(
        orders.map { (tokens, $0) }, pattern: .twoStream, weights: orders.map { _ in 1 }, maskToken: 3)
      let chance = pow(alpha0, Double(clean.count)) * pow(1 - alpha0, Double(hidden.count))
      return sum + chance * batch.sequenceLosses(under: network).mean
    }
  }

  /// What `m` masked tokens weigh in the diffusion term on average over times, by the midpoint rule.
  private func diffusionWeights(alpha0: Double) -> [Double] {
    let schedule = try! NoiseSchedule(alpha0: alpha0)
    let points = 20_000
    var weights = [Double](repeating: 0, count: 5)
    for point in 0..<points {
      let time = NoiseSchedule.antitheticTimes(uniforms: [(Double(point) + 0.5) / Double(points)])[0]
      let distribution = binomialDistribution(count: 4, chance: 1 - schedule.alpha(at: time))
      for masked in 0...4 { weights[masked] += distribution[masked] * schedule.lossWeight(at: time) / Double(points) }
    }
    return weights
  }

  /// 40 batches of 100 draws; the mean lies within 4 standard errors of its enumerated expectation.
  private func expectMean(_ expected: Double, _ draw: (_ batch: [[Int32]], _ number: Int) -> [Double]) {
    let batch = Array(repeating: tokens, count: 100)
    let means = (0..<40).map { draw(batch, $0).mean }
    #expect(abs(means.mean - expected) < 4 * means.standardError + 1e-5)
    #expect(means.standardError < 0.03 * expected)
  }

  @Test(arguments: [1, 0.5, 0.125, 0])
  func theNELBOIsItsEnumeratedExpectationOnAverage(alpha0: Double) {
    let diffusion = zip(diffusionWeights(alpha0: alpha0), diffusionLosses).reduce(0) { $0 + $1.0 * $1.1 }
    expectMean(diffusion + sequentialLoss(alpha0: alpha0)) { batch, number in
      try! Likelihood(network, alpha0: alpha0).negativeELBO(
        batch, noise: EvaluationNoise(seed: 1, draw: number, count: batch.count))
    }
  }

  @Test func theIMDCEIsItsEnumeratedExpectationOnAverage() {
    let expected = (1...4).reduce(0) { $0 + diffusionLosses[$1] / Double($1) }
    expectMean(expected) { batch, number in
      try! Likelihood(network, alpha0: 1).imdce(
        batch, noise: EvaluationNoise(seed: 1, draw: number, count: batch.count))
    }
  }

  /// A fresh network finds all tokens equally likely, so its bound tells how many were masked: m with chance ∝ 1/m.
  @Test func theIMDCEMasksAsManyTokensAsItSays() throws {
    let fresh = try TransformerWeights(.small(vocabulary: 4), seed: 1).transformer()
    let harmonic = 1 + 1 / 2.0 + 1 / 3.0 + 1 / 4.0
    let bounds = try! Likelihood(fresh, alpha0: 1).imdce(
      Array(repeating: tokens, count: 5000), noise: EvaluationNoise(seed: 1, count: 5000))
    let masked = bounds.map { $0 / (harmonic * log(3)) }
    #expect(masked.allSatisfy { abs($0 - $0.rounded()) < 1e-5 })
    let counts = (1...4).map { count in masked.count { Int($0.rounded()) == count } }
    #expect(chiSquareScore(counts, distribution: (1...4).map { 1 / (Double($0) * harmonic) }) < 4)
  }

  /// Up to the 10⁻³ of times that the schedule leaves out.
  @Test func bothBoundsHaveTheSameExpectation() {
    let weights = diffusionWeights(alpha0: 1)
    for masked in 1...4 { #expect(abs(weights[masked] * Double(masked) - 1) < 0.01) }
  }

  @Test func drawsDependOnSeedNumberAndPlaceAlone() {
    let likelihood = try! Likelihood(network, alpha0: 0.5)
    let batch = Array(repeating: tokens, count: 4)
    let bounds: [([[Int32]], EvaluationNoise) -> [Double]] = [likelihood.negativeELBO, likelihood.imdce]
    for bound in bounds {
      func values(_ batch: [[Int32]], seed: UInt64 = 1, draw: Int = 0, first: Int = 0) -> [Double] {
        bound(batch, EvaluationNoise(seed: seed, draw: draw, first: first, count: 4))
      }
      #expect(values(batch) == values(batch))
      #expect(values(batch) != values(batch, seed: 2))
      #expect(values(batch) != values(batch, draw: 1))
      let parts = values([tokens]) + values([tokens, tokens, tokens], first: 1)
      #expect(distance(parts, values(batch)) < 1e-5)
    }
  }
}
