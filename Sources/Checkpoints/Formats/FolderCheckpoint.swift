import EsoLM
import Files
import Foundation
import Runs
import Torch

extension Checkpoint {
  /// A run folder's newest checkpoint.
  init(run path: String) throws {
    let run = try RunFolder(opening: path)
    try run.requireTrainable()
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
    try readConfiguration(in: path)
  }

  /// Takes from a folder's `config.json`, a run's or a Hugging Face folder's, what model it holds. A file that is not
  /// there says nothing.
  mutating func readConfiguration(in folder: String) throws {
    let path = "\(folder)/\(HuggingFaceFolder.configurationName)"
    guard FileManager.default.fileExists(atPath: path) else { return }
    hyperParameters = try JSONFile.read(from: path)
    guard case .object = hyperParameters else { throw FileError("\(path): it is no JSON object") }
    self.folder = folder
    if hyperParameters[RunFolder.formatField] != nil { run = try RunFolder.readConfiguration(path) }
  }
}

extension RunFolder {
  static let formatField = "formatVersion"

  /// Whether a folder is a run's and not a Hugging Face folder, which has a `config.json` too.
  static func isRun(_ path: String) throws -> Bool {
    let configuration = "\(path)/\(configurationName)"
    guard FileManager.default.fileExists(atPath: configuration) else { return false }
    let plain: PlainValue = try JSONFile.read(from: configuration)
    return plain[formatField] != nil
  }
}

extension SafetensorsFile {
  /// Writes stored tensors, reading one after another.
  static func write(_ tensors: [StoredTensor], metadata: [String: String], to path: String) throws {
    let descriptions = tensors.map { (name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    try write(descriptions, metadata: metadata, to: path) { try tensors[$0].tensor() }
  }
}
