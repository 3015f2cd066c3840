import Corpora
import EsoLM
import Files
import Runs
import Tokenizers
import Torch

/// The training of a run: batches, steps, validation, checkpoints, logs. It prints nothing; what happens is reported as
/// typed events.
///
/// Every batch and every random draw follows from the configuration's seed and the step, so a run that was stopped and
/// goes on from its last checkpoint ends with the same weights as one that never stopped.
public struct Trainer {
  /// What happens, to be shown or noted.
  public enum Event: Sendable {
    /// A step was made.
    case step(TrainingProgress)
    /// `share` of the validation sequences are measured.
    case validating(step: Int, share: Double)
    /// The validation sequences were measured.
    case validated(Validation)
    /// Texts were written by the moving average of the weights.
    case sampled(step: Int, texts: [String])
    /// A checkpoint was written.
    case saved(step: Int)
  }

  /// The run that is trained.
  public let run: RunFolder
  /// What it is trained on.
  public let data: Corpus
  /// The network, its average and the optimiser.
  public let learner: Learner
  private let group: ProcessGroup
  private let log: TrainingLog
  private let validator: Validator

  /// Goes on from the run's newest checkpoint that is complete and undamaged.
  public init(_ run: RunFolder, device: Device = .cpu) throws {
    let run = try run.locked()
    try self.init(run, state: try run.restore(device: device).state)
  }

