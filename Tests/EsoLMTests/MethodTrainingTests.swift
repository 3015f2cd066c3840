import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Training batches of all methods")
struct MethodTrainingTests {
  private let batch = randomSequences(4, length: 12, tokens: 12)
  private let network = TransformerWeights.random().transformer()

  static let methods: [any GenerationMethod] = [
    try! EsotericMethod(.a, alpha0: 0.5), try! EsotericMethod(.b, alpha0: 0.5),
    try! EsotericMethod(alpha0: 1, weighting: .lowVariance, orders: .init(clean: .leftToRight)),
    try! EsotericMethod(alpha0: 0.5, orders: .init(masks: .leftToRight)), MaskedDiffusionMethod(),
    try! EsotericMethod(alpha0: 0.5, anyOrder: AnyOrderObjective(leftToRightShare: 0.3)),
    MaskedDiffusionMethod(weighting: .lowVariance), try! BlockDiffusionMethod(blockSize: 4),
    try! BlockDiffusionMethod(blockSize: 3, noiseRange: 0.3...0.8, firstToken: 1),
    AutoregressiveMethod(start: .init(token: 12, isText: false)),
    AutoregressiveMethod(start: .init(token: 3, isText: true)),
  ]

  private func loss(_ method: any GenerationMethod, _ batch: [[Int32]], seed: UInt64 = 1, step: Int = 0) -> Double {
    withoutGradients {
      network.loss(of: method.trainingBatch(batch, maskToken: 12, seed: seed, step: step)).loss.item
    }
  }

  // MARK: What all have in common

  @Test(arguments: methods.indices) func theLossIsTheSameForTheSameDraws(index: Int) {
    let method = Self.methods[index]
    #expect(loss(method, batch) == loss(method, batch))
    guard !(method is AutoregressiveMethod) else { return }
    #expect(loss(method, batch) != loss(method, batch, seed: 2))
    #expect(loss(method, batch) != loss(method, batch, step: 1))
  }

  /// Otherwise no number of draws would come near the bound. At time t about a share t of the tokens is masked.
  @Test(arguments: [0, 7]) func drawsOfABoundShowEachSequenceAtAllTimes(sequence: Int) {
    let draws = 50
    let tokens = randomSequences(1, length: 1000, tokens: 12)
    let shares = (0..<draws).map { draw in
      let noise = EvaluationNoise(seed: 1, draw: draw, first: sequence, count: 10)
      let batch = MaskedDiffusionMethod().boundBatch(tokens, maskToken: 12, noise: noise)
      return Double(batch.targets.count) / 1000
    }
    for (place, share) in shares.sorted().enumerated() {
      #expect(abs(share - (Double(place) + 0.5) / Double(draws)) < 0.12)
    }
  }

  @Test(arguments: methods.indices) func paddingCarriesNoLoss(index: Int) throws {
    let method = Self.methods[index]
    let padding: Int32 = 11
    let counts = [12, 7, 1, 9]
    let padded = zip(randomSequences(4, length: 12, tokens: 10), counts).map { tokens, count in
      PaddedTokens(tokens.prefix(count) + Array(repeating: padding, count: 12 - count), contentCount: count)
    }
    let noise = EvaluationNoise(seed: 1, count: 4)
    let batches = [
      method.trainingBatch(BatchShare(padded), maskToken: 12, seed: 1, step: 0),
      method.boundBatch(padded, maskToken: 12, noise: noise),
    ]
    for batch in batches {
      #expect(!batch.targets.isEmpty)
      #expect(!batch.targets.contains(Int64(padding)))
      #expect(network.loss(of: batch).loss.item.isFinite)
    }
    // Of the whole sequence what is no padding has the same losses as before: only the average is over fewer tokens.
    let whole = method.boundBatch(padded.map(\.tokens), maskToken: 12, noise: noise)
    let losses = zip(whole.targets, zip(whole.lossWeights, network.loss(of: whole).nll.array(of: Double.self)))
      .map { $0 == Int64(padding) ? 0 : Double($1.0) * $1.1 }
    #expect(abs(losses.reduce(0, +) - batches[1].sequenceLosses(under: network).reduce(0, +)) < 1e-3)
    let predicted = counts.reduce(0) { $0 + method.predictedCount(ofLength: $1) }
    if method is AutoregressiveMethod {
      #expect(batches[0].targets.count == predicted)
      #expect(abs(Double(batches[0].lossWeights.reduce(0, +)) - 1) < 1e-5)
    }
  }

  @Test(arguments: methods.indices) func boundsDoNotDependOnTheBatch(index: Int) {
    let likelihood = Likelihood(network, method: Self.methods[index])
    let together = likelihood.negativeELBO(batch, noise: EvaluationNoise(seed: 1, count: 4))
    let alone = batch.indices.flatMap {
      likelihood.negativeELBO([batch[$0]], noise: EvaluationNoise(seed: 1, first: $0, count: 4))
    }
    #expect(distance(together, alone) < 1e-4)
    #expect(together.allSatisfy { $0 > 0 || $0 == 0 })
  }

  /// A fresh network finds all tokens equally likely, so every bound has the expectation (tokens) · log V.
  @Test(arguments: methods.indices) func boundsOfAFreshNetworkAreThoseOfUniformTokens(index: Int) throws {
    let method = Self.methods[index]
    let fresh = try TransformerWeights(.small(), seed: 1).transformer()
    let count = 400
    let bounds = Likelihood(fresh, method: method).negativeELBO(
      Array(repeating: batch[0], count: count), noise: EvaluationNoise(seed: 1, count: count))
    let expected = Double(method.predictedCount(ofLength: 12)) * log(12)
    #expect(abs(bounds.mean - expected) < 4 * bounds.standardError + 0.01 * expected)
  }

