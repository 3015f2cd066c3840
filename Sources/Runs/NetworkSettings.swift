import EsoLM
import Settings
import Tokenizers

/// The network's sizes, as they are asked for. What holds where none are given is the asker's to say.
public struct NetworkSettings: SettingGroup, Equatable {
  /// A named size.
  public var size: TransformerConfiguration.Size?
  /// The width of the residual stream.
  public var hiddenSize: Int?
  /// The number of blocks.
  public var numBlocks: Int?
  /// The number of attention heads.
  public var numHeads: Int?
  /// The width of the conditioning.
  public var conditioningSize: Int?
  /// The chance of dropout in training.
  public var dropout: Double?

  /// Nothing is said.
  public init() {}

  /// All that can be said of the network.
  public static let settings: [Setting<NetworkSettings>] = [
    Setting(
      \.size, "size", flag: "model", help: "A named size: tiny, small (the paper's) or medium."),
    Setting(\.hiddenSize, "hiddenSize", valueName: "d", help: "Width of the network."),
    Setting(\.numBlocks, "numBlocks", flag: "blocks", valueName: "count", help: "Transformer blocks."),
    Setting(\.numHeads, "numHeads", flag: "heads", valueName: "count", help: "Attention heads."),
    Setting(\.conditioningSize, "conditioningSize", valueName: "d", help: "Width of the conditioning."),
    Setting(\.dropout, "dropout", help: "Chance of dropout."),
  ]

  /// The sizes of a network that there is.
  ///
  /// - Parameter network: the network.
  public init(_ network: TransformerConfiguration) {
    (hiddenSize, numBlocks, numHeads) = (network.hiddenSize, network.numBlocks, network.numHeads)
    (conditioningSize, dropout) = (network.conditioningSize, network.dropout)
  }

  /// The network of what is said, and where nothing is, of another; a named size says nothing about dropout.
  ///
  /// - Parameters:
  ///   - tokenizer: what the network reads and writes.
  ///   - network: the other; nil is the one named tiny.
  public func configuration(
    for tokenizer: some Tokenizer, else network: TransformerConfiguration? = nil
  ) -> TransformerConfiguration {
    let vocabularySize = tokenizer.modelVocabularySize
    let network = network ?? TransformerConfiguration(.tiny, vocabularySize: vocabularySize)
    var configuration = size.map { TransformerConfiguration($0, vocabularySize: vocabularySize) } ?? network
    configuration.maskToken = tokenizer.modelMaskToken
    configuration.dropout = network.dropout
    if let hiddenSize { configuration.hiddenSize = hiddenSize }
    if let numBlocks { configuration.numBlocks = numBlocks }
    if let numHeads { configuration.numHeads = numHeads }
    if let conditioningSize { configuration.conditioningSize = conditioningSize }
    if let dropout { configuration.dropout = dropout }
    return configuration
  }

  /// The sizes of weights that there are already.
  ///
  /// - Parameters:
  ///   - given: what was said; of sizes only what the weights have.
  ///   - network: theirs.
  /// - Throws: `SettingError` naming the first size that the weights do not have.
  public static func configuration(
    _ given: GivenSettings, startingFrom network: TransformerConfiguration
  ) throws -> TransformerConfiguration {
    var said = NetworkSettings()
    try given.apply(to: &said, under: "model")
    var own = NetworkSettings(network)
    own.size = TransformerConfiguration.Size.allCases.first {
      let named = TransformerConfiguration($0, vocabularySize: network.vocabularySize)
      return (named.hiddenSize, named.numBlocks, named.numHeads) == (own.hiddenSize, own.numBlocks, own.numHeads)
    }
    own.dropout = said.dropout ?? own.dropout
    let values = Dictionary(own.values.map { ($0.key, $0.value) }) { $1 }
    for (key, value) in said.values where values[key] != value {
      try given.locating(RunSettings.self) {
        throw ConfigurationError(
          field: key, found: value.plainText,
          expected: "\(values[key]?.plainText ?? "none"): the weights to start from have their own sizes, only dropout "
            + "can be another (esolm convert makes a run of weights that do not say theirs)"
        )
      }
    }
    var configuration = network
    configuration.dropout = own.dropout ?? network.dropout
    return configuration
  }
}

extension TransformerConfiguration.Size: SettingChoice {}

extension TransformerConfiguration {
  /// All that a run's file says of its network.
  static let settings: [Setting<TransformerConfiguration>] = [
    Setting(\.vocabularySize, "vocabularySize", help: "Tokens including the mask token."),
    Setting(\.maskToken, "maskToken", help: "The id of the mask token."),
    Setting(\.hiddenSize, "hiddenSize", help: "Width of the network."),
    Setting(\.numBlocks, "numBlocks", help: "Transformer blocks."),
    Setting(\.numHeads, "numHeads", help: "Attention heads."),
    Setting(\.conditioningSize, "conditioningSize", help: "Width of the conditioning."),
    Setting(\.dropout, "dropout", help: "Chance of dropout."),
  ]
}
