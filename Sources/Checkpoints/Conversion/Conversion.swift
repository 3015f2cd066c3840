import EsoLM
import Files
import Foundation
import Runs
import Tokenizers
import Torch

/// A checkpoint that fits a network of this package, ready to be written in another form: what the file says of its model,
/// the network whose sizes and tensors agree with that, the tokenizer of its ids and the method that trained it.
public struct Conversion {
  /// The forms that are written.
  public enum Target: String, CaseIterable, Sendable, Codable {
    /// A run folder.
    case run
    /// A Hugging Face folder.
    case huggingFace = "hugging-face"
    /// One safetensors file.
    case safetensors
  }

  /// What is converted.
  public let checkpoint: Checkpoint
  /// All that is known of its model.
  public let settings: ModelSettings
  /// The network that its weights fit.
  public let network: TransformerConfiguration
  /// The method that trained it.
  public let method: MethodConfiguration
  /// What the network's ids stand for: the tokenizer that was given, or the one beside the weights; nil if that is not
  /// there or cannot be it.
  public let tokenizer: (any Tokenizer)?
  /// What is worth knowing about the tokenizer, or about why there is none.
  public let note: String?

  /// Finds out what a checkpoint holds.
  ///
  /// - Parameters:
  ///   - checkpoint: what is to be converted.
  ///   - given: settings that take the place of what the file says.
  ///   - tokenizer: what the network's ids stand for; where nil, what lies beside the weights says it.
  /// - Throws: one error that lists all that is missing, unknown or of another shape; or one that names what the file
  ///   does not say.
  public init(
    _ checkpoint: Checkpoint, given: ModelSettings = .init(), tokenizer: (any Tokenizer)? = nil
  ) throws {
    try self.init(checkpoint, settings: try checkpoint.settings(given: given), given: given, tokenizer: tokenizer)
  }

  init(
    _ checkpoint: Checkpoint, settings: ModelSettings, given: ModelSettings = .init(), tokenizer: (any Tokenizer)? = nil
  ) throws {
    try checkpoint.run?.requireTrainable(at: checkpoint.path)
    self.checkpoint = checkpoint
    let beside = tokenizer == nil ? checkpoint.tokenizerBeside() : .absent
    var settings = settings
    let vocabulary = checkpoint.vocabularySize(settings)
    if settings.maskToken == nil, let candidate = tokenizer ?? beside.tokenizer, let vocabulary {
      settings.maskToken = try candidate.maskToken(ofVocabulary: vocabulary, path: checkpoint.path)
    }
    network = try checkpoint.network(settings)
    try checkpoint.requireFit(network)
    method = try settings.method(for: network, path: checkpoint.path, given: given)
    self.settings = ModelSettings(network, method: method)
    if let tokenizer, !network.fits(tokenizer) { throw network.misfit(of: tokenizer) }
    (self.tokenizer, note) = network.choose(tokenizer.map { .found($0) } ?? beside)
  }
}

// MARK: What would load

extension Checkpoint {
  /// What the file says of its model and method.
  ///
  /// - Parameter given: settings that take the place of what it says.
  /// - Throws: an error naming a setting that cannot be understood, or is of a model that is not computed here.
  public func settings(given: ModelSettings = .init()) throws -> ModelSettings {
    if let run { return given.filled(by: ModelSettings(run.model, method: run.method)) }
    var settings = given
    // Where the times of training were chosen during it, they stand among the tensors.
    if settings.noiseRange == nil, let low = try bound(ParameterName.noiseLow),
      let high = try bound(ParameterName.noiseHigh)
    {
      settings.noiseRange = NoiseRange(clippedFrom: low, to: high)
    }
    return try ModelSettings(published: hyperParameters, given: settings, path: path)
  }

  /// The number that a buffer holds.
  private func bound(_ name: String) throws -> Double? {
    guard let buffer = buffers.first(where: { $0.name == name }), buffer.count == 1, buffer.dtype.isFloatingPoint else {
      return nil
    }
    // The number that was meant, not the nearest one that has 24 bits.
    return try buffer.tensor().to(.float32).array(of: Float.self).first.flatMap { Double("\($0)") }
  }