  /// Goes on from a state of the run.
  ///
  /// - Parameters:
  ///   - run: the run to go on with.
  ///   - configuration: what it keeps from now on, if that is another number of steps, another place of the same data or
  ///     the like. It is written once all else was found in order.
  ///   - data: the data, if they are at hand.
  ///   - state: one of its checkpoints.
  ///   - group: the processes that train it.
  public init(
    _ run: RunFolder, as configuration: RunConfiguration? = nil, data: Corpus? = nil, state: TrainingState,
    group: ProcessGroup = ProcessGroup()
  ) throws {
    let configuration = configuration ?? run.configuration
    try Self.requireRoom(for: configuration, device: state.model.device, group: group)
    let data =
      try data
      ?? Corpus(
        configuration.data, length: configuration.method.length, tokenizer: run.tokenizer,
        seed: configuration.training.seed)
    let run = configuration == run.configuration ? run : try run.updating(configuration)
    try self.init(run, data: data, state: state, group: group)
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
  ///   - group: the processes that train it, of which this is the leader.
  public init(
    creating path: String, configuration: RunConfiguration, tokenizer: any Tokenizer,
    weights: TransformerWeights? = nil,
    data: Corpus? = nil, device: Device = .cpu, group: ProcessGroup = ProcessGroup()
  ) throws {
    try configuration.validate()
    let data =
      try data
      ?? Corpus(
        configuration.data, length: configuration.method.length, tokenizer: tokenizer,
        seed: configuration.training.seed)
    try Self.requireRoom(for: configuration, device: device, group: group)
    let model =
      try weights.map {
        try TransformerWeights(
          configuration.model, parameters: Dictionary(uniqueKeysWithValues: zip($0.names, $0.parameters)),
          device: device)
      } ?? TransformerWeights(configuration.model, seed: configuration.training.seed, device: device)
    let state = try TrainingState(startingFrom: model)
    let run = try RunFolder(creating: path, configuration: configuration, tokenizer: tokenizer, state: state)
    try self.init(run, data: data, state: state, group: group)
  }

  /// One of several processes that train a run which their leader has opened: it reads what that wrote.
  ///
  /// - Parameters:
  ///   - path: the run's folder.
  ///   - device: where to train.
  ///   - group: the processes.
  public init(following path: String, device: Device = .cpu, group: ProcessGroup) throws {
    let run = try RunFolder(opening: path)
    try self.init(run, state: try run.restore(device: device).state, group: group)
  }

  /// Throws unless the processes can share each batch, and have memory for it.
  private static func requireRoom(for configuration: RunConfiguration, device: Device, group: ProcessGroup) throws {
    _ = try configuration.training.microBatches(processes: group.count)
    if device == .cpu { try MemoryShortage.check(configuration, processes: group.count) }
  }

  private init(_ run: RunFolder, data: Corpus, state: TrainingState, group: ProcessGroup) throws {
    // One process writes; the others need no lock.
    self.run = group.isLeader ? try run.locked() : run
    self.data = data
    self.group = group
    _ = try run.configuration.training.microBatches(processes: group.count)
    learner = Learner(state, configuration: run.configuration.training, group: group)
    log = try TrainingLog(self.run, from: state.step, isWriting: group.isLeader)
    validator = Validator(self.run, data.validation, group: group)
  }

  /// Trains until the configured number of steps is reached or `shouldStop` says so, and saves at the end either way. A
  /// step that is stopped between its micro-batches is given up.
  public func train(shouldStop: () -> Bool = { false }, report: (Event) -> Void = { _ in }) throws {
    let training = run.configuration.training
    let microBatches = try training.microBatches(processes: group.count)
    var batches = Batches(data.training, run.configuration)
    var saver = Saver(run, from: learner.step, group: group)
    var meter = ProgressMeter(
      from: learner.step, to: training.steps, tokensOfStep: training.batchSize * run.configuration.method.length)

    func save() throws {
      if try saver.save(learner.state) { report(.saved(step: learner.step)) }
    }

    while learner.step < training.steps {
      let method = try run.method.training(on: learner.noiseRange)
      let update: Learner.Update?
      do {
        update = try learner.update(microBatches: microBatches) { number in
          guard !group.any(shouldStop()) else { return nil }
          return batches.share(
            number * group.count + group.rank, of: microBatches * group.count, step: learner.step, for: method)
        }
      } catch let failure as TrainingDiverged {
        let noted = try saver.save(failure, of: learner.state, batch: batches.sequences(step: learner.step))
        // The first process that fails ends all: the others wait until the leader has written.
        _ = group.any(false)
        throw noted
      }
      guard let update else { break }
      let step = learner.step
      let progress = meter.add(update, step: step)
      report(.step(progress))
      var texts: [String] = []
      var validation: Validation?
      if step % training.validationInterval == 0 || step == training.steps {
        let measured = validator.measure(learner) { report(.validating(step: step, share: $0)) }
        validation = measured
        learner.validationNELBO = measured.nelbo.isFinite ? measured.nelbo : nil
        validator.chooseNoise(learner)
        report(.validated(measured))
        texts = try validator.sampleTexts(learner)
        if !texts.isEmpty { report(.sampled(step: step, texts: texts)) }
      }
      do {
        try log.note(progress, seconds: meter.seconds, validation, texts: texts)
      } catch {
        // What cannot be noted is no reason to lose what was learnt.
        try save()
        throw error
      }
      if validation != nil { meter.pause() }
      if saver.isDue(learner.state) {
        try save()
        meter.pause()
      }
    }
    try save()
  }

  /// Measures the validation sequences.
  public func validate(progress: (_ share: Double) -> Void = { _ in }) -> Validation {
    validator.measure(learner, progress: progress)
  }
}

/// The batches of a run: which sequences each step sees, and what a method makes of them.
///
/// All follows from the seed and the step: a run that goes on, on any number of processes, sees the same.
private struct Batches {
  private let blocks: TokenBlocks
  private let maskToken: Int
  private let seed: UInt64
  private var schedule: BatchSchedule
  /// The blocks of the step that was asked for last: a step across two epochs would draw both their orders each time.
  private var current: (step: Int, chosen: [Int])?

  init(_ blocks: TokenBlocks, _ configuration: RunConfiguration) {
    self.blocks = blocks
    maskToken = configuration.model.maskToken
    seed = configuration.training.seed
    schedule = BatchSchedule(blockCount: blocks.count, batchSize: configuration.training.batchSize, seed: seed)
  }

  /// One of the equal shares of a step's batch.
  mutating func share(_ number: Int, of count: Int, step: Int, for method: any GenerationMethod) -> ScoredBatch {
    let chosen = chosen(step: step)
    let share = BatchShare(number, of: count, contentCounts: chosen.map { blocks.contentCount($0) }) { place in
      PaddedTokens(blocks.block(chosen[place], draw: step), contentCount: blocks.contentCount(chosen[place]))
    }
    return method.trainingBatch(share, maskToken: maskToken, seed: seed, step: step)
  }

  /// The sequences of a step: which blocks of the data they are, and their tokens.
  mutating func sequences(step: Int) -> [(block: Int, tokens: [Int32])] {
    chosen(step: step).map { ($0, Array(blocks.block($0, draw: step))) }
  }

  private mutating func chosen(step: Int) -> [Int] {
    if let current, current.step == step { return current.chosen }
    let chosen = schedule.blocks(step: step)
    current = (step, chosen)
    return chosen
  }
}
