import EsoLM
import Files
import Foundation
import Torch

/// A model as the Hugging Face hub keeps them: a folder with `config.json` and the weights, whole or in several files that
/// an index names.
public enum HuggingFaceFolder {
  static let configurationName = "config.json"
  static let weightsName = "model.safetensors"
  static let indexName = "model.safetensors.index.json"
  static let torchName = "pytorch_model.bin"
  static let torchIndexName = "pytorch_model.bin.index.json"

  /// The names of weight files and indices, in the order in which they are preferred.
  public static let weightNames = [weightsName, indexName, torchName, torchIndexName]

  /// An index: which file holds which tensor.
  public struct Index: Decodable {
    /// The file of each tensor, by the tensor's name.
    public var weightMap: [String: String]

    enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }

    /// The files that it names.
    ///
    /// - Throws: an error if a name could reach outside the folder.
    public func files(path: String) throws -> [String] {
      for (tensor, file) in weightMap where !HuggingFaceFolder.isPlainName(file) {
        throw FileError("\(path): field 'weight_map.\(tensor)' is '\(file)', expected a file's name in the same folder")
      }
      return Set(weightMap.values).sorted()
    }
  }

  /// Whether a name stands for a file in a folder itself.
  static func isPlainName(_ name: String) -> Bool {
    !name.isEmpty && !name.hasPrefix(".") && !name.contains("/") && !name.contains("\\") && !name.contains("\0")
  }

  /// Writes a model into a new folder, under the names of the published classes, with `backbone.` before each.
  ///
  /// - Parameters:
  ///   - tensors: every weight of the network, checked to fit it.
  ///   - files: further files by name, as a tokenizer's.
  static func write(
    _ tensors: [StoredTensor], network: TransformerConfiguration, settings: ModelSettings, step: Int?,
    files: [(name: String, data: Data)], to path: String
  ) throws {
    // The published classes keep the rotary frequencies as a buffer and miss it when it is not there.
    let half = network.headSize / 2
    let frequencies = (0..<half).map { 1 / powf(10000, Float(2 * $0) / Float(network.headSize)) }
    let buffer = StoredTensor(name: ParameterName.frequencies, dtype: .float32, shape: [half]) { Tensor(frequencies) }
    try FolderDraft.write(to: path) { draft in
      var metadata = ["format": "pt"]
      if let step { metadata["step"] = "\(step)" }
      let named = (tensors + [buffer]).map { $0.renamed("backbone.\($0.name)") }
      try SafetensorsFile.write(reading: named, metadata: metadata, to: "\(draft)/\(weightsName)")
      for (name, data) in files { try AtomicFile.write(data, to: "\(draft)/\(name)") }
      try JSONFile.write(settings.plain, to: "\(draft)/\(configurationName)")
    }
  }
}
