import EsoLM
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Hybrid objective")
struct HybridObjectiveTests {
  private let batch = randomSequences(6, length: 10, tokens: 12)

  /// What a corrupted sequence is made of, to compare.
  private struct Draws: Equatable {
    let order: GenerationOrder
    let time: Double?

    init(_ corrupted: HybridObjective.Corrupted) { (order, time) = (corrupted.order, corrupted.time) }
  }

  private func draws(
    _ batch: [[Int32]], alpha0: Double = 0.5, seed: UInt64 = 1, stream: RandomStream = .corruption, step: Int = 0
  ) -> [Draws] {
    try! HybridObjective(alpha0: alpha0).corrupt(batch, seed: seed, stream: stream, step: step).map(Draws.init)
  }

  // MARK: Split

  @Test(
    arguments: [
      (1, [0, 1, 2, 3, 4, 5]), (0.5, [0, 0, 1, 1, 2, 2]), (0.1, [0, 0, 1, 1, 2, 2]), (0, [0, 0, 0, 0, 0, 0]),
    ] as [(Double, [Int])])
  func aBatchIsSplitBetweenTheTerms(alpha0: Double, counts: [Int]) {
    let objective = try! HybridObjective(alpha0: alpha0)
    #expect((0..<6).map(objective.diffusionCount(ofBatch:)) == counts)
    let corrupted = objective.corrupt(batch, seed: 1, step: 0)
    let diffused = objective.diffusionCount(ofBatch: 6)
    #expect(corrupted.map { $0.time != nil } == (0..<6).map { $0 < diffused })
    #expect(corrupted.map(\.text.tokens) == batch)
  }

  @Test func timesOfABatchCoverTheInterval() {
    for (index, draw) in draws(batch, alpha0: 1).enumerated() {
      #expect((Double(index) / 6 - 1e-3...Double(index + 1) / 6 + 1e-3).contains(draw.time!))
    }
  }

  @Test func sequentialMasksAreWrittenLeftToRight() {
    for draw in draws(batch) where draw.time == nil {
      let masked = draw.order.positions[draw.order.cleanCount...]
      #expect(masked.elementsEqual(masked.sorted()))
    }
  }

  /// The same masks as where all are shuffled, only sorted: of training, of the bound, and of IMDCE.
  @Test func ordersOfTheDiffusionTermAreKept() throws {
    for orders in [DiffusionOrders(clean: .leftToRight), .init(masks: .leftToRight)] {
      let method = try EsotericMethod(alpha0: 1, orders: orders)
      let shuffled = try HybridObjective(alpha0: 1).corrupt(batch, seed: 1, step: 0)
      let corrupted = method.objective.corrupt(batch, seed: 1, step: 0)
      #expect(zip(corrupted, shuffled).allSatisfy { $0.time == $1.time && $0.order == $1.order.arranged(orders) })
      #expect(zip(corrupted, shuffled).contains { $0.order != $1.order })
      let (network, noise) = (TransformerWeights.random().transformer(), EvaluationNoise(seed: 1, count: 6))
      let texts = batch.map { PaddedTokens($0) }
      let (own, usual) = (Likelihood(network, method: method), try Likelihood(network, alpha0: 1))
      #expect(own.negativeELBO(texts, noise: noise) != usual.negativeELBO(texts, noise: noise))
      #expect(own.imdce(texts, noise: noise) != usual.imdce(texts, noise: noise))
    }
  }

