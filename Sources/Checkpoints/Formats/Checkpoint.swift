import EsoLM
import Files
import Foundation
import Runs
import Torch

/// A checkpoint of the family, in whichever form it comes: which tensors it holds, what it says of its model, and what
/// of both would load. Nothing of it is executed, and its tensors are read only when asked for.
public struct Checkpoint {
  /// The forms that are read.
  public enum Form: String, Sendable, Codable {
    /// A run folder of this package.
    case run
    /// A folder with `config.json` and safetensors files.
    case huggingFace = "hugging-face"
    /// A checkpoint of PyTorch Lightning.
    case lightning
    /// A file of `torch.save` that holds a state dictionary.
    case stateDictionary = "state-dict"
    /// One safetensors file.
    case safetensors
  }

  /// The file or folder.
  public let path: String
  /// In which form it is.
  public let form: Form
  /// The weights as the last step left them, under the names of `ParameterLayout`, in the file's order.
  public internal(set) var weights: [StoredTensor] = []
  /// Tensors that are no weights.
  public internal(set) var buffers: [StoredTensor] = []
  /// The weights' moving average, where there is one.
  public internal(set) var average: [StoredTensor]?
  /// The average's decay, where the file says it.
  public internal(set) var averageDecay: Double?
  /// How many updates the average has seen, where the file says it.
  public internal(set) var averageUpdates: Int?
  /// The training step.
  public internal(set) var step: Int?
  /// The plain part of what the file says about its training and model.
  public internal(set) var hyperParameters: PlainValue = .object([])
  /// What is missing, doubled or contradictory, beside the shapes.
  public internal(set) var problems: [String] = []
  /// Where `config.json` and the tokenizer lie.
  var folder: String?
  /// A run's own configuration.
  var run: RunConfiguration?

  init(path: String, form: Form) {
    self.path = path
    self.form = form
  }

  /// Opens a run folder, a Hugging Face folder, a Lightning checkpoint, a file of `torch.save` or a safetensors file.
  ///
  /// - Parameters:
  ///   - path: the file or folder.
  ///   - field: of a file of `torch.save`, the field that holds the state dictionary, where several do.
  public init(opening path: String, field: String? = nil) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw FileError("cannot read \(path): there is no such file or folder")
    }
    guard isFolder.boolValue else {
      self = try Checkpoint(weightsFile: path, field: field)
      return
    }
    guard field == nil else { throw FileError("\(path) is a folder, which has no fields; leave out --state-dict") }
    self = try RunFolder.isRun(path) ? Checkpoint(run: path) : Checkpoint(huggingFaceFolder: path)
  }

  /// The field of a bare safetensors file's metadata that holds what `config.json` would, as JSON.
  static let settingsField = "esolm.config"

  /// A bare file of weights. Ours say in their metadata what model they hold; of others the folder may.
  init(weightsFile path: String, field: String?) throws {
    switch try TensorFiles.Form(ofFile: path) {
    case .torch:
      self = try Checkpoint(TorchFile(contentsOf: path), field: field)
    case .safetensors:
      guard field == nil else {
        throw FileError("\(path) is a safetensors file, which has no fields; leave out --state-dict")
      }
      self.init(path: path, form: .safetensors)
      let file = try TensorFiles(contentsOf: path, mark: ParameterName.marksNetwork)
      add(file.tensors)
      step = Self.step(file.metadata["step"].flatMap { Int($0) })
      if let text = file.metadata[Self.settingsField] {
        guard let settings = try? JSONFile.decode(PlainValue.self, from: Data(text.utf8)) else {
          throw FileError("\(path): its metadata '\(Self.settingsField)' is no valid JSON")
        }
        hyperParameters = settings
      }
    }
    // Of a file with the name that weights have in a model's folder, that folder tells.
    guard hyperParameters == .object([]),
      HuggingFaceFolder.weightNames.contains(where: { "/\(path)".hasSuffix("/\($0)") })
    else { return }
    try readConfiguration(in: Folder.split(path).folder)
  }

  /// A training step as a file says it; nil if it can be none.
  static func step(_ step: Int?) -> Int? { step.flatMap { CheckpointManifest.steps.contains($0) ? $0 : nil } }

  // MARK: Tensors

  /// Sorts stored tensors into weights and buffers, by name.
  mutating func add(_ stored: [StoredTensor]) {
    var known = Set(weights.map(\.name))
    for tensor in stored {
      switch ParameterName(stored: tensor.name) {
      case .buffer(let name): buffers.append(tensor.renamed(name))
      case .parameter(let name):
        if known.insert(name).inserted {
          weights.append(tensor.renamed(name))
        } else {
          problems.append("'\(tensor.name)' is there twice, with and without a prefix")
        }
      }
    }
  }

  /// Which of a checkpoint's weights.
  public typealias Weights = RunFolder.Weights

  /// The weights asked for; the last step's where there is no average.
  public func tensors(_ which: Weights) -> [StoredTensor] { which == .average ? average ?? weights : weights }

  /// Numbers in all weights together.
  public var parameterCount: Int { weights.reduce(0) { $0 + $1.count } }

  // MARK: What would load

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
      let hidden = settings.hiddenSize ?? size(of: ParameterName.embedding, 1)
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
    guard let heads = settings.numHeads ?? frequencies.flatMap({ $0 > 0 ? hidden / (2 * $0) : nil }) else {
      throw FileError("\(path) does not say how many attention heads its network has; name them with --heads")
    }
    // A configuration may name a conditioning that a network without modulation never had.
    let conditioning = isModulated ? settings.conditioningSize ?? size(of: "sigma_map.mlp.0.weight", 0) : nil
    guard !isModulated || conditioning != nil else {
      throw FileError("\(path) has modulated blocks but no 'sigma_map.mlp.0.weight'")
    }
    var configuration = TransformerConfiguration(
      vocabularySize: vocabulary, maskToken: 0, hiddenSize: hidden, numBlocks: settings.numBlocks ?? blockCount,
      numHeads: heads, conditioningSize: conditioning, dropout: settings.dropout ?? 0.1)
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
