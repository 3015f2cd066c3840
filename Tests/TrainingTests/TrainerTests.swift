import CommandSupport
import Corpora
import EsoLM
import Foundation
import Runs
import Testing
import TestSupport
import Tokenizers
import Torch
import Training

// One at a time: dropout draws from libtorch's one generator.
@Suite("The training loop", .serialized)
struct TrainerTests {
  // MARK: Going on

  @Test(arguments: [0, 0.3], [5, 6])
  func aResumedRunEndsAsOneThatNeverStopped(dropout: Double, stop: Int) throws {
    func change(_ configuration: inout RunConfiguration) {
      configuration.model.dropout = dropout
      configuration.training.saveInterval = 4
    }
    let uninterrupted = try TinyTraining.trainer(change)
    try uninterrupted.train()

    let first = try TinyTraining.trainer(change)
    try first.train(shouldStop: { first.learner.step == stop })
    #expect(first.learner.step == stop)
    let second = try Trainer(RunFolder(opening: first.run.path))
    #expect(second.learner.step == stop)
    try second.train()
    #expect(second.learner.step == 12)
    #expect(TinyTraining.bits(second.learner) == TinyTraining.bits(uninterrupted.learner))
    for name in ["model", "ema", "latest/optimizer"] {
      let file = "\(name).safetensors"
      #expect(try contents(second, file) == contents(uninterrupted, file))
    }
  }

  /// Also where validations choose what training draws from.
  @Test func aResumedSearchForNoiseGoesOnWithWhatItFound() throws {
    func change(_ configuration: inout RunConfiguration) {
      configuration.method = MethodConfiguration(
        algorithm: .blockDiffusion, blockSize: 4, noiseRange: .search, length: 16)
      configuration.training.validationInterval = 3
    }
    let uninterrupted = try TinyTraining.trainer(change)
    #expect(uninterrupted.learner.noiseRange == nil)
    try uninterrupted.train()
    #expect(uninterrupted.learner.noiseRange != nil)
    let first = try TinyTraining.trainer(change)
    try first.train(shouldStop: { first.learner.step == 5 })
    let second = try Trainer(RunFolder(opening: first.run.path))
    #expect(second.learner.noiseRange == first.learner.noiseRange)
    try second.train()
    #expect(TinyTraining.bits(second.learner) == TinyTraining.bits(uninterrupted.learner))
  }

  /// In one process and with other steps' shares from left to right. What is trained stands in the run's folder.
  @Test func aResumedRunOfAnyOrderEndsAsOneThatNeverStopped() throws {
    func change(_ configuration: inout RunConfiguration) {
      configuration.method = MethodConfiguration(
        alpha0: 1, objective: .anyOrder, leftToRightShare: 0.3, length: 16)
      configuration.training.microBatchSize = 2
    }
    let uninterrupted = try TinyTraining.trainer(change)
    try uninterrupted.train()
    let first = try TinyTraining.trainer(change)
    try first.train(shouldStop: { first.learner.step == 5 })
    let run = try RunFolder(opening: first.run.path)
    #expect(run.configuration.method == first.run.configuration.method)
    #expect(run.method.title == "Eso-LM (B) any-order (0.3 left to right), α₀ = 1")
    let second = try Trainer(run)
    try second.train()
    #expect(TinyTraining.bits(second.learner) == TinyTraining.bits(uninterrupted.learner))
    let paper = try TinyTraining.trainer { $0.method = MethodConfiguration(alpha0: 1, length: 16) }
    try paper.train()
    #expect(TinyTraining.bits(paper.learner) != TinyTraining.bits(uninterrupted.learner))
  }

  @Test func aRunThatIsFinishedStaysAsItIs() throws {
    let trainer = try TinyTraining.trainer()
    try trainer.train()
    func snapshot() throws -> [String: Data] {
      try Scratch.snapshot(trainer.run.path).filter { $0.key != "lock" }
    }
    let before = try snapshot()
    var events = 0
    try Trainer(RunFolder(opening: trainer.run.path)).train(report: { _ in events += 1 })
    #expect(events == 0)
    #expect(try snapshot() == before)
  }