  /// The network's ids, as the settings say, and where they are silent as the tensors are.
  func vocabularySize(_ settings: ModelSettings) -> Int? {
    let embedded = size(of: ParameterName.embedding, 0)
    // Some configurations count the mask token and some do not; the tensors leave no doubt if they agree.
    return embedded == size(of: "output_layer.linear.weight", 0) ? embedded : settings.vocabularySize ?? embedded
  }

  /// The size of a matrix's dimension; nil if there is no such matrix.
  private func size(of name: String, _ dim: Int) -> Int? {
    weights.first { $0.name == name && $0.shape.count == 2 }?.shape[dim]
  }

  /// The network's sizes: as the settings say, and where they are silent as the tensors are.
  ///
  /// - Throws: an error that names what is neither said nor to be seen, and how to say it.
  public func network(_ settings: ModelSettings) throws -> TransformerConfiguration {
    guard let vocabulary = vocabularySize(settings),
      let hidden = settings.network.hiddenSize ?? size(of: ParameterName.embedding, 1)
    else {
      throw FileError(
        "\(path) holds no network of this family: it has no tensor '\(ParameterName.embedding)' of two dimensions"
          + (weights.first.map { " (it begins with '\($0.name)')" } ?? ""))
    }
    if let said = settings.vocabularySize, said > vocabulary {
      throw FileError("\(path): its configuration names a vocabulary of \(said), its tensors have \(vocabulary) ids")
    }
    let isModulated = weights.contains { $0.name.hasPrefix("sigma_map.") || $0.name.contains("adaLN_modulation") }
    let frequencies = buffers.first { $0.name == ParameterName.frequencies }?.count
    guard let heads = settings.network.numHeads ?? frequencies.flatMap({ $0 > 0 ? hidden / (2 * $0) : nil }) else {
      throw FileError("\(path) does not say how many attention heads its network has; name them with --heads")
    }
    // A configuration may name a conditioning that a network without modulation never had.
    let conditioning = isModulated ? settings.network.conditioningSize ?? size(of: "sigma_map.mlp.0.weight", 0) : nil
    guard !isModulated || conditioning != nil else {
      throw FileError("\(path) has modulated blocks but no 'sigma_map.mlp.0.weight'")
    }
    var configuration = TransformerConfiguration(
      vocabularySize: vocabulary, maskToken: 0, hiddenSize: hidden, numBlocks: settings.network.numBlocks ?? blockCount,
      numHeads: heads, conditioningSize: conditioning)
    if let dropout = settings.network.dropout { configuration.dropout = dropout }
    do {
      // The mask token follows from a vocabulary that is known to be one.
      try configuration.validate()
      configuration.maskToken = settings.maskToken ?? Self.maskToken(vocabularySize: vocabulary)
      try configuration.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(path): \(error)")
    }
    return configuration
  }

  /// The blocks that tensors are named for. A number that no network reaches names none: its tensor is one too many.
  private var blockCount: Int {
    let numbers = weights.compactMap { tensor in
      tensor.name.hasPrefix("blocks.") ? Int(tensor.name.dropFirst("blocks.".count).prefix { $0 != "." }) : nil
    }
    return (numbers.filter { (0..<TransformerConfiguration.maximumBlocks).contains($0) }.max() ?? -1) + 1
  }

  /// bert-base-uncased has a mask token of its own; elsewhere the model's last token is the mask.
  private static func maskToken(vocabularySize: Int) -> Int { vocabularySize == 30522 ? 103 : vocabularySize - 1 }

  /// All that keeps the weights from being loaded, at once: tensors missing, unknown or of another shape or type.
  func problems(for configuration: TransformerConfiguration) -> [String] {
    let sets = [("", weights)] + (average.map { [("moving average: ", $0)] } ?? [])
    return problems
      + sets.flatMap { label, tensors in
        let shapes = Dictionary(tensors.map { ($0.name, $0.shape) }) { first, _ in first }
        let types = tensors.filter { !$0.dtype.isFloatingPoint }
          .map { "'\($0.name)' holds \($0.dtype.rawValue), expected floating-point numbers" }
        return (ParameterMismatch.problems(shapes, for: configuration) + types).map { label + $0 }
      }
  }

