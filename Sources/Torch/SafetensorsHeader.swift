import Files
import Foundation

/// The JSON header of a safetensors file: one object, tensors by name beside `__metadata__`.
///
/// Read by hand and not by a general JSON decoder because that builds a tree of the whole text first, many times its
/// size; here only names and numbers are kept, from a budget.
struct SafetensorsHeader {
  struct Entry {
    var dtype: String
    var shape: [Int]
    var offsets: [Int]
  }

  static let metadataName = "__metadata__"
  var tensors: [String: Entry] = [:]
  var metadata: [String: String] = [:]

  init() {}

  /// Where the text stops being a header, and why.
  struct Failure: Error {
    var problem: String
  }

  /// What an entry takes in a dictionary of names, with room for its growth.
  private static let entryCost = 512

  init(_ text: UnsafeRawBufferPointer, budget: inout MemoryBudget) throws {
    var scanner = JSONScanner(text, budget: budget)
    defer { budget = scanner.budget }
    try scanner.object { scanner, name in
      try scanner.budget.take(Self.entryCost + 2 * name.utf8.count)
      guard name == Self.metadataName else {
        guard tensors.updateValue(try Self.entry(name, &scanner), forKey: name) == nil else {
          throw Failure(problem: "tensor '\(name)' is there twice")
        }
        return
      }
      try scanner.object { scanner, key in
        let value = try scanner.string()
        try scanner.budget.take(Self.entryCost + 2 * (key.utf8.count + value.utf8.count))
        metadata[key] = value
      }
    }
    try scanner.end()
  }

  private static func entry(_ name: String, _ scanner: inout JSONScanner) throws -> Entry {
    var (dtype, shape, offsets): (String?, [Int]?, [Int]?)
    try scanner.object { scanner, key in
      switch key {
      case "dtype": dtype = try scanner.string()
      case "shape": shape = try scanner.integers()
      case "data_offsets": offsets = try scanner.integers()
      default: try scanner.skip()
      }
    }
    func required<Value>(_ field: String, _ value: Value?) throws -> Value {
      guard let value else { throw Failure(problem: "field '\(name).\(field)' is missing") }
      return value
    }
    return Entry(
      dtype: try required("dtype", dtype), shape: try required("shape", shape),
      offsets: try required("data_offsets", offsets))
  }
}

// Written by the general encoder: what this program writes is small.
extension SafetensorsHeader: Encodable {
  private struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    if !metadata.isEmpty { try container.encode(metadata, forKey: Name(stringValue: Self.metadataName)) }
    for (name, entry) in tensors { try container.encode(entry, forKey: Name(stringValue: name)) }
  }
}

extension SafetensorsHeader.Entry: Encodable {
  private enum CodingKeys: String, CodingKey {
    case dtype, shape
    case offsets = "data_offsets"
  }
}
