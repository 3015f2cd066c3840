import EsoLM
import Foundation
import Runs
import TestSupport
import Testing
import Torch
import Training

/// A step in several parts is the step.
@Suite("Micro-batches", .serialized)
struct AccumulationTests {
  static let methods: [any GenerationMethod] = [
    try! EsotericMethod(alpha0: 0.5), try! EsotericMethod(.a, alpha0: 0.3), try! EsotericMethod(alpha0: 0),
    MaskedDiffusionMethod(), try! BlockDiffusionMethod(blockSize: 4),
    AutoregressiveMethod(start: .init(token: 12, isText: false)),
    try! EsotericMethod(alpha0: 0.5, anyOrder: AnyOrderObjective(leftToRightShare: 0.4)),
  ]

  /// Sequences of which some are mostly padding; 7 of them, so that the split between the terms is uneven.
  private static let batch: [PaddedTokens] = zip(
    randomSequences(7, length: 16, tokens: 10), [16, 3, 16, 1, 9, 16, 5]
  ).map { tokens, count in
    PaddedTokens(tokens.prefix(count) + Array(repeating: 11, count: 16 - count), contentCount: count)
  }

  private func learner(recomputing: Bool = false, dropout: Double = 0) throws -> Learner {
    var model = try TinyTraining.configuration().model
    model.vocabularySize = 13
    model.maskToken = 12
    model.numBlocks = 3
    model.dropout = dropout
    var training = TrainingConfiguration()
    training.warmupSteps = 0
    training.gradientClip = 1e9
    training.recomputes = recomputing
    return Learner(
      try TrainingState(startingFrom: TransformerWeights.random(model, seed: 5)), configuration: training)
  }

  private func share(_ number: Int, of count: Int, _ method: any GenerationMethod, step: Int) -> ScoredBatch {
    let share = BatchShare(number, of: count, contentCounts: Self.batch.map(\.contentCount)) { Self.batch[$0] }
    return method.trainingBatch(share, maskToken: 12, seed: 3, step: step)
  }

  /// Otherwise processes would send their sums when the backward pass is over.
  @Test(arguments: methods.indices) func gradientsComeInTheOrderInWhichTheyAreSent(index: Int) throws {
    let (method, model) = (Self.methods[index], try learner().model)
    var order: [Int] = []
    model.transformer(training: true).loss(of: share(0, of: 1, method, step: 0)).loss
      .backward(from: model.parameters) { order.append($0) }
    func stage(_ place: Int) -> Int {
      let name = model.names[place]
      if name.hasPrefix("output_layer.linear") { return 0 }
      let matrix = name.firstMatch(of: #/^blocks\.(\d+)\.(attn|mlp)/#)
      return matrix.map { model.configuration.numBlocks - Int($0.1)! } ?? .max
    }
    #expect(order.count == model.parameters.count)
    #expect(order.map(stage) == order.map(stage).sorted())
    #expect(model.backwardOrder.map(stage) == order.map(stage))
  }

  /// The gradients, as AdamW's first moments hold a tenth of them after the first step; and what the step said.
  private func step(
    _ learner: Learner, parts: Int, _ method: any GenerationMethod
  ) throws -> (gradients: [[Float]], update: Learner.Update) {
    let update = try #require(
      try learner.update(microBatches: parts) { share($0, of: parts, method, step: learner.step) })
    return (learner.state.firstMoments.map { $0.array(of: Float.self) }, update)
  }

  /// Tenths of gradients that are equal to 1e-6; each parameter has some.
  private func expectEqual(_ found: [[Float]], _ expected: [[Float]]) {
    for (found, expected) in zip(found, expected) {
      #expect(expected.contains { $0 != 0 })
      #expect(zip(found, expected).allSatisfy { abs(10 * ($0 - $1)) < 1e-6 })
    }
  }

  @Test(arguments: methods.indices, [2, 3, 7, 9]) func partsHaveTheGradientsOfTheWhole(index: Int, parts: Int) throws {
    let method = Self.methods[index]
    let whole = try step(learner(), parts: 1, method)
    let found = try step(learner(), parts: parts, method)
    expectEqual(found.gradients, whole.gradients)
    #expect(whole.gradients.flatMap { $0 }.contains { abs($0) > 1e-3 })
    #expect(abs(found.update.loss - whole.update.loss) < 1e-5)
    #expect(abs(found.update.gradientNorm - whole.update.gradientNorm) < 1e-5)
    #expect(found.update.operations > 0.5 * whole.update.operations)
  }

