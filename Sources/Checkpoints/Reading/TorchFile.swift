import Files
import Foundation
import Torch

/// A file of `torch.save`: a zip archive with a pickle, and the bytes of each storage as an entry.
///
/// Of the names in the pickle only those get a meaning here that say how a tensor lies in a storage. All else stays
/// inert, whatever it claims to call.
package struct TorchFile {
  let path: String
  package let root: PickleValue
  /// What reading took and may still take.
  package private(set) var budget: MemoryBudget
  private let data: Data
  private let archive: ZipArchive
  /// The file's bytes.
  var size: Int { data.count }
  /// What stands before the names of entries: a folder.
  private let prefix: String

  /// Reads a file's contents, which `TensorFiles` has found to begin as those of `torch.save` do; `path` is only for
  /// messages.
  package init(_ data: Data, path: String) throws {
    self.path = path
    self.data = data
    budget = MemoryBudget(fileSize: data.count)
    if Self.isLegacy(data) {
      throw FileError("\(path) is in the format of PyTorch before 1.6; load and save it again there, as a zip file")
    }
    do {
      archive = try ZipArchive(data, path: path, budget: &budget)
      let pickles = archive.names(endingWith: "data.pkl").filter {
        $0 == "data.pkl" || $0.hasSuffix("/data.pkl") && $0.count { $0 == "/" } == 1
      }
      guard pickles.count == 1, let range = try archive.range(of: pickles[0]) else {
        throw FileError("\(path) is no file of torch.save: it has \(pickles.count) entries data.pkl, expected 1")
      }
      prefix = String(pickles[0].dropLast("data.pkl".count))
      if let order = try archive.range(of: "\(prefix)byteorder"), !data.bytes(order).elementsEqual("little".utf8) {
        throw FileError("\(path) has another byte order than little, the only one that is read")
      }
      budget.justify(description: range.count)
      root = try Pickle(data.bytes(range), path: path, budget: &budget).root
    } catch let error as MemoryBudget.Exceeded {
      throw FileError("\(path) is refused: \(error)")
    }
  }

  /// Whether data starts as PyTorch's older format does: with a pickle of its magic number.
  static func isLegacy(_ data: Data) -> Bool { data.starts(with: [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46]) }

  /// The plain data of a value.
  package mutating func plain(_ value: PickleValue) throws -> PlainValue {
    try bounded { try PlainValue(value, budget: &$0) }
  }

  /// The tensor that a value stands for, nil if it is no tensor.
  ///
  /// - Throws: an error naming the tensor if it is one that does not fit its storage.
  package mutating func tensor(_ value: PickleValue, name: String) throws -> StoredTensor? {
    // One value may be many tensors, by name: what is kept of each is counted too.
    try bounded { try $0.take(Self.tensorCost + 4 * name.utf8.count) }
    return try described(value, name: name)
  }

  /// What describing a tensor takes, with room for messages about it.
  private static let tensorCost = 640

  /// Takes from the budget, or refuses the file.
  mutating func bounded<Result>(_ body: (inout MemoryBudget) throws -> Result) throws -> Result {
    do {
      return try body(&budget)
    } catch let error as MemoryBudget.Exceeded {
      throw FileError("\(path) is refused: \(error)")
    }
  }

  private func described(_ value: PickleValue, name: String) throws -> StoredTensor? {
    func refuse(_ what: String) -> FileError { FileError("\(path): tensor '\(name)' \(what)") }
    guard var (callable, arguments) = value.call else { return nil }
    // A parameter is its tensor, whatever was hung on it; so is a tensor with attributes.
    if callable.isGlobal("torch._utils", "_rebuild_parameter")
      || callable.isGlobal("torch._utils", "_rebuild_parameter_with_state")
    {
      guard let inner = arguments.items.first(where: { _ in true })?.call else { return nil }
      (callable, arguments) = inner
    }
    if callable.isGlobal("torch._tensor", "_rebuild_from_type_v2") {
      var items = arguments.items
      guard let inner = items.next(), items.next() != nil, let innerArguments = items.next() else { return nil }
      (callable, arguments) = (inner, innerArguments)
    }
    // The third version names the type of its elements, and its storage has none.
    let namesType = callable.isGlobal("torch._utils", "_rebuild_tensor_v3")
    guard namesType || callable.isGlobal("torch._utils", "_rebuild_tensor_v2") else {
      guard callable.global?.module.isText("torch._utils") == true else { return nil }
      throw refuse("is made by torch._utils.\(callable.global?.name.shortText ?? "?"), expected a dense tensor")
    }

    var iterator = arguments.items
    guard let storage = iterator.next(), let offset = iterator.next()?.integer, let size = iterator.next(),
      let stride = iterator.next(), case .persistent(let place) = storage.node
    else { throw refuse("is not described as PyTorch does") }
    var description = PickleValue(value.pickle, place).items
    guard description.next()?.isText("storage") == true, let storageType = description.next(),
      let key = description.next()?.shortText, description.next() != nil, let count = description.next()?.integer
    else { throw refuse("has no storage as PyTorch describes them") }
    // Whether a gradient is needed, and hooks, stand between.
    let type = namesType ? arguments.items.dropFirst(6).first { _ in true } : storageType
    guard let type, let dtype = type.elementType else {
      let found = type?.global?.name.shortText ?? "unknown"
      throw refuse("has elements of type \(found), expected float, double, half, bfloat16, long, int, byte or bool")
    }
    let entry = "\(prefix)data/\(key)"
    guard let range = try archive.range(of: entry) else { throw refuse("lies in '\(entry)', which is not in the file") }
    let width = namesType ? 1 : dtype.byteCount
    guard count >= 0, count <= range.count, count * width == range.count else {
      throw refuse("needs \(count) elements of \(width) bytes in '\(entry)', which has \(range.count) bytes")
    }
    do {
      let layout = try StridedLayout(
        dtype: dtype, shape: try size.dimensions(), strides: try stride.dimensions(), offset: offset, storage: range)
      return StoredTensor(name: name, dtype: dtype, shape: layout.shape) { [data] in layout.tensor(from: data) }
    } catch let error as StridedLayout.Problem {
      throw refuse("has \(error.text)")
    }
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
  func count(_ tensor: StoredTensor, _ bytes: inout Int) throws {
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

  /// A text that is short enough to be a name: longer ones could be copied many times.
  fileprivate var shortText: String? {
    guard case .text(_, let count) = node, count <= 200 else { return nil }
    return text
  }

  /// The type of elements that a storage class or a name of PyTorch's stands for.
  fileprivate var elementType: DType? {
    let types: [(storage: StaticString, name: StaticString, type: DType)] = [
      ("FloatStorage", "float32", .float32), ("DoubleStorage", "float64", .float64),
      ("HalfStorage", "float16", .float16), ("BFloat16Storage", "bfloat16", .bfloat16),
      ("LongStorage", "int64", .int64), ("IntStorage", "int32", .int32), ("ByteStorage", "uint8", .uint8),
      ("BoolStorage", "bool", .bool),
    ]
    return types.first { isGlobal("torch", $0.storage) || isGlobal("torch", $0.name) }?.type
  }

  /// A tuple of whole numbers, as a shape or strides.
  fileprivate func dimensions() throws -> [Int] {
    // As a tuple, or as `torch.Size` of one.
    let numbers = call.flatMap { $0.callable.isGlobal("torch", "Size") ? $0.arguments.items.first { _ in true } : nil }
    var found: [Int] = []
    for item in (numbers ?? self).items {
      // libtorch has no more than 64 dimensions in most of its operations.
      guard let number = item.integer, found.count < 64 else {
        throw StridedLayout.Problem("no shape of whole numbers")
      }
      found.append(number)
    }
    return found
  }
}
