import Files
import Foundation
import Torch

/// The tensors of a file, or of a model's folder, under their stored names, in whichever form they come. All that reads
/// weights which others wrote reads them here.
public struct TensorFiles {
  /// The tensors of all files, in their order.
  public private(set) var tensors: [StoredTensor] = []
  /// What a safetensors file says beside its tensors.
  public private(set) var metadata: [String: String] = [:]
  /// The file of `torch.save` that holds the tensors, and the field of it; nil is the file itself.
  private(set) var torch: (file: TorchFile, field: String?)?
  /// What an index says and no file holds.
  public private(set) var problems: [String] = []

  /// Tells by its name a tensor that a dictionary holds if it is the right one of several.
  public typealias Mark = (_ name: String) -> Bool

  /// The tensors of a folder with the weights whole or in several files that an index names.
  public init(folder: String, mark: Mark) throws {
    let names = HuggingFaceFolder.weightNames
    guard let name = names.first(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }) else {
      throw FileError("\(folder) holds no weights: none of \(names.joined(separator: ", "))")
    }
    guard name.hasSuffix(".json") else {
      self = try TensorFiles(contentsOf: "\(folder)/\(name)", mark: mark)
      return
    }
    let indexPath = "\(folder)/\(name)"
    let index: HuggingFaceFolder.Index = try JSONFile.read(from: indexPath)
    let byFile = Dictionary(grouping: index.weightMap.keys.sorted()) { index.weightMap[$0]! }
    for file in try index.files(path: indexPath) {
      // A part need not hold the tensor that marks the whole.
      let held = try TensorFiles(contentsOf: "\(folder)/\(file)") { _ in true }.tensors
      let byName = Dictionary(held.map { ($0.name, $0) }) { first, _ in first }
      for tensor in byFile[file]! {
        if let found = byName[tensor] {
          tensors.append(found)
        } else {
          problems.append("'\(tensor)' is not in \(file), where \(name) says")
        }
      }
    }
  }

  /// The tensors of one file.
  public init(contentsOf path: String, mark: Mark) throws {
    try self.init(try MappedFile.read(path), path: path, mark: mark)
  }

  /// The tensors of a file's contents, which say by their first bytes what they are.
  ///
  /// - Parameters:
  ///   - path: the file, for messages.
  ///   - field: of a file of `torch.save`, the field that holds the tensors, where several do.
  /// - Throws: an error that says what the file is instead, as far as that can be told.
  init(_ data: Data, path: String, field: String? = nil, mark: Mark) throws {
    if ZipArchive.isZip(data) || TorchFile.isLegacy(data) {
      var file = try TorchFile(data, path: path)
      let (held, entries) = try file.stateDictionary(field: field, mark: mark)
      tensors = try file.tensors(entries)
      torch = (file, held)
    } else if path.hasSuffix(".safetensors") || FileKind(beginning: data.prefix(FileKind.byteCount)) == .safetensors {
      guard field == nil else {
        throw FileError("\(path) is a safetensors file, which has no fields; leave out --state-dict")
      }
      let file = try SafetensorsFile(data, path: path)
      tensors = file.storedTensors
      metadata = file.metadata
    } else {
      let expected = "a file of torch.save (a zip archive) or a safetensors file"
      throw FileKind.mistake(path, beginning: data, expected: expected)
        ?? FileError(data.isEmpty ? "\(path) is empty, expected \(expected)" : "\(path) is not \(expected)")
    }
  }
}
