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
      try SafetensorsFile.write(named, metadata: metadata, to: "\(draft)/\(weightsName)")
      for (name, data) in files { try AtomicFile.write(data, to: "\(draft)/\(name)") }
      try JSONFile.write(settings.plain, to: "\(draft)/\(configurationName)")
    }
  }
}

extension Checkpoint {
  init(huggingFaceFolder path: String) throws {
    self.init(path: path, form: .huggingFace)
    let files = FileManager.default
    let configuration = "\(path)/\(HuggingFaceFolder.configurationName)"
    guard files.fileExists(atPath: configuration) else {
      throw FileError("\(path) is no Hugging Face folder and no run folder: it has no config.json")
    }
    hyperParameters = try JSONFile.read(from: configuration)
    guard case .object = hyperParameters else { throw FileError("\(configuration): it is no JSON object") }
    let present = HuggingFaceFolder.weightNames.first { files.fileExists(atPath: "\(path)/\($0)") }
    switch present {
    case HuggingFaceFolder.weightsName?:
      let file = try SafetensorsFile(contentsOf: "\(path)/\(HuggingFaceFolder.weightsName)")
      step = file.metadata["step"].flatMap { Int($0) }
      add(file.storedTensors)
    case HuggingFaceFolder.torchName?:
      add(try TorchFile.stateDictionary(contentsOf: "\(path)/\(HuggingFaceFolder.torchName)"))
    case let index?:
      try addShards(of: "\(path)/\(index)", in: path)
    case nil:
      throw FileError("\(path) holds no weights: none of \(HuggingFaceFolder.weightNames.joined(separator: ", "))")
    }
  }

  private mutating func addShards(of indexPath: String, in folder: String) throws {
    let index: HuggingFaceFolder.Index = try JSONFile.read(from: indexPath)
    for name in try index.files(path: indexPath) {
      let path = "\(folder)/\(name)"
      let held =
        name.hasSuffix(".safetensors")
        ? try SafetensorsFile(contentsOf: path).storedTensors : try TorchFile.stateDictionary(contentsOf: path)
      let wanted = index.weightMap.filter { $0.value == name }.keys.sorted()
      let byName = Dictionary(held.map { ($0.name, $0) }) { first, _ in first }
      for tensor in wanted where byName[tensor] == nil {
        problems.append("'\(tensor)' is not in \(name), where \((indexPath as NSString).lastPathComponent) says")
      }
      add(wanted.compactMap { byName[$0] })
    }
  }
}