  /// Throws one error with all problems, if there are any.
  func requireFit(_ configuration: TransformerConfiguration) throws {
    let problems = problems(for: configuration)
    guard problems.isEmpty else { throw CheckpointMisfit(path: path, problems: problems) }
  }

  /// The network with the weights asked for.
  public func model(
    _ configuration: TransformerConfiguration, _ which: Weights = .average, device: Device = .cpu
  ) throws -> TransformerWeights {
    try requireFit(configuration)
    let stored = Dictionary(uniqueKeysWithValues: tensors(which).map { ($0.name, $0) })
    return try TransformerWeights(configuration, shapes: stored.mapValues(\.shape), device: device) { name in
      try stored[name]!.tensor()
    }
  }
}

/// All that keeps a checkpoint's weights from being those of the network that they should be.
public struct CheckpointMisfit: Error, CustomStringConvertible {
  /// The file or folder.
  public let path: String
  /// What does not fit, a line each.
  public let problems: [String]

  public var description: String {
    "\(path): the weights do not fit the configuration: \(problems.joined(separator: "; "))"
  }
}

// MARK: The tokenizer

// Which tokenizer a network's ids belong to.
//
// A network has an id for each token of its tokenizer and for the mask token. It may have more, which no token has, where
// its vocabulary was padded to a size that computes faster. Its distribution stays what it is: such ids are drawn
// as often as the network says, which was trained never to, and each is written as U+FFFD, as every tokenizer writes what
// is none of its ids.

/// What lies beside a checkpoint's weights.
enum TokenizerBeside {
  case found(any Tokenizer)
  case unreadable(String)
  case absent

  var tokenizer: (any Tokenizer)? { if case .found(let tokenizer) = self { tokenizer } else { nil } }
}

extension Checkpoint {
  func tokenizerBeside() -> TokenizerBeside {
    guard let folder, TokenizerFile.names.contains(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)") })
    else { return .absent }
    do {
      return .found(try TokenizerFile.tokenizer(at: folder))
    } catch {
      return .unreadable("\(error)")
    }
  }
}

extension Tokenizer {
  /// The mask token of a model with this tokenizer and so many ids; nil if this cannot be its tokenizer.
  ///
  /// - Throws: an error that asks for it where the vocabulary is padded and the tokenizer names none.
  func maskToken(ofVocabulary size: Int, path: String) throws -> Int? {
    guard modelVocabularySize < size else { return modelVocabularySize == size ? modelMaskToken : nil }
    if let maskToken { return Int(maskToken) }
    throw FileError(
      "\(path): its vocabulary has \(size) ids and the tokenizer \(vocabularySize) tokens; name the mask token's id "
        + "with --mask-token (\(vocabularySize) is the first that no token has)")
  }
}

extension TransformerConfiguration {
  func misfit(of tokenizer: any Tokenizer) -> FileError {
    FileError(
      "the tokenizer makes a vocabulary of \(tokenizer.modelVocabularySize) with the mask token "
        + "\(tokenizer.modelMaskToken), expected \(vocabularySize) and \(maskToken)")
  }

  /// The tokenizer if it can be the network's, and what there is to say of it.
  func choose(_ beside: TokenizerBeside) -> (tokenizer: (any Tokenizer)?, note: String?) {
    switch beside {
    case .absent: return (nil, nil)
    case .unreadable(let reason): return (nil, "no tokenizer was found that can be read: \(reason)")
    case .found(let tokenizer):
      guard fits(tokenizer) else {
        return (nil, "the tokenizer beside the weights is left out: \(misfit(of: tokenizer))")
      }
      guard tokenizer.modelVocabularySize < vocabularySize else { return (tokenizer, nil) }
      return (
        tokenizer,
        "the vocabulary of \(vocabularySize) ids is larger than the tokenizer's \(tokenizer.vocabularySize) tokens; "
          + "ids that no token has are written as \u{FFFD}"
      )
    }
  }
}
