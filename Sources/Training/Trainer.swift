import Corpora
import EsoLM
import Foundation
import Runs
import Tokenizers
import Torch

/// The training loop of a run: batches, steps, validation, checkpoints. It prints nothing; what happens is reported as
/// typed events.
///
/// Every batch and every random draw follows from the configuration's seed and the step, so a run that was stopped and
/// goes on from its last checkpoint ends with the same weights as one that never stopped.
public struct Trainer {
  /// What happens, to be shown or noted.
  public enum Event: Sendable {
    /// A step was made.
    case step(Progress)
    /// `share` of the validation sequences are measured.
    case validating(step: Int, share: Double)
    /// The validation sequences were measured.
    case validated(Validation)
    /// A checkpoint was written.
    case saved(step: Int)
  }

  /// How far training has come.
  public struct Progress: Sendable {
    /// The number of this step.
    public let step: Int
    /// The steps of the whole training.
    public let steps: Int
    /// What the step did.
    public let update: Learner.Update
    /// Over the last few seconds.
    public let tokensPerSecond: Double
    /// Estimated from the speed of this call so far, validation and saving included.
    public let secondsLeft: Double
  }

  /// The NELBO of validation sequences under the moving average of the weights.
  public struct Validation: Codable, Sendable {
    /// The step after which it was measured.
    public let step: Int
    /// Nats per token; NaN where no token was predicted.
    public let nelbo: Double
    /// `exp(nelbo)`.
    public var perplexity: Double { exp(nelbo) }
  }

  private struct Record: Encodable {
    var step: Int
    var loss: MetricsLog.Number
    var gradientNorm: MetricsLog.Number
    var learningRate: MetricsLog.Number
    var tokensPerSecond: MetricsLog.Number
    var validationNELBO: MetricsLog.Number?
    var validationPerplexity: MetricsLog.Number?

    init(_ update: Learner.Update, step: Int, tokensPerSecond: Double, _ validation: Validation?) {
      self.step = step
      loss = .init(update.loss)
      gradientNorm = .init(update.gradientNorm)
      learningRate = .init(update.learningRate)
      self.tokensPerSecond = .init(tokensPerSecond)
      validationNELBO = validation.map { .init($0.nelbo) }
      validationPerplexity = validation.map { .init($0.perplexity) }
    }
  }

  /// The run that is trained.
  public let run: RunFolder
  /// What it is trained on.
  public let data: Corpus
  /// The network, its average and the optimiser.
  public let learner: Learner
  private let metrics: MetricsLog

  /// Goes on from the run's newest checkpoint that is complete and undamaged.
  public init(_ run: RunFolder, device: Device = .cpu) throws {
    let run = try run.locked()
    try self.init(run, state: try run.restore(device: device).state)
  }

  /// Goes on from a state of the run.
  ///
  /// - Parameters:
  ///   - run: the run to go on with.
  ///   - state: one of its checkpoints.
  ///   - place: where the run's data are, if they were moved.
  public init(_ run: RunFolder, state: TrainingState, data place: DataConfiguration? = nil) throws {
    let data = try Corpus(
      place ?? run.configuration.data, length: run.configuration.method.length, tokenizer: run.tokenizer,
      seed: run.configuration.training.seed)
    if state.model.device == .cpu { try MemoryShortage.check(run.configuration) }
    try self.init(run, data: data, state: state)
  }

  /// The same training with another number of steps, or another place of the same data, which the run then keeps.
  public func continuing(as configuration: RunConfiguration) throws -> Trainer {
    try Trainer(run.updating(configuration), data: data, state: learner.state)
  }

  /// Starts a run in a new folder, which holds a checkpoint of step 0 from the beginning.
  ///
  /// - Parameters:
  ///   - path: the folder to make.
  ///   - configuration: all that determines the run.
  ///   - tokenizer: how its text becomes tokens.
  ///   - weights: what to start from in place of random weights, as for fine-tuning. They need not have been trained on
  ///     this method, length or data: only the network's sizes must be the same.
  ///   - data: the configuration's data, if they are at hand.
  ///   - device: where to train.
  public init(
    creating path: String, configuration: RunConfiguration, tokenizer: any Tokenizer,
    weights: TransformerWeights? = nil,
    data: Corpus? = nil, device: Device = .cpu
  ) throws {
    try configuration.validate()
    let data =
      try data
      ?? Corpus(
        configuration.data, length: configuration.method.length, tokenizer: tokenizer,
        seed: configuration.training.seed)
    if device == .cpu { try MemoryShortage.check(configuration) }
    let model =
      try weights.map {
        try TransformerWeights(
          configuration.model, parameters: Dictionary(uniqueKeysWithValues: zip($0.names, $0.parameters)),
          device: device)
      } ?? TransformerWeights(configuration.model, seed: configuration.training.seed, device: device)
    let state = try TrainingState(startingFrom: model)
    let run = try RunFolder(creating: path, configuration: configuration, tokenizer: tokenizer, state: state)
    try self.init(run, data: data, state: state)
  }