  @Test func whatWasMeasuredAfterTheLastSaveIsForgotten() throws {
    let trainer = try TinyTraining.trainer { $0.training.validationInterval = 4 }
    try trainer.train()
    try MetricsLog(trainer.run).append(["step": 99])
    _ = try Trainer(RunFolder(opening: trainer.run.path))
    let steps = try contents(trainer, "metrics.jsonl").split(separator: UInt8(ascii: "\n")).map {
      try JSONDecoder().decode(Line.self, from: $0).step
    }
    #expect(steps == [4, 8, 10, 12])
  }

  private struct Line: Decodable { var step: Int }

  /// So that the best of the checkpoints is one that was measured, also after a resume.
  @Test func onlyCheckpointsThatWereMeasuredHaveAValidationLoss() throws {
    let first = try TinyTraining.trainer {
      $0.training.validationInterval = 4
      $0.training.saveInterval = 2
      $0.training.keepLast = 20
    }
    try first.train(shouldStop: { first.learner.step == 4 })
    try Trainer(RunFolder(opening: first.run.path)).train()
    struct Manifest: Decodable { var validationNELBO: Double? }
    for step in stride(from: 2, through: 12, by: 2) {
      let name = "checkpoints/step-\(String(format: "%08d", step))/checkpoint.json"
      let manifest = try JSONDecoder().decode(Manifest.self, from: contents(first, name))
      #expect((manifest.validationNELBO != nil) == (step % 4 == 0), "step \(step)")
    }
  }

  /// Whatever the steps at which it saves: the average of an untrained network gets better, then worse.
  @Test func theBestIsSavedAsSoonAsItIsFound() throws {
    let trainer = try TinyTraining.trainer {
      $0.training.validationInterval = 3
      $0.training.saveInterval = 100
      $0.training.keepsBest = true
      $0.training.learningRate = 0.3
      $0.training.steps = 20
    }
    try trainer.train()
    let measured = try TrainingRecord.all(of: trainer.run.path).compactMap { record in
      record.validationNELBO?.value.map { (step: record.step, nelbo: $0) }
    }
    let best = try #require(measured.min { $0.nelbo < $1.nelbo })
    #expect(measured.count == 7 && best.step < 20)
    let link = try FileManager.default.destinationOfSymbolicLink(atPath: "\(trainer.run.path)/best")
    #expect(link.hasSuffix("-\(String(format: "%08d", best.step))"))
  }

  /// What others wrote into a run folder ends no training.
  @Test func timesAndNamesThatNoTrainingWroteAreLeftOut() throws {
    let trainer = try TinyTraining.trainer()
    let run = trainer.run.path
    try Data("{\"step\":0,\"seconds\":1e308}\n".utf8).write(to: URL(fileURLWithPath: "\(run)/metrics.jsonl"))
    try Data().write(to: URL(fileURLWithPath: "\(run)/events.out.tfevents.1.1.\(Int.max).esolm"))
    try Trainer(RunFolder(opening: run)).train()
    #expect(try #require(TrainingRecord.all(of: run).last?.seconds) < 1e6)
  }

  // MARK: Seeds

  @Test func theSeedDecidesAll() throws {
    let learners = try ([1, 1, 2] as [UInt64]).map { seed in
      let trainer = try TinyTraining.trainer {
        $0.training.seed = seed
        $0.model.dropout = 0.2
      }
      try trainer.train()
      return TinyTraining.bits(trainer.learner)
    }
    #expect(learners[0] == learners[1])
    #expect(learners[0] != learners[2])
  }

  // MARK: Numbers that are none

  /// A network so sure of the wrong token that its perplexity is beyond what a number holds.
  @Test func aPerplexityThatOverflowsIsNullAndTrainingGoesOn() throws {
    let configuration = try TinyTraining.configuration {
      $0.training.validationInterval = 4
      $0.training.saveInterval = 6
      $0.training.keepsBest = true
      $0.training.learningRate = 1e-9
    }
    let fresh = try TransformerWeights(configuration.model, seed: 0)
    let parameters = Dictionary(uniqueKeysWithValues: zip(fresh.names, fresh.parameters))
    var bias = [Float](repeating: 0, count: configuration.model.vocabularySize)
    bias[0] = 1e5
    let weights = try TransformerWeights(
      configuration.model, parameters: parameters.merging(["output_layer.linear.bias": Tensor(bias)]) { $1 })
    let trainer = try Trainer(
      creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: TinyTraining.tokenizer,
      weights: weights)
    try trainer.train()
    let lines = String(decoding: try contents(trainer, "metrics.jsonl"), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines.count { $0.contains("\"validationPerplexity\":null") } == 3)
    let saved = try RunFolder(opening: trainer.run.path).restore().state
    #expect(saved.step == 12 && saved.validationNELBO! > 1000)
  }

