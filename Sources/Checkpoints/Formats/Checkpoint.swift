import EsoLM
import Files
import Foundation
import Runs
import Torch

/// A checkpoint of the family, in whichever form it comes: which tensors it holds and what it says of its model. Nothing of
/// it is executed, and its tensors are read only when asked for. What of it would load is found by ``Conversion``.
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
  public private(set) var form: Form
  /// The weights as the last step left them, under the names of `ParameterLayout`, in the file's order.
  public private(set) var weights: [StoredTensor] = []
  /// Tensors that are no weights.
  public private(set) var buffers: [StoredTensor] = []
  /// The weights' moving average, where there is one.
  public private(set) var average: [StoredTensor]?
  /// The average's decay, where the file says it.
  public private(set) var averageDecay: Double?
  /// How many updates the average has seen, where the file says it.
  public private(set) var averageUpdates: Int?
  /// The training step.
  public private(set) var step: Int?
  /// The plain part of what the file says about its training and model.
  public private(set) var hyperParameters: PlainValue = .object([])
  /// What is missing, doubled or contradictory, beside the shapes.
  public private(set) var problems: [String] = []
  /// Where `config.json` and the tokenizer lie.
  private(set) var folder: String?
  /// A run's own configuration.
  private(set) var run: RunConfiguration?

  /// Opens a run folder, a Hugging Face folder, a Lightning checkpoint, a file of `torch.save` or a safetensors file.
  ///
  /// - Parameters:
  ///   - path: the file or folder.
  ///   - field: of a file of `torch.save`, the field that holds the state dictionary, where several do.
  public init(opening path: String, field: String? = nil) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw FileError("cannot read \(path): there is no such file or folder")
    }
    guard Folder.exists(path) else {
      self = try Checkpoint(try MappedFile.read(path), path: path, field: field)
      return
    }
    guard field == nil else { throw FileError("\(path) is a folder, which has no fields; leave out --state-dict") }
    self = try Checkpoint(folder: path)
  }

  // MARK: Files

  /// The field of a bare safetensors file's metadata that holds what `config.json` would, as JSON.
  static let settingsField = "esolm.config"

  /// A file's contents. Files of ours say in their metadata what model they hold; of others the folder may.
  package init(_ data: Data, path: String, field: String? = nil) throws {
    let files = try TensorFiles(data, path: path, field: field, mark: ParameterName.marksNetwork)
    self.path = path
    form = files.torch.map { $0.field == "state_dict" ? Form.lightning : .stateDictionary } ?? .safetensors
    add(files.tensors)
    step = Self.step(files.metadata["step"].flatMap { Int($0) })
    if let text = files.metadata[Self.settingsField] {
      guard let settings = try? JSONFile.decode(PlainValue.self, from: Data(text.utf8)) else {
        throw FileError("\(path): its metadata '\(Self.settingsField)' is no valid JSON")
      }
      hyperParameters = settings
    }
    if let (file, field) = files.torch, field != nil { try readTraining(file) }
    // Of a file with the name that weights have in a model's folder, that folder tells.
    guard hyperParameters == .object([]),
      HuggingFaceFolder.weightNames.contains(where: { "/\(path)".hasSuffix("/\($0)") })
    else { return }
    try readConfiguration(in: Folder.split(path).folder)
  }

  /// What stands beside the state dictionary of a file of `torch.save`.
  private mutating func readTraining(_ file: TorchFile) throws {
    var file = file
    step = Self.step(file.root["global_step"]?.integer)
    // The published code keeps its configuration in one field and what follows from the tokenizer beside it.
    if let parameters = file.root["hyper_parameters"] ?? file.root["config"] {
      hyperParameters = Self.flattened(try file.plain(parameters))
    }
    if let ema = file.root["ema"], let shadows = ema["shadow_params"] { try readAverage(ema, shadows, of: &file) }
  }

  /// Moves the fields of `config` to the top, where the other forms have them.
  private static func flattened(_ parameters: PlainValue) -> PlainValue {
    guard case .object(let fields) = parameters, case .object(let inner) = parameters["config"] else {
      return parameters
    }
    return .object(inner + fields.filter { $0.key != "config" })
  }

  /// The moving average is a list of tensors without names, in the order of the parameters: the state dictionary's,
  /// without buffers. The shapes tell whether that order is right.
  private mutating func readAverage(_ ema: PickleValue, _ shadows: PickleValue, of file: inout TorchFile) throws {
    averageDecay = try ema["decay"].flatMap { try file.plain($0).number }
    averageUpdates = ema["num_updates"]?.integer
    var found: [StoredTensor] = []
    var bytes = 0
    for (number, value) in shadows.items.enumerated() {
      guard let tensor = try file.tensor(value, name: "ema.shadow_params.\(number)") else {
        problems.append("'ema.shadow_params.\(number)' is no tensor")
        return
      }
      guard number < weights.count else { continue }
      try file.count(tensor, &bytes)
      let weight = weights[number]
      if tensor.shape != weight.shape {
        problems.append(
          "moving average: number \(number) has shape \(tensor.shape), expected \(weight.shape) of '\(weight.name)'")
      }
      found.append(tensor.renamed(weight.name))
    }
    let count = shadows.items.reduce(0) { count, _ in count + 1 }
    guard count == weights.count else {
      problems.append("moving average: it has \(count) tensors, expected \(weights.count), one for each weight")
      return
    }
    average = found
  }

  // MARK: Folders

  /// A run folder's newest checkpoint, or a Hugging Face folder, which has a `config.json` too.
  private init(folder path: String) throws {
    guard FileManager.default.fileExists(atPath: "\(path)/\(HuggingFaceFolder.configurationName)") else {
      throw FileError("\(path) is no Hugging Face folder and no run folder: it has no config.json")
    }
    (self.path, form) = (path, .huggingFace)
    try readConfiguration(in: path)
    guard run == nil else {
      try readRun()
      return
    }
    let files = try TensorFiles(folder: path, mark: ParameterName.marksNetwork)
    add(files.tensors)
    problems += files.problems
    step = Self.step(files.metadata["step"].flatMap { Int($0) })
  }

  private mutating func readRun() throws {
    form = .run
    let configuration = try RunFolder(opening: path).configuration
    let folder = "\(path)/\(RunFolder.Choice.latest.rawValue)"
    let manifest = try CheckpointManifest.read(folder)
    func tensors(_ name: String) throws -> [StoredTensor] {
      try SafetensorsFile(contentsOf: try manifest.verified(name, in: folder)).storedTensors
    }
    step = manifest.step
    if configuration.rounding != nil {
      weights = try tensors(RunFolder.RoundedWeights.fileName)
    } else {
      add(try tensors(Weights.model.fileName))
      average = try tensors(Weights.average.fileName)
      averageDecay = configuration.training.emaDecay
    }
  }

  /// Takes from a folder's `config.json`, a run's or a Hugging Face folder's, what model it holds. A file that is not
  /// there says nothing.
  private mutating func readConfiguration(in folder: String) throws {
    let path = "\(folder)/\(HuggingFaceFolder.configurationName)"
    guard FileManager.default.fileExists(atPath: path) else { return }
    hyperParameters = try JSONFile.read(from: path)
    guard case .object = hyperParameters else { throw FileError("\(path): it is no JSON object") }
    self.folder = folder
    if hyperParameters["formatVersion"] != nil { run = try RunFolder.readConfiguration(path) }
  }

  /// A training step as a file says it; nil if it can be none.
  static func step(_ step: Int?) -> Int? { step.flatMap { CheckpointManifest.steps.contains($0) ? $0 : nil } }

  // MARK: Tensors

  /// Sorts stored tensors into weights and buffers, by name.
  private mutating func add(_ stored: [StoredTensor]) {
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

  /// What a run folder's weights are rounded to, which then are for sampling and evaluation alone; nil is: they are as they
  /// were trained.
  public var precision: Precision? { run?.rounding?.precision }

  /// Numbers in all weights together. Rounded ones lie beside others in a file, so there the sizes say it.
  public var parameterCount: Int {
    if let run, precision != nil { return ParameterLayout(run.model).count }
    return weights.reduce(0) { $0 + $1.count }
  }
}
