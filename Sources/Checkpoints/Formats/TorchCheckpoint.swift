import Files
import Torch

extension Checkpoint {
  /// A Lightning checkpoint, or a bare state dictionary as `torch.save` writes it.
  init(torchFile path: String) throws {
    try self.init(TorchFile(contentsOf: path))
  }

  package init(_ file: TorchFile) throws {
    var file = file
    guard let entries = file.root.entries else {
      throw FileError("\(file.path) holds no dictionary, expected a Lightning checkpoint or a state dictionary")
    }
    guard let state = file.root["state_dict"] else {
      self.init(path: file.path, form: .stateDictionary)
      add(try file.tensors(entries))
      return
    }
    self.init(path: file.path, form: .lightning)
    guard let entries = state.entries else { throw FileError("\(file.path): 'state_dict' is no dictionary") }
    let stored = try file.tensors(entries)
    add(stored)
    step = file.root["global_step"]?.integer
    // The published code keeps its configuration in one field and what follows from the tokenizer beside it.
    if let parameters = file.root["hyper_parameters"] {
      hyperParameters = Self.flattened(try file.plain(parameters))
    }
    if let ema = file.root["ema"] { try readAverage(ema, of: &file) }
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
  private mutating func readAverage(_ ema: PickleValue, of file: inout TorchFile) throws {
    guard let shadows = ema["shadow_params"] else {
      problems.append("'ema' has no 'shadow_params'")
      return
    }
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
}

extension TorchFile {
  /// The tensors of a file that holds a state dictionary and nothing else, under their stored names.
  static func stateDictionary(contentsOf path: String) throws -> [StoredTensor] {
    var file = try TorchFile(contentsOf: path)
    guard let entries = file.root.entries else { throw FileError("\(path) holds no state dictionary") }
    return try file.tensors(entries)
  }

  /// The tensors of a dictionary by name; values that are none are left out.
  fileprivate mutating func tensors(_ entries: PickleEntries) throws -> [StoredTensor] {
    var found: [StoredTensor] = []
    var places: [String: Int] = [:]
    var bytes = 0
    for (key, value) in entries {
      guard let name = key.text, let tensor = try tensor(value, name: name) else { continue }
      try count(tensor, &bytes)
      // A key that is set again takes the new value, as in Python.
      if let place = places[name] {
        found[place] = tensor
      } else {
        places[name] = found.count
        found.append(tensor)
      }
    }
    guard !found.isEmpty else { throw FileError("\(path) holds no tensors by name") }
    return found
  }

  /// Tensors may share storages, as tied weights do; but a small file that is said to hold large weights is refused.
  fileprivate func count(_ tensor: StoredTensor, _ bytes: inout Int) throws {
    bytes += tensor.count * tensor.dtype.byteCount
    guard bytes <= budget.limit else {
      throw FileError("\(path) is refused: its tensors share so much that they would take more than twice its size")
    }
  }
}
