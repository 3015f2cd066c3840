import Corpora
import EsoLM
import Tokenizers
import Torch

/// Everything that determines a run, in one typed value: `config.json` of a run folder.
public struct RunConfiguration: Codable, Sendable, Equatable {
  /// The version of `config.json` that is written now.
  public static let currentFormat = 1

  /// The version of its `config.json`.
  public var formatVersion = RunConfiguration.currentFormat
  /// What is trained: the method and its options.
  public var method: MethodConfiguration
  /// The sizes of the network.
  public var model: TransformerConfiguration
  /// What it is trained on.
  public var data: DataConfiguration
  /// How it is trained.
  public var training: TrainingConfiguration
  /// The tokenizer's ids, where the vocabulary was padded and has more than those and a mask token. nil is: all.
  public var tokenCount: Int?
  /// What a folder's weights were rounded to, and from which run: it is for sampling and evaluation alone. nil is: they are as
  /// they were trained.
  public var rounding: Rounding?

  /// How and of what a folder of rounded weights was made.
  public struct Rounding: Codable, Sendable, Equatable {
    /// How its matrices are kept.
    public var precision: Precision
    /// The run that they are of.
    public var run: String
  }

  /// A configuration by its parts; ``validate()`` says whether they fit.
  public init(
    method: MethodConfiguration, model: TransformerConfiguration, data: DataConfiguration,
    training: TrainingConfiguration
  ) {
    self.method = method
    self.model = model
    self.data = data
    self.training = training
  }

  /// The same configuration, saying of a tokenizer that is smaller than the vocabulary how large it is.
  package func matching(_ tokenizer: any Tokenizer) -> RunConfiguration {
    var configuration = self
    let isPadded = tokenizer.modelVocabularySize < model.vocabularySize
    configuration.tokenCount = isPadded ? tokenizer.vocabularySize : nil
    return configuration
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first field that does not fit, also where two fields disagree.
  public func validate() throws {
    try ConfigurationError.require(
      formatVersion == Self.currentFormat, "formatVersion", formatVersion, expected: "\(Self.currentFormat)")
    try model.validate()
    try method.validate()
    try data.validate()
    try training.validate()
    try ConfigurationError.require(
      rounding?.precision != .float32, "rounding.precision", "float32", expected: "bf16 or int8")
    try ConfigurationError.require(
      method.alpha0.map { [0, 1].contains($0) } ?? true || training.batchSize >= 2, "batchSize", training.batchSize,
      expected: "at least 2 where 0 < alpha0 < 1, since a batch is split between two terms")
    try ConfigurationError.require(
      !method.algorithm.isModulated || model.conditioningSize != nil, "conditioningSize", "missing",
      expected: "a size, except for algorithms without adaptive norms")
  }
}

/// What a run is trained on.
public struct DataConfiguration: Codable, Sendable, Equatable {
  /// Where sequences come from.
  public enum Source: Codable, Sendable, Equatable {
    /// A text file, as runs of earlier versions name it; the fingerprint tells whether it changed since.
    case file(path: String, fingerprint: String)
    /// A corpus in token files; the fingerprint tells whether its tokens changed since.
    case corpus(CorpusConfiguration, fingerprint: String)
    /// The toy language: so many sequences from its own seed.
    case toyLanguage(sequences: Int, seed: UInt64)
    /// None: the weights were converted from a file that somebody else trained.
    case converted(from: String)
  }

  /// Where the sequences come from.
  public var source: Source
  /// The share of sequences kept for validation.
  public var validationFraction: Double

