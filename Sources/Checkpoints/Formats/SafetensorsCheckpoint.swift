import EsoLM
import Files
import Foundation
import Torch

extension Checkpoint {
  /// The field of a bare safetensors file's metadata that holds what `config.json` would, as JSON.
  static let settingsField = "esolm.config"

  /// A bare safetensors file. Ours say in their metadata what model they hold; others are taken by their shapes.
  init(safetensorsFile path: String) throws {
    let file = try SafetensorsFile(contentsOf: path)
    self.init(path: path, form: .safetensors)
    add(file.storedTensors)
    step = file.metadata["step"].flatMap { Int($0) }
    if let text = file.metadata[Self.settingsField] {
      guard let settings = try? JSONDecoder().decode(PlainValue.self, from: Data(text.utf8)) else {
        throw FileError("\(path): its metadata '\(Self.settingsField)' is no valid JSON")
      }
      hyperParameters = settings
    }
  }

  /// A run folder's newest checkpoint.
  init(run path: String) throws {
    let run = try RunFolder(opening: path)
    self.init(path: path, form: .run)
    let folder = "\(path)/\(RunFolder.Choice.latest.rawValue)"
    let manifest = try CheckpointManifest.read(folder)
    func tensors(_ weights: Weights) throws -> [StoredTensor] {
      try SafetensorsFile(contentsOf: try manifest.verified(weights.fileName, in: folder)).storedTensors
    }
    add(try tensors(.model))
    average = try tensors(.average)
    averageDecay = run.configuration.training.emaDecay
    step = manifest.step
    hyperParameters = run.configuration.settings.plain
  }
}

extension RunFolder {
  /// Whether a folder is a run's and not a Hugging Face folder, which has a `config.json` too.
  static func isRun(_ path: String) throws -> Bool {
    let configuration = "\(path)/\(configurationName)"
    guard FileManager.default.fileExists(atPath: configuration) else { return false }
    let plain: PlainValue = try JSONFile.read(from: configuration)
    return plain["formatVersion"] != nil
  }
}

extension RunConfiguration {
  var settings: ModelSettings { ModelSettings(model, method: method) }
}

extension SafetensorsFile {
  /// Writes stored tensors, reading one after another.
  static func write(_ tensors: [StoredTensor], metadata: [String: String], to path: String) throws {
    let descriptions = tensors.map { (name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    try write(descriptions, metadata: metadata, to: path) { try tensors[$0].tensor() }
  }

  /// The tensors by name.
  var storedTensors: [StoredTensor] {
    entries.sorted { $0.key < $1.key }.map { name, entry in
      StoredTensor(name: name, dtype: entry.dtype, shape: entry.shape) { try tensor(name) }
    }
  }
}
