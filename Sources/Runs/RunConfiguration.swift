import EsoLM
import Files
import Settings
import Tokenizers
import Torch

/// Everything that determines a run, in one typed value: `config.json` of a run folder.
///
/// The file has the keys of ``RunSettings``, and beside them what the data decided: the vocabulary and a fingerprint.
/// `StoredRun` reads and writes it.
public struct RunConfiguration: Codable, Sendable, Equatable {
  /// The version of `config.json` that is written now.
  public static let currentFormat = 2

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
  public struct Rounding: Sendable, Equatable {
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

  /// Throws where the weights of the folder at `path` are only good for sampling and evaluation.
  package func requireTrainable(at path: String) throws {
    guard let rounding else { return }
    throw FileError(
      "\(path) holds weights in \(rounding.precision.rawValue), for sampling and evaluation; to train or convert, use the "
        + "run that it was made of, \(rounding.run)")
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
      method.alpha0.map { [0, 1].contains($0) } ?? true || method.objective == .anyOrder || training.batchSize >= 2,
      "batchSize", training.batchSize,
      expected: "at least 2 where 0 < alpha0 < 1, since a batch is split between two terms")
    try ConfigurationError.require(
      !method.algorithm.isModulated || model.conditioningSize != nil, "conditioningSize", "missing",
      expected: "a size, except for algorithms without adaptive norms")
  }
}
