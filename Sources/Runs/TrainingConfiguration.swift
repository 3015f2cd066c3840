import EsoLM
import Settings

/// How a run is trained. A new setting is a field with its default and a line of ``settings``; whoever computes reads the
/// field.
public struct TrainingConfiguration: SettingGroup, Equatable {
  /// Steps of the whole training.
  public var steps = 10_000
  /// Sequences of a step.
  public var batchSize = 32
  /// How many sequences a process computes at a time; the gradients of a step's parts are added up. nil is all that are
  /// its share of the batch.
  public var microBatchSize: Int?
  /// Whether blocks are computed anew for the backward pass, which takes a third more time and much less memory.
  public var recomputes = false
  /// Whether matrix products compute in bfloat16.
  public var bfloat16 = false
  /// The seed of weights, data order, noise and dropout.
  public var seed: UInt64 = 0
  /// The learning rate over the steps.
  public var learningRates = LearningRateSchedule(peak: 3e-4, warmupSteps: 2500)
  /// AdamW's weight decay.
  public var weightDecay = 0.0
  /// The norm that gradients are clipped to.
  public var gradientClip = 1.0
  /// The decay of the weights' moving average; early in training a faster one is used.
  public var emaDecay = 0.9999
  /// Steps between validations.
  public var validationInterval = 500
  /// How many sequences a validation looks at, at most.
  public var validationSequences = 256
  /// How many texts each validation samples.
  public var sampleTexts = 0
  /// Steps between saves.
  public var saveInterval = 500
  /// How many of the newest checkpoints are kept: one to fall back on.
  public var keepLast = 2
  /// Whether the checkpoint with the lowest validation loss is kept too.
  public var keepsBest = false

  /// The usual settings.
  public init() {}

  /// All that can be said of a training.
  public static let settings: [Setting<TrainingConfiguration>] = [
    Setting(\.steps, "steps", help: "Train until this step.", .atLeast(1), mayChange: true),
    Setting(\.batchSize, "batchSize", flag: "batch", help: "Sequences of a step.", .within(1...(1 << 20))),
    Setting(
      \.microBatchSize, "microBatchSize", flag: "micro-batch", valueName: "count",
      help: "Sequences that a process computes at a time; the gradients of a step are added up.",
      usual: "its share of a step",
      .atLeast(1), mayChange: true),
    Setting(
      \.recomputes, "recomputes", flag: "recompute",
      help: "Compute blocks anew for the backward pass: a third more time, much less memory.", mayChange: true),
    Setting(\.bfloat16, "bfloat16", flag: "bf16", help: "Compute matrix products in bfloat16."),
    Setting(\.seed, "seed", help: "The seed of weights, data order, noise and dropout."),
    Setting(
      \.learningRates.peak, "learningRate", valueName: "rate", help: "Learning rate after the warm-up."),
    Setting(
      \.learningRates.warmupSteps, "warmupSteps", flag: "warmup", valueName: "count", help: "Steps of the warm-up.",
      usual: "\(TrainingConfiguration().warmupSteps), at most a tenth of the steps"),
    Setting(
      \.learningRates.decay, "decay",
      help: "How the learning rate falls after the warm-up: constant, cosine, linear or step."),
    Setting(
      \.learningRates.finalShare, "finalShare", valueName: "share",
      help: "Cosine and linear: the last learning rate, as a share of the highest."),
    Setting(
      \.learningRates.interval, "decayInterval", flag: "decay-every", valueName: "steps",
      help: "Step: how many steps have one learning rate."),
    Setting(
      \.learningRates.factor, "decayFactor", valueName: "factor",
      help: "Step: what the learning rate is then multiplied by."),
    Setting(\.weightDecay, "weightDecay", help: "AdamW's weight decay.", .from0),
    Setting(
      \.gradientClip, "gradientClip", flag: "clip", valueName: "norm", help: "Clip gradients to this norm.", .above0),
    Setting(
      \.emaDecay, "emaDecay", flag: "ema", valueName: "decay", help: "Decay of the moving average of weights.", .below1),
    Setting(
      \.validationInterval, "validationInterval", flag: "validate-every", valueName: "steps",
      help: "Validate every so many steps.", .atLeast(1)),
    Setting(
      \.validationSequences, "validationSequences", valueName: "count", help: "Validate on at most so many sequences.",
      .atLeast(1)),
    Setting(
      \.sampleTexts, "sampleTexts", valueName: "count", help: "Sample so many texts at each validation.",
      .within(0...64),
      mayChange: true),
    Setting(
      \.saveInterval, "saveInterval", flag: "save-every", valueName: "steps", help: "Save every so many steps.",
      .atLeast(1), mayChange: true),
    Setting(
      \.keepLast, "keepLast", valueName: "count", help: "Keep this many of the newest checkpoints.", .atLeast(1),
      mayChange: true),
    Setting(
      \.keepsBest, "keepsBest", flag: "keep-best",
      help:
        "Keep the checkpoint with the lowest validation loss too, saved as soon as it is found; `--best` of sample and eval uses it.",
      mayChange: true),
  ]

  /// Reached after the warm-up.
  public var learningRate: Double {
    get { learningRates.peak }
    set { learningRates.peak = newValue }
  }

  /// Steps over which the learning rate rises from 0.
  public var warmupSteps: Int {
    get { learningRates.warmupSteps }
    set { learningRates.warmupSteps = newValue }
  }

  /// In how many parts a process computes its share of a step.
  ///
  /// - Parameter processes: how many share a step.
  /// - Throws: a ``EsoLM/ConfigurationError`` unless every part of every process has equally many sequences.
  public func microBatches(processes: Int) throws -> Int {
    try ConfigurationError.require(
      batchSize % processes == 0, "batchSize", batchSize, expected: "a multiple of \(processes), the processes")
    let share = batchSize / processes
    let size = microBatchSize ?? share
    try ConfigurationError.require(
      share % size == 0, "microBatchSize", size, expected: "a divisor of \(share), the sequences of a process")
    return share / size
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first field that does not fit.
  public func validate() throws {
    try check()
    try learningRates.validate()
    _ = try microBatches(processes: 1)
  }
}

extension LearningRateSchedule.Decay: SettingChoice {}
