import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Generation")
struct GenerationTests {
  private let network = CachedNetwork(Transformer.random().network())
  private let picker = try! TokenPicker()
  private let length = 16

  /// Plans of one length: the paper's, and both kinds of block schedules.
  private static let plans: [(name: String, plan: UnmaskingPlan)] =
    [1, 0.5, 0.125, 0].flatMap { alpha0 in
      [1, 4, 16, 1000].map { steps in
        var generator = CounterGenerator(seed: 3, stream: .samplingPlan)
        return (
          "α₀ \(alpha0), T \(steps)",
          UnmaskingPlan.ancestral(length: 16, steps: steps, alpha0: alpha0, using: &generator)
        )
      }
    }
    + [1, 3, 8, 16].flatMap { steps in
      [false, true].map {
        ("\(steps) blocks\($0 ? ", shuffled" : "")", UnmaskingPlan.block(length: 16, steps: steps, shuffled: $0))
      }
    }

  private func generation(
    _ plan: UnmaskingPlan, seed: UInt64 = 1, batch: Int = 1, firstSequence: Int = 0, usesCache: Bool = true
  ) -> Generation {
    Generation(
      network, plan: plan, picker: picker, seed: seed, batch: batch, firstSequence: firstSequence,
      usesCache: usesCache)
  }

  private func tokens(_ generation: Generation) throws -> [[Int32]] {
    var generation = generation
    try generation.finish()
    return generation.tokens
  }

  /// The logits of every network call when the given tokens are written.
  private func logits(_ generation: Generation, forcing forced: [[Int32]]) -> [Tensor] {
    var generation = generation
    var all: [Tensor] = []
    while let logits = generation.advance(forcing: forced) { all.append(logits) }
    #expect(generation.tokens == forced)
    return all
  }

  // MARK: Steps

  @Test(arguments: plans.indices)
  func everyPositionIsWrittenOnceAsPlanned(index: Int) throws {
    let plan = Self.plans[index].plan
    var generation = generation(plan, batch: 3)
    var written = [[Int]](repeating: [], count: 3)
    #expect(generation.tokens == Array(repeating: Array(repeating: 12, count: length), count: 3))
    for (number, size) in plan.steps.enumerated() {
      #expect(!generation.isFinished)
      let before = generation.tokens
      let next = try generation.advance()
      let step = try #require(next)
      #expect(step.index == number)
      for sequence in 0..<3 {
        #expect(step.positions[sequence].count == size)
        written[sequence] += step.positions[sequence]
        var expected = before[sequence]
        for (position, token) in zip(step.positions[sequence], step.tokens[sequence]) { expected[position] = token }
        #expect(generation.tokens[sequence] == expected)
      }
    }
    let (afterwards, forcedAfterwards) = (try generation.advance(), generation.advance(forcing: []))
    #expect(generation.isFinished && afterwards == nil && forcedAfterwards == nil)
    #expect(written == generation.orders.map(\.positions))
    #expect(generation.tokens.joined().allSatisfy { (0..<12).contains($0) })
  }

  @Test func theCachesSizeIsThatOfItsTensors() {
    // Key and value of 2 blocks, 16 wide, in float32.
    let generation = generation(Self.plans[0].plan, batch: 5)
    #expect(generation.cacheByteCount == 2 * 2 * 5 * 16 * 16 * 4)
  }

  // MARK: Exactness