  /// Data by their source.
  public init(source: Source, validationFraction: Double = 0.1) {
    self.source = source
    self.validationFraction = validationFraction
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first field that does not fit.
  public func validate() throws {
    try ConfigurationError.require(
      validationFraction > 0 && validationFraction < 1, "validationFraction", validationFraction,
      expected: "a number between 0 and 1")
    guard case .toyLanguage(let sequences, _) = source else { return }
    try ConfigurationError.require(
      (2...(1 << 28)).contains(sequences), "sequences", sequences, expected: "2 to \(1 << 28)")
  }
}

/// How a run is trained.
public struct TrainingConfiguration: Codable, Sendable, Equatable {
  /// Steps of the whole training.
  public var steps = 10_000
  /// Sequences of a step.
  public var batchSize = 32
  /// The seed of weights, data order, noise and dropout.
  public var seed: UInt64 = 0
  /// Reached after the warm-up and constant from then on.
  public var learningRate = 3e-4
  /// Steps over which the learning rate rises from 0.
  public var warmupSteps = 2500
  /// AdamW's weight decay.
  public var weightDecay = 0.0
  /// The norm that gradients are clipped to.
  public var gradientClip = 1.0
  /// The decay of the weights' moving average; early in training a faster one is used.
  public var emaDecay = 0.9999
  /// Whether matrix products compute in bfloat16.
  public var bfloat16 = false
  /// How many sequences a process computes at a time; the gradients of a step's parts are added up. nil is all that are
  /// its share of the batch.
  public var microBatchSize: Int?
  /// Whether blocks are computed anew for the backward pass, which takes a third more time and much less memory. nil is
  /// no.
  public var recomputes: Bool?
  /// How the learning rate falls after the warm-up. nil is not at all.
  public var decay: LearningRateSchedule.Decay?
  /// The last rate of a cosine or linear decay, as a share of the highest. nil is 0.
  public var finalShare: Double?
  /// Steps that have one rate where it falls by steps. nil is 1000.
  public var decayInterval: Int?
  /// What it is then multiplied by. nil is 0.5.
  public var decayFactor: Double?
  /// How many texts each validation samples. nil is none.
  public var sampleTexts: Int?
  /// Steps between validations.
  public var validationInterval = 500
  /// How many sequences a validation looks at, at most.
  public var validationSequences = 256
  /// Steps between saves.
  public var saveInterval = 500
  /// How many of the newest checkpoints are kept. nil is 2: one to fall back on.
  public var keepLast: Int?
  /// Whether the checkpoint with the lowest validation loss is kept too. nil is no.
  public var keepsBest: Bool?

  static let usualKeepLast = 2

  /// The usual settings.
  public init() {}

  /// The learning rate over the steps.
  public var learningRates: LearningRateSchedule {
    var schedule = LearningRateSchedule(peak: learningRate)
    schedule.warmupSteps = warmupSteps
    if let decay { schedule.decay = decay }
    if let finalShare { schedule.finalShare = finalShare }
    if let decayInterval { schedule.interval = decayInterval }
    if let decayFactor { schedule.factor = decayFactor }
    return schedule
  }

  /// In how many parts a process computes its share of a step.
  ///
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
    func require(_ field: String, _ value: Int, atLeast least: Int) throws {
      try ConfigurationError.require(value >= least, field, value, expected: "at least \(least)")
    }
    try require("steps", steps, atLeast: 1)
    try ConfigurationError.require(
      (1...(1 << 20)).contains(batchSize), "batchSize", batchSize, expected: "1 to \(1 << 20)")
    try learningRates.validate()
    try require("microBatchSize", microBatchSize ?? 1, atLeast: 1)
    _ = try microBatches(processes: 1)
    try ConfigurationError.require(
      (0...64).contains(sampleTexts ?? 0), "sampleTexts", sampleTexts ?? 0, expected: "0 to 64")
    try ConfigurationError.require(
      weightDecay >= 0 && weightDecay.isFinite, "weightDecay", weightDecay, expected: "a number from 0")
    try ConfigurationError.require(gradientClip > 0, "gradientClip", gradientClip, expected: "a number above 0")
    try ConfigurationError.require(
      (0..<1).contains(emaDecay), "emaDecay", emaDecay, expected: "a number from 0 up to, not including, 1")
    try require("validationInterval", validationInterval, atLeast: 1)
    try require("validationSequences", validationSequences, atLeast: 1)
    try require("saveInterval", saveInterval, atLeast: 1)
    try require("keepLast", keepLast ?? 1, atLeast: 1)
  }
}