  // MARK: Learning

  @Test(arguments: [0, 0.5, 1]) func theLossFalls(alpha0: Double) throws {
    let trainer = try TinyTraining.trainer {
      $0.method.alpha0 = alpha0
      $0.training.steps = 150
      $0.training.learningRate = 1e-2
    }
    let before = trainer.validate()
    try trainer.train()
    let after = trainer.validate()
    #expect((before.step, after.step) == (0, 150))
    #expect(after.nelbo < 0.8 * before.nelbo)
    #expect(after.perplexity == exp(after.nelbo))
  }

  @Test func validationAlwaysMeasuresTheSame() throws {
    let trainer = try TinyTraining.trainer()
    #expect(trainer.validate().nelbo == trainer.validate().nelbo)
    #expect(try trainer.validate().nelbo == TinyTraining.trainer().validate().nelbo)
  }

  @Test func validationDoesNotDependOnTheBatchSize() throws {
    let values = try [2, 3, 50].map { batch in
      try TinyTraining.trainer { $0.training.batchSize = batch }.validate().nelbo
    }
    #expect(abs(values[0] - values[1]) < 1e-6 && abs(values[0] - values[2]) < 1e-6)
  }

  @Test func trainingThatDivergesIsAnErrorAndKeepsTheLastSave() throws {
    let trainer = try TinyTraining.trainer {
      $0.training.learningRate = 1e30
      $0.training.warmupSteps = 0
      $0.training.saveInterval = 1
    }
    let error = try #require(throws: TrainingDiverged.self) { try trainer.train() }
    #expect(error.step == 2)
    let record = "\(trainer.run.path)/diverged.json"
    #expect(
      error.description
        == "training diverged at step 2: loss \(error.loss), gradient norm \(error.norm); try a smaller learning rate "
        + "(saved as it was before the step, whose batch is in \(record): going on repeats it, "
        + "a new run can start from its weights)")
    struct Failed: Decodable {
      struct Sequence: Decodable {
        var block: Int
        var tokens: [Int32]
      }
      var step: Int
      var sequences: [Sequence]
    }
    let failed = try JSONDecoder().decode(Failed.self, from: contents(trainer, "diverged.json"))
    #expect(failed.step == 2 && failed.sequences.count == 4)
    #expect(failed.sequences.allSatisfy { $0.tokens == Array(trainer.data.training[$0.block]) })
    let again = try #require(throws: TrainingDiverged.self) {
      try Trainer(RunFolder(opening: trainer.run.path)).train()
    }
    #expect(again.step == 2)
    #expect(!(error.loss.isFinite && error.norm.isFinite))
    let saved = try Trainer(RunFolder(opening: trainer.run.path)).learner
    #expect(saved.step == 1)
    #expect(TinyTraining.bits(saved) == TinyTraining.bits(trainer.learner))
  }

  @Test(arguments: Algorithm.allCases)
  func everyAlgorithmLearns(algorithm: Algorithm) throws {
    let trainer = try TinyTraining.trainer {
      $0.method = MethodConfiguration(
        algorithm: algorithm, alpha0: algorithm.options.contains(.alpha0) ? 0.5 : nil,
        blockSize: algorithm == .blockDiffusion ? 4 : nil, length: 16)
      $0.training.steps = 150
      $0.training.learningRate = 1e-2
    }
    let before = trainer.validate().nelbo
    try trainer.train()
    #expect(trainer.validate().nelbo < 0.85 * before)
  }

  // MARK: Reports

  @Test func everyStepValidationAndSaveIsReported() throws {
    let trainer = try TinyTraining.trainer {
      $0.training.validationInterval = 5
      $0.training.saveInterval = 4
      $0.training.sampleTexts = 2
    }
    var (progress, validations, saves): ([TrainingProgress], [Int], [Int]) = ([], [], [])
    var (shares, sampled): ([Double], [Int]) = ([], [])
    try trainer.train(report: { event in
      switch event {
      case .step(let step): progress.append(step)
      case .validated(let validation): validations.append(validation.step)
      case .saved(let step): saves.append(step)
      case .validating(_, let share): shares.append(share)
      case .sampled(let step, let texts):
        sampled.append(step)
        #expect(texts.count == 2 && texts.allSatisfy { !$0.isEmpty })
      }
    })
    #expect(progress.map(\.step) == Array(1...12))
    #expect(validations == [5, 10, 12] && sampled == validations)
    #expect(saves == [4, 8, 12])
    // A batch holds all validation sequences.
    #expect(shares.allSatisfy { (0..<1).contains($0) } && shares.count >= validations.count)
    #expect(
      progress.allSatisfy {
        $0.steps == 12 && $0.tokensPerSecond > 0 && $0.tokensPerSecond.isFinite && $0.secondsLeft >= 0
          && $0.secondsLeft.isFinite && $0.update.loss.isFinite && $0.update.gradientNorm > 0
      })
    #expect(progress.last?.secondsLeft == 0)
  }

  // MARK: Data

  @Test func aTextThatChangedIsRefused() throws {
    let trainer = try TinyTraining.trainer()
    let path = try #require(trainer.run.configuration.data.paths.first)
    try Data((TinyTraining.text + "cat").utf8).write(to: URL(fileURLWithPath: path))
    let problem = try #require(message { try Trainer(RunFolder(opening: trainer.run.path)) })
    #expect(problem.hasPrefix("\(path): the text has changed since the run began: its fingerprint is "))
  }

  @Test func aTextThatMovedIsTakenIfItIsTheSame() throws {
    let run = try TinyTraining.trainer().run
    let path = try #require(run.configuration.data.paths.first)
    try FileManager.default.removeItem(atPath: path)
    #expect(message { try Trainer(run) }?.hasPrefix("cannot read \(path), which the run was trained on: ") == true)
    let (same, other) = (try Scratch.file(TinyTraining.text.utf8), try Scratch.file((TinyTraining.text + "a").utf8))
    let state = try run.restore().state
    var moved = run.configuration
    moved.data = try run.configuration.data.moved(to: [other])
    #expect(throws: (any Error).self) { try Trainer(run, as: moved, state: state) }
    #expect(try RunFolder(opening: run.path).configuration.data.paths == [path])
    moved.data = try run.configuration.data.moved(to: [same])
    #expect(moved.data.paths == [same])
    #expect(try Trainer(run, as: moved, state: state).data.training.count > 0)
    #expect(try RunFolder(opening: run.path).configuration.data.paths == [same])
    #expect(
      message { try run.configuration.data.moved(to: [], validation: [same]) }
        == "the run validates on a part of its text, expected no other files for that")
  }

  /// As earlier versions wrote them: a path and FNV-1a of the text, or of its tokens.
  @Test(arguments: ["", "\u{FEFF}"]) func runsOfEarlierVersionsGoOn(mark: String) throws {
    func hash(_ values: some Sequence<UInt64>) -> String {
      String(values.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }, radix: 16)
    }
    let text = mark + TinyTraining.text
    let path = try Scratch.file(text.utf8)
    let tokenizer = CharacterTokenizer(text: text)
    let tokens = try tokenizer.encode(text) + [tokenizer.endOfText]
    let corpus = CorpusConfiguration(
      source: CorpusSource(paths: [path], format: .text(documents: .file)), tokenFolder: try Scratch.folder())
    for source in [
      .file(path: path, fingerprint: hash(text.utf8.lazy.map(UInt64.init))),
      .corpus(corpus, fingerprint: hash(tokens.lazy.map { UInt64($0) })),
    ] as [DataConfiguration.Source] {
      let data = try Corpus(DataConfiguration(source: source), length: 16, tokenizer: tokenizer, seed: 3)
      let found: [Int32] = data.training.flatMap(Array.init) + data.validation.flatMap(Array.init)
      #expect(found == Array(tokens.dropLast(tokens.count % 16)))
    }
  }

  @Test(arguments: [0.001, 0.5, 0.999]) func bothPartsOfTheToyLanguageHaveSequences(share: Double) throws {
    let data = try Corpus(
      DataConfiguration(source: .toyLanguage(sequences: 2, seed: 1), validationFraction: share), length: 8,
      tokenizer: TinyTraining.tokenizer)
    #expect((data.training.count, data.validation.count) == (1, 1))
    #expect(data.training != data.validation)
  }

  // MARK: Helpers

  private func contents(_ trainer: Trainer, _ file: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: "\(trainer.run.path)/\(file)"))
  }
}