  /// The same with data and state that are already at hand.
  public init(_ run: RunFolder, data: Corpus, state: TrainingState) throws {
    self.run = try run.locked()
    self.data = data
    learner = Learner(state, configuration: run.configuration.training)
    metrics = MetricsLog(run)
    try metrics.truncate(after: state.step)
  }

  /// Trains until the configured number of steps is reached or `shouldStop` says so, and saves at the end either way.
  public func train(shouldStop: () -> Bool = { false }, report: (Event) -> Void = { _ in }) throws {
    let training = run.configuration.training
    let maskToken = run.configuration.model.maskToken
    var schedule = BatchSchedule(
      blockCount: data.training.count, batchSize: training.batchSize, seed: training.seed)
    let firstStep = learner.step
    var savedStep = firstStep
    var validation: Validation?
    let start = ContinuousClock.now
    var speed = SpeedMeter()

    while learner.step < training.steps, !shouldStop() {
      let step = learner.step
      let batch = schedule.blocks(step: step).map {
        PaddedTokens(data.training.block($0, draw: step), contentCount: data.training.contentCount($0))
      }
      let scored = try method().trainingBatch(batch, maskToken: maskToken, seed: training.seed, step: step)
      let update = try learner.update(scored)

      let rate = speed.add(tokens: training.batchSize * run.configuration.method.length)
      let done = learner.step
      let elapsed = (ContinuousClock.now - start).seconds
      report(
        .step(
          Progress(
            step: done, steps: training.steps, update: update, tokensPerSecond: rate,
            secondsLeft: elapsed / Double(done - firstStep) * Double(training.steps - done))))
      let isLast = done == training.steps
      let isValidated = done % training.validationInterval == 0 || isLast
      if isValidated {
        let measured = validate { report(.validating(step: done, share: $0)) }
        validation = measured
        chooseNoise()
        report(.validated(measured))
        speed.restart()
      }
      if isValidated || done % 10 == 0 {
        do {
          try metrics.append(Record(update, step: done, tokensPerSecond: rate, isValidated ? validation : nil))
        } catch {
          // What cannot be noted is no reason to lose what was learnt.
          try save(validation, report: report)
          throw error
        }
      }
      if done % training.saveInterval == 0 || isLast {
        try save(validation, report: report)
        savedStep = done
        speed.restart()
      }
    }
    if savedStep != learner.step { try save(validation, report: report) }
  }

  /// The method as it trains now.
  private func method() throws -> any GenerationMethod { try run.method.training(on: learner.noiseRange) }

  /// Measures the validation sequences with the same noise every time, so that two validations differ by the weights.
  public func validate(progress: (_ share: Double) -> Void = { _ in }) -> Validation {
    let evaluation = Likelihood(learner.average.transformer(), method: run.method)
    let (batchSize, seed) = (run.configuration.training.batchSize, run.configuration.training.seed)
    let count = min(data.validation.count, run.configuration.training.validationSequences)
    var (sum, predicted) = (0.0, 0)
    for first in stride(from: 0, to: count, by: batchSize) {
      progress(Double(first) / Double(count))
      let batch = validation(first..<min(first + batchSize, count))
      sum += evaluation.negativeELBO(batch, noise: EvaluationNoise(seed: seed, first: first, count: count))
        .reduce(0, +)
      predicted += batch.reduce(0) { $0 + run.method.predictedCount(ofLength: $1.contentCount) }
    }
    return Validation(step: learner.step, nelbo: sum / Double(predicted))
  }

  private func validation(_ range: Range<Int>) -> [PaddedTokens] {
    range.map { PaddedTokens(data.validation[$0], contentCount: data.validation.contentCount($0)) }
  }

  /// Chooses the training times of a method that searches for them, by at most 64 validation sequences.
  private func chooseNoise() {
    let chosen = run.method.quietestTimes(
      under: learner.average.transformer(), sequences: validation(data.validation.indices.prefix(64)),
      seed: run.configuration.training.seed)
    if let chosen { learner.noiseRange = chosen }
  }

  /// Saves, with what the last validation measured if that was at this step.
  private func save(_ validation: Validation?, report: (Event) -> Void) throws {
    var state = learner.state
    if let validation, validation.step == state.step, validation.nelbo.isFinite {
      state.validationNELBO = validation.nelbo
    }
    try run.save(state)
    report(.saved(step: learner.step))
  }
}

/// Tokens per second over the last few seconds.
private struct SpeedMeter {
  private var window: [(time: ContinuousClock.Instant, tokens: Int)] = [(.now, 0)]

  mutating func add(tokens: Int) -> Double {
    let now = ContinuousClock.now
    window.append((now, tokens))
    while window.count > 2, now - window[1].time > .seconds(5) { window.removeFirst() }
    return Double(window.dropFirst().reduce(0) { $0 + $1.tokens }) / (now - window[0].time).seconds
  }

  /// Leaves out the time since the last step, which went into something else.
  mutating func restart() { window = [(.now, 0)] }
}

extension Duration {
  /// As a number.
  public var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
