import EsoLM
import Settings
import Tokenizers

/// All that can be said of a run before it starts: what files, overrides and flags of `esolm train` fill.
public struct RunSettings: SettingGroup {
  /// What is trained.
  public var method = MethodSettings()
  /// The network's sizes.
  public var model = NetworkSettings()
  /// What it is trained on.
  public var data = DataSettings()
  /// How it is trained.
  public var training = TrainingConfiguration()

  /// The usual run.
  public init() {}

  /// All settings in their groups.
  public static let settings: [Setting<RunSettings>] =
    MethodSettings.settings.under("method", \.method) + NetworkSettings.settings.under("model", \.model)
    + TrainingConfiguration.settings.under("training", \.training) + DataSettings.settings.under("data", \.data)

  /// The settings of what was said, and where nothing was said the usual ones, or those of weights to start from.
  ///
  /// - Parameters:
  ///   - given: what was said.
  ///   - length: tokens of a sequence where nothing is said of it: those of a data set; nil is as usual.
  ///   - start: method and network of the weights to start from.
  /// - Throws: `SettingError` naming the first setting that does not fit, also where two disagree.
  public init(
    _ given: GivenSettings, usualLength length: Int? = nil,
    startingFrom start: (method: MethodConfiguration, network: TransformerConfiguration)? = nil
  ) throws {
    self.init()
    try given.apply(to: &self)
    if given["method.length"] == nil, let length = length ?? start?.method.length {
      method.configuration.length = length
    }
    method = try MethodSettings(given, length: method.configuration.length, startingFrom: start?.method)
    // A short run should not spend itself on warming up.
    if given["training.warmupSteps"] == nil {
      training.warmupSteps = min(training.warmupSteps, training.steps / 10)
    }
    if let start {
      try given.locating(RunSettings.self) {
        try ConfigurationError.require(
          !method.isModulatedAR || start.network.conditioningSize != nil, "adaln", "true",
          expected: "none: the weights to start from have no adaptive norms")
      }
      model = NetworkSettings(try NetworkSettings.configuration(given, startingFrom: start.network))
    } else {
      let isConditioned = method.isModulated || model.conditioningSize != nil
      // The vocabulary is no matter here.
      model = NetworkSettings(model.configuration(for: ByteTokenizer()))
      if !isConditioned { model.conditioningSize = nil }
    }
  }

  /// The run of these settings.
  ///
  /// - Parameters:
  ///   - tokenizer: what makes tokens of its text.
  ///   - source: where its text is.
  ///   - network: that of the weights to start from, whose vocabulary it keeps.
  /// - Throws: a ``EsoLM/ConfigurationError`` naming the first field that does not fit.
  public func configuration(
    _ tokenizer: some Tokenizer, source: DataConfiguration.Source, startingFrom network: TransformerConfiguration? = nil
  ) throws -> RunConfiguration {
    var sizes = model.configuration(for: tokenizer, else: network)
    if let network {
      (sizes.vocabularySize, sizes.maskToken) = (network.vocabularySize, network.maskToken)
    }
    sizes.conditioningSize = model.conditioningSize
    let configuration = RunConfiguration(
      method: method.configuration, model: sizes,
      data: DataConfiguration(source: source, validationFraction: data.validationFraction), training: training)
    try configuration.validate()
    return configuration
  }
}