  // MARK: Eso-LM (A)

  @Test func bothVariantsAreTheSameWithoutDiffusion() {
    #expect(
      abs(loss(try! EsotericMethod(.a, alpha0: 0), batch) - loss(try! EsotericMethod(.b, alpha0: 0), batch)) < 1e-6)
    #expect(loss(try! EsotericMethod(.a, alpha0: 0.5), batch) != loss(try! EsotericMethod(.b, alpha0: 0.5), batch))
  }

  @Test func variantASortsTheSequentialTermByPosition() {
    for corrupted in try! EsotericMethod(.a, alpha0: 0.5).objective.corrupt(batch, seed: 1, step: 0)
    where corrupted.time == nil {
      let (clean, masked) = (
        corrupted.order.positions[..<corrupted.order.cleanCount],
        corrupted.order.positions[corrupted.order.cleanCount...]
      )
      #expect(Array(clean) == clean.sorted() && Array(masked) == masked.sorted())
    }
  }

  // MARK: AR

  @Test func theBoundOfAnAutoregressiveModelIsItsLikelihood() {
    for method in Self.methods where method is AutoregressiveMethod {
      let likelihood = Likelihood(network, method: method)
      #expect(likelihood.isExact)
      let exact = likelihood.logProbabilities(batch.map { ($0, .leftToRight(length: 12)) }).map { -$0.reduce(0, +) }
      #expect(distance(likelihood.negativeELBO(batch, noise: EvaluationNoise(seed: 1, count: 4)), exact) < 1e-4)
      let predicted = Double(4 * method.predictedCount(ofLength: 12))
      #expect(abs(loss(method, batch) - exact.reduce(0, +) / predicted) < 1e-5)
    }
  }

  // MARK: BD3-LM

  @Test func aFirstTokenThatIsKeptIsNeverMasked() {
    let (free, kept) = (try! BlockDiffusionMethod(blockSize: 4), try! BlockDiffusionMethod(blockSize: 4, firstToken: 1))
    func masks(_ method: BlockDiffusionMethod) -> [[Int]] {
      (0..<50).map { number in
        var generator = CounterGenerator(seed: 1, stream: .corruption, major: number)
        return method.member(PaddedTokens(batch[0]), times: [1, 0.5, 0.25], scale: 1, using: &generator).sequence.masked
      }
    }
    #expect(masks(free).allSatisfy { $0.starts(with: [0, 1, 2, 3]) })
    #expect(masks(kept) == masks(free).map { Array($0.dropFirst()) })
    #expect((free.predictedCount(ofLength: 12), kept.predictedCount(ofLength: 12)) == (12, 11))
  }

  @Test func blocksWeighByTheirTimes() {
    let member = try! BlockDiffusionMethod(blockSize: 4)
      .member(PaddedTokens(batch[0]), masked: [1, 4, 6, 11], times: [0.5, 0.25, 0.1], scale: 2)
    #expect(member.weights == [4, 8, 8, 20])
    #expect(member.targets == [1, 4, 6, 11].map { batch[0][$0] })
  }

  /// Every token's loss has its exact expectation where a block is one token: masked with chance t, weighed 1/t.
  @Test func blocksOfOneTokenAreAutoregressiveOnAverage() {
    let likelihood = Likelihood(network, method: try! BlockDiffusionMethod(blockSize: 1))
    let leftToRight = try! Likelihood(network, alpha0: 0)
    let exact = -leftToRight.logProbabilities([(batch[0], .leftToRight(length: 12))])[0].reduce(0, +)
    let draws = likelihood.negativeELBO(
      Array(repeating: batch[0], count: 2000), noise: EvaluationNoise(seed: 1, count: 2000))
    #expect(abs(draws.mean - exact) < 4 * draws.standardError + 0.005 * exact)
  }

  @Test func aNoiseRangeIsKeptAndCovered() {
    let method = try! BlockDiffusionMethod(blockSize: 3, noiseRange: 0.3...0.8)
    let weights = (0..<20).flatMap { step in
      method.trainingBatch(batch, maskToken: 12, seed: 1, step: step).lossWeights.map { 1 / (Double($0) * 48) }
    }
    #expect(weights.allSatisfy { (0.3 - 1e-4...0.8 + 1e-4).contains($0) })
    #expect(weights.min()! < 0.35 && weights.max()! > 0.75)
  }

  @Test func theQuietestRangeLeavesOutTheRarestMasks() throws {
    // A fresh network: every masked token costs the same, so the loss varies with the number of masks alone.
    let fresh = try TransformerWeights(.small(), seed: 1).transformer()
    let method = try BlockDiffusionMethod(blockSize: 4, searchesNoise: true)
    let sequences = randomSequences(64, length: 12, tokens: 12).map { PaddedTokens($0) }
    let range = method.quietestTimes(under: fresh, sequences: sequences, seed: 1)
    #expect(range == 0.5...1)
    let expected = try BlockDiffusionMethod(blockSize: 4, noiseRange: 0.5...1, searchesNoise: true)
    #expect(try method.training(on: range) as? BlockDiffusionMethod == expected)
    let fixed = try BlockDiffusionMethod(blockSize: 4)
    #expect(fixed.quietestTimes(under: fresh, sequences: sequences, seed: 1) == nil)
  }
}