  @Test(arguments: plans.indices, [1, 8])
  func cachedAndRecomputedGenerationsAreTheSame(index: Int, batch: Int) throws {
    let plan = Self.plans[index].plan
    let cached = try tokens(generation(plan, batch: batch))
    #expect(try cached == tokens(generation(plan, batch: batch, usesCache: false)))

    let forced = randomSequences(batch, length: length, tokens: 12)
    let pair = [true, false].map { usesCache in
      logits(generation(plan, batch: batch, usesCache: usesCache), forcing: forced)
    }
    #expect(pair.map(\.count) == [plan.networkCalls, plan.networkCalls])
    for (cached, recomputed) in zip(pair[0], pair[1]) { #expect(distance(cached, recomputed) < 1e-4) }
  }

  @Test(arguments: plans.indices)
  func aSequenceDoesNotDependOnItsBatch(index: Int) throws {
    let plan = Self.plans[index].plan
    let together = try tokens(generation(plan, batch: 8, firstSequence: 5))
    for (number, sequence) in together.enumerated() {
      #expect(try tokens(generation(plan, firstSequence: 5 + number)) == [sequence])
    }
    #expect(Set(together).count == 8)
  }

  @Test func seedsGiveOtherSequences() throws {
    let plan = Self.plans[1].plan
    #expect(try tokens(generation(plan)) == tokens(generation(plan)))
    #expect(try tokens(generation(plan)) != tokens(generation(plan, seed: 2)))
    #expect(generation(plan).orders != generation(plan, seed: 2).orders)
  }

  /// What training sees of a half written sequence is what sampling sees of it.
  @Test(arguments: plans.indices)
  func logitsAreThoseOfTheDiffusionPass(index: Int) throws {
    let (plan, model) = (Self.plans[index].plan, Transformer.random().network())
    let forced = randomSequences(2, length: length, tokens: 12)
    let generation = generation(plan, batch: 2)
    var written = 0
    for (size, logits) in zip(plan.steps, logits(generation, forcing: forced)) {
      var input = NetworkInput()
      let partly = generation.orders.map { GenerationOrder(positions: $0.positions, cleanCount: written) }
      input.append(zip(forced, partly).map { ($0, $1) }, pattern: .causal, maskToken: 12)
      // The pass has logits for all masks, of which a step writes the first.
      let masked = length - written
      let firsts = Tensor((0..<2).flatMap { sequence in (0..<size).map { Int64(sequence * masked + $0) } })
      #expect(distance(logits, withoutGradients { model.logits(input) }.selecting(firsts)) < 1e-4)
      written += size
    }
  }

  @Test func oneNetworkServesInterleavedGenerations() throws {
    let plans = [Self.plans[4].plan, Self.plans[13].plan]
    var generations = plans.map { generation($0, batch: 2) }
    while generations.contains(where: { !$0.isFinished }) {
      for index in generations.indices { _ = try generations[index].advance() }
    }
    let alone = try plans.map { try tokens(generation($0, batch: 2)) }
    #expect(generations.map(\.tokens) == alone)
  }

  // MARK: The law

  /// 4,000 sequences of 3 tokens, written one by one, against the exact probabilities of all 27: averaged over the
  /// orders where those are random. A right sampler fails once in 30,000 seeds.
  @Test(arguments: [UnmaskingPlan(diffusionSteps: [1, 1, 1]), UnmaskingPlan(diffusionSteps: [], sequentialCount: 3)])
  func sequencesComeAsOftenAsTheirLikelihoodSays(plan: UnmaskingPlan) throws {
    let network = Transformer.random(.small(vocabulary: 4)).network()
    var generation = Generation(CachedNetwork(network), plan: plan, picker: picker, seed: 1, batch: 4000)
    try generation.finish()
    let all = sequences(of: 3, length: 3)
    let orders = plan.sequentialCount == 3 ? [[0, 1, 2]] : permutations(of: 3)
    let likelihood = Likelihood(network, alpha0: 1)
    let law = all.map { tokens in
      likelihood.logProbabilities(orders.map { (tokens, GenerationOrder(positions: $0, cleanCount: 0)) })
        .map { exp($0.reduce(0, +)) }.mean
    }
    let counts = all.map { tokens in generation.tokens.count { $0 == tokens } }
    #expect(counts.reduce(0, +) == 4000)
    #expect(chiSquareScore(counts, law: law) < 4)
  }

  /// Tokens of one step are independent of each other: the law of a pair is that of two draws from its logits.
  @Test func tokensOfOneStepAreIndependent() throws {
    let network = CachedNetwork(Transformer.random(.small(vocabulary: 4)).network())
    func make(batch: Int) throws -> Generation {
      Generation(
        network, plan: UnmaskingPlan(diffusionSteps: [2]),
        orders: Array(repeating: .leftToRight(length: 2), count: batch), picker: picker, seed: 2)
    }
    var generation = try make(batch: 4000)
    try generation.finish()
    var forced = try make(batch: 1)
    let law = picker.law(of: forced.advance(forcing: [[0, 0]])!, excluding: 3)
    let all = sequences(of: 3, length: 2)
    let counts = all.map { tokens in generation.tokens.count { $0 == tokens } }
    #expect(chiSquareScore(counts, law: all.map { law[0][Int($0[0])] * law[1][Int($0[1])] }) < 4)
  }
}