  @Test func cleanTokensStandFromLeftToRightInPureDiffusionOfBAlone() {
    let sorted = DiffusionOrders(clean: .leftToRight)
    for refused in [
      { try EsotericMethod(.a, alpha0: 1, orders: sorted) }, { try EsotericMethod(alpha0: 0.5, orders: sorted) },
    ] {
      #expect(
        message { try refused() } == "cleanOrder is left-to-right, expected random, but for Eso-LM (B) with alpha0 1")
    }
    #expect(throws: Never.self) { try EsotericMethod(alpha0: 0.5, orders: .init(masks: .leftToRight)) }
    #expect((try? EsotericMethod(alpha0: 1, orders: sorted))?.title == "Eso-LM (A2), α₀ = 1")
  }

  // MARK: Draws

  @Test func drawsDependOnSeedStreamStepAndPlaceAlone() {
    let first = draws(batch)
    #expect(draws(batch) == first)
    #expect(draws(randomSequences(6, length: 10, tokens: 12, seed: 2)) == first)
    let others = [draws(batch, seed: 2), draws(batch, stream: .validation), draws(batch, step: 1)]
    for other in others { #expect(zip(other, first).allSatisfy { $0 != $1 }) }
    #expect(Set(first.map(\.order.positions)).count > 3)
  }

  @Test func aPlaceDrawsTheSameInALargerBatch() {
    // Of the times alone the batch's size is a part.
    let sequential = draws(batch, alpha0: 0)
    #expect(draws(batch + batch, alpha0: 0).prefix(6).elementsEqual(sequential))
  }

  /// Masked counts of 3,000 sequences of 10: binomial by a chi-square test, and every position as often as the others.
  @Test(arguments: [(1, 0.3), (0.5, 0.8), (0.25, 1), (1, 0.001)])
  func eachTokenIsMaskedWithTheSchedulesChance(alpha0: Double, time: Double) {
    let objective = try! HybridObjective(alpha0: alpha0)
    expectMasks(chance: 1 - objective.schedule.alpha(at: time)) {
      objective.diffusion(PaddedTokens(batch[0]), at: time, using: &$0)
    }
  }

  @Test(arguments: [0.5, 0.125])
  func theSequentialTermMasksWhatDiffusionLeaves(alpha0: Double) {
    expectMasks(chance: 1 - alpha0) {
      try! HybridObjective(alpha0: alpha0).sequential(PaddedTokens(batch[0]), using: &$0)
    }
  }

  private func expectMasks(chance: Double, _ draw: (inout CounterGenerator) -> HybridObjective.Corrupted) {
    var counts = [Int](repeating: 0, count: 11)
    var places = [Int](repeating: 0, count: 10)
    for index in 0..<3000 {
      var generator = CounterGenerator(seed: 4, stream: .corruption, major: index)
      let order = draw(&generator).order
      counts[order.maskedCount] += 1
      for position in order.positions[order.cleanCount...] { places[position] += 1 }
    }
    #expect(chiSquareScore(counts, distribution: binomialDistribution(count: 10, chance: chance)) < 4)
    let spread = (3000 * chance * (1 - chance)).squareRoot()
    #expect(places.allSatisfy { abs(Double($0) - 3000 * chance) < 4.5 * spread })
  }

  @Test func alphaOfZeroMasksEverythingAndOneNothing() {
    #expect(draws(batch, alpha0: 0).allSatisfy { $0.order == .leftToRight(length: 10) })
    var generator = CounterGenerator(seed: 1, stream: .corruption)
    #expect(
      try! HybridObjective(alpha0: 1).sequential(PaddedTokens(batch[0]), using: &generator).order.maskedCount == 0)
  }

  // MARK: Loss

  @Test func theLossIsTheSumOfTheTermsAverages() {
    let objective = try! HybridObjective(alpha0: 0.5)
    let corrupted = objective.corrupt(batch, seed: 1, step: 0)
    let scored = objective.scored(corrupted, maskToken: 12)
    #expect(scored.sequenceCount == 6)
    #expect(scored.targets.count == corrupted.reduce(0) { $0 + $1.order.maskedCount })
    let (loss, nll) = withoutGradients { TransformerWeights.random().transformer().loss(of: scored) }
    let numbers: [Double] = nll.array()
    let expected = zip(numbers, scored.sequences).reduce(0) { sum, output in
      let time = corrupted[output.1].time
      return sum + output.0 * (time.map(objective.schedule.lossWeight(at:)) ?? 1) / 30
    }
    #expect(abs(loss.item - expected) < 1e-4)
    let sums = scored.sequenceLosses(under: TransformerWeights.random().transformer())
    #expect(abs(sums.reduce(0, +) - expected) < 1e-4)
  }

  @Test func lowVarianceWeighsAllMasksAlike() {
    let objective = try! HybridObjective(alpha0: 1, weighting: .lowVariance)
    #expect(objective.weight(at: 0.01) == 1)
    let scored = objective.scored(objective.corrupt(batch, seed: 1, step: 0), maskToken: 12)
    #expect(scored.lossWeights.allSatisfy { $0 == 1 / 60 })
    let (bound, schedule) = try! (HybridObjective(alpha0: 1), NoiseSchedule(alpha0: 1))
    #expect(bound.weight(at: 0.25) == schedule.lossWeight(at: 0.25))
  }

  @Test func targetsAreTheMaskedTokensInTheirOrder() {
    let order = GenerationOrder(positions: [3, 0, 2, 1], cleanCount: 2)
    let scored = try! HybridObjective(alpha0: 1)
      .scored([.init(PaddedTokens([10, 11, 5, 6]), order: order, time: 1)], maskToken: 12)
    #expect(scored.targets == [5, 11])
    #expect(scored.input.tokens == [6, 10, 12, 12])
    #expect(scored.input.positions == [3, 0, 2, 1])
  }

  @Test(arguments: [0.5, nil])
  func aBatchWithNothingMaskedCostsNothing(time: Double?) {
    let order = GenerationOrder(positions: [1, 0], cleanCount: 2)
    let scored = try! HybridObjective(alpha0: 0.5)
      .scored([.init(PaddedTokens([1, 2]), order: order, time: time)], maskToken: 12)
    let model = TransformerWeights.random()
    #expect(model.transformer().loss(of: scored).loss.item == 0)
    #expect(scored.sequenceLosses(under: model.transformer()) == [0])
    let slopes = gradients(of: { model.transformer().loss(of: scored).loss }, for: model.parameters)
    #expect(slopes.allSatisfy { $0.maxAbs().item == 0 })
  }
}