  @Test(arguments: methods.indices) func theTermsAreTheLoss(index: Int) throws {
    let update = try step(learner(), parts: 1, Self.methods[index]).update
    #expect(abs(update.diffusionLoss + update.sequentialLoss - update.loss) < 1e-6)
    #expect((update.diffusionLoss > 0) == [0, 1, 3, 4].contains(index))
    #expect((update.sequentialLoss > 0) == [0, 1, 2, 5, 6].contains(index))
  }

  /// Draws and weights of a sequence are those that it has in the whole batch, and all shares have as much of each term.
  @Test(arguments: methods.indices, [2, 3]) func sharesAreTheBatchDealtOut(index: Int, parts: Int) {
    let method = Self.methods[index]
    let whole = share(0, of: 1, method, step: 2)
    let shares = (0..<parts).map { share($0, of: parts, method, step: 2) }
    func outputs(_ batches: [ScoredBatch]) -> [String] {
      batches.flatMap { zip($0.targets, $0.lossWeights).map { "\($0) \($1)" } }.sorted()
    }
    #expect(outputs(shares) == outputs([whole]))
    let counts = shares.map(\.sequenceCount)
    #expect(counts.max()! - counts.min()! <= 1)
    #expect(shares.reduce(0) { $0 + $1.diffusionOutputCount } == whole.diffusionOutputCount)
  }

  @Test(arguments: [0, 0.3]) func recomputedBlocksHaveTheSameGradients(dropout: Double) throws {
    let method = Self.methods[0]
    let whole = try step(learner(dropout: dropout), parts: 1, method)
    let found = try step(learner(recomputing: true, dropout: dropout), parts: 1, method)
    expectEqual(found.gradients, whole.gradients)
  }

  @Test func validationInPartsFindsTheSame() throws {
    func measured(_ size: Int) throws -> (nelbo: Double, parts: Int, sequences: Int) {
      let trainer = try TinyTraining.trainer { $0.training.microBatchSize = size }
      var parts = 0
      let nelbo = trainer.validate { _ in parts += 1 }.nelbo
      return (nelbo, parts, trainer.data.validation.count)
    }
    let whole = try measured(4)
    for size in [1, 2, 4] {
      let found = try measured(size)
      #expect(abs(found.nelbo / whole.nelbo - 1) < 1e-6)
      #expect(found.parts == (found.sequences + size - 1) / size)
    }
  }

  @Test func aRunStoppedInsideAStepEndsWithTheSameBits() throws {
    func change(_ configuration: inout RunConfiguration) {
      configuration.model.dropout = 0.2
      configuration.training.microBatchSize = 1
    }
    let uninterrupted = try TinyTraining.trainer(change)
    try uninterrupted.train()
    let first = try TinyTraining.trainer(change)
    var asked = 0
    // Four micro-batches a step: after the second of step 6.
    try first.train(shouldStop: {
      asked += 1
      return asked == 5 * 4 + 3
    })
    #expect(first.learner.step == 5)
    let second = try Trainer(RunFolder(opening: first.run.path))
    try second.train()
    #expect(second.learner.step == 12)
    #expect(TinyTraining.bits(second.learner) == TinyTraining.bits(uninterrupted.learner))
  }

  @Test func partsThatAreNotEqualAreRefused() throws {
    #expect(refusedField { try TinyTraining.trainer { $0.training.microBatchSize = 3 } } == "microBatchSize")
    var configuration = TrainingConfiguration()
    configuration.batchSize = 12
    configuration.microBatchSize = 2
    #expect(try configuration.microBatches(processes: 1) == 6)
    #expect(try configuration.microBatches(processes: 3) == 2)
    #expect(refusedField { try configuration.microBatches(processes: 5) } == "batchSize")
    #expect(refusedField { try configuration.microBatches(processes: 4) } == "microBatchSize")
  }
}
