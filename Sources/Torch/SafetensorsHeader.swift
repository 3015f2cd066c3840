import Files
import Foundation

/// The JSON header of a safetensors file: one object, tensors by name beside `__metadata__`.
///
/// Only names and numbers are kept of it, from a budget; a tree of the whole text would be many times its size.
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

  /// What makes a text no header.
  struct Failure: Error {
    var problem: String
  }

  /// What an entry takes in a dictionary of names, with room for its growth.
  private static let entryCost = 512

  init(_ bytes: UnsafeBufferPointer<UInt8>, budget: inout MemoryBudget) throws {
    var scanner = JSONScanner(bytes, budget: budget)
    defer { budget = scanner.budget }
    do {
      try read(&scanner)
    } catch let error as JSONSyntaxError {
      throw Failure(problem: "at byte \(error.offset): expected \(error.expected)")
    }
  }

  private mutating func read(_ scanner: inout JSONScanner) throws {
    try scanner.object { scanner, key in
      try scanner.budget.take(Self.entryCost + 2 * key.count)
      let name = try scanner.text(key)
      guard name == Self.metadataName else {
        guard tensors.updateValue(try Self.entry(name, &scanner), forKey: name) == nil else {
          throw Failure(problem: "tensor '\(name)' is there twice")
        }
        return
      }
      try scanner.object { scanner, key in
        let value = try scanner.string()
        try scanner.budget.take(Self.entryCost + 2 * (key.count + value.count))
        metadata[try scanner.text(key)] = try scanner.text(value)
      }
    }
    try scanner.end()
  }

  private static func integers(_ scanner: inout JSONScanner) throws -> [Int] {
    var numbers: [Int] = []
    try scanner.array { scanner in
      // Three times: an array holds up to twice what is in it, and its old half while it grows.
      try scanner.budget.take(3 * MemoryLayout<Int>.stride)
      numbers.append(try scanner.integer())
    }
    return numbers
  }

  private static func entry(_ name: String, _ scanner: inout JSONScanner) throws -> Entry {
    var (dtype, shape, offsets): (String?, [Int]?, [Int]?)
    try scanner.object { scanner, key in
      switch try scanner.text(key) {
      case "dtype": dtype = try scanner.text(try scanner.string())
      case "shape": shape = try integers(&scanner)
      case "data_offsets": offsets = try integers(&scanner)
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
