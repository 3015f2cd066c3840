import Files
import Torch

extension Checkpoint {
  /// A Lightning checkpoint, or a state dictionary as `torch.save` writes it, bare or beside other things.
  package init(_ file: TorchFile, field: String? = nil) throws {
    var file = file
    let (name, entries) = try file.stateDictionary(field: field, mark: ParameterName.marksNetwork)
    self.init(path: file.path, form: name == "state_dict" ? .lightning : .stateDictionary)
    add(try file.tensors(entries))
    guard name != nil else { return }
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
}

extension TorchFile {
  /// The dictionary that holds a network's tensors: the file's own, or one of its fields, as trainers save it under
  /// `state_dict`, `model`, `module` and other names. If several fields could be meant, which is asked for.
  ///
  /// - Parameters:
  ///   - field: the name of the field, if it is given.
  ///   - mark: tells by its name a tensor that only the right dictionary holds.
  /// - Returns: the dictionary and the field that holds it, nil for the file's own.
  mutating func stateDictionary(
    field: String? = nil, mark: TensorFiles.Mark
  ) throws -> (field: String?, entries: PickleEntries) {
    guard let own = root.entries else {
      throw FileError("\(path) holds no dictionary, expected a Lightning checkpoint or a state dictionary")
    }
    // One dictionary may stand under many names: it is looked into once.
    var seen: Set<UInt32> = []
    var fields: [(name: String, entries: PickleEntries)] = []
    for (key, value) in own {
      guard let name = key.name, let entries = value.entries, seen.insert(value.index).inserted else { continue }
      try bounded { try $0.take(Self.fieldCost + 2 * name.utf8.count) }
      fields.append((name, entries))
    }
    if let field {
      guard let found = fields.last(where: { $0.name == field }) else {
        throw FileError(
          "\(path) has no field '\(field)' that is a dictionary, expected one of \(Self.list(fields.map(\.name)))")
      }
      return (field, found.entries)
    }
    func isMarked(_ entries: PickleEntries) -> Bool { entries.contains { $0.key.name.map(mark) ?? false } }
    if isMarked(own) { return (nil, own) }
    let marked = fields.filter { isMarked($0.entries) }
    guard marked.count < 2 else {
      throw FileError(
        "\(path) holds several state dictionaries: \(Self.list(marked.map(\.name))); name one with --state-dict")
    }
    guard let found = marked.first ?? fields.first(where: { $0.name == "state_dict" }) else { return (nil, own) }
    return (found.name, found.entries)
  }

  /// What is kept of a field, with room for growth.
  private static let fieldCost = 256

  private static func list(_ names: [String]) -> String {
    names.prefix(8).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }

  /// The tensors of a dictionary by name; values that are none are left out.
  mutating func tensors(_ entries: PickleEntries) throws -> [StoredTensor] {
    var found: [StoredTensor] = []
    var places: [String: Int] = [:]
    var others: [String] = []
    var bytes = 0
    for (key, value) in entries {
      guard let name = key.name else { continue }
      guard let tensor = try tensor(value, name: name) else {
        others.append(name)
        continue
      }
      try count(tensor, &bytes)
      // A key that is set again takes the new value, as in Python.
      if let place = places[name] {
        found[place] = tensor
      } else {
        places[name] = found.count
        found.append(tensor)
      }
    }
    guard !found.isEmpty else {
      throw FileError(
        "\(path) holds no tensors by name" + (others.isEmpty ? "" : ", it has the fields \(Self.list(others))"))
    }
    return found
  }

  /// Tensors may share storages, as tied weights do; but a small file that is said to hold large weights is refused.
  fileprivate func count(_ tensor: StoredTensor, _ bytes: inout Int) throws {
    bytes += tensor.count * tensor.dtype.byteCount
    guard bytes <= MemoryBudget(fileSize: size).limit else {
      throw FileError("\(path) is refused: its tensors share so much that they would take more than twice its size")
    }
  }
}

extension PickleValue {
  /// A key's text; nil for one that is too long for a name, which many keys could share.
  fileprivate var name: String? {
    guard case .text(_, let count) = node, count <= 512 else { return nil }
    return text
  }
}
