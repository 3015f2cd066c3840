import Files
import Foundation

/// Plain data: what JSON can say, read from JSON or from the plain part of a pickle.
public enum PlainValue: Sendable, Equatable {
  /// No value.
  case null
  /// True or false.
  case boolean(Bool)
  /// A whole number of 64 bits.
  case integer(Int)
  /// A floating-point number.
  case real(Double)
  /// A text.
  case text(String)
  /// Values in order.
  case list([PlainValue])
  /// In the order of the file.
  case object([(key: String, value: PlainValue)])

  public static func == (left: PlainValue, right: PlainValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.boolean(let left), .boolean(let right)): left == right
    case (.integer(let left), .integer(let right)): left == right
    case (.real(let left), .real(let right)): left == right
    case (.text(let left), .text(let right)): left == right
    case (.list(let left), .list(let right)): left == right
    case (.object(let left), .object(let right)): left.elementsEqual(right) { $0.key == $1.key && $0.value == $1.value }
    default: false
    }
  }

  /// The whole number that this is; nil if it is none.
  public var integer: Int? { if case .integer(let value) = self { value } else { nil } }
  /// The text that this is; nil if it is none.
  public var text: String? { if case .text(let value) = self { value } else { nil } }
  /// What is true or false; nil if this is neither.
  public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }

  /// The number that this is, whole or not; nil if it is none.
  public var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .real(let value): value
    default: nil
    }
  }

  /// The value at the end of a path of keys, as "model.n_heads".
  public subscript(path: String) -> PlainValue? {
    path.split(separator: ".").reduce(Optional(self)) { value, key in
      guard case .object(let fields) = value else { return nil }
      return fields.last { $0.key == key }?.value
    }
  }

  /// All values that hold no others, by the path to them; lists count as one.
  public var leaves: [(path: String, value: PlainValue)] {
    guard case .object(let fields) = self else { return [("", self)] }
    return fields.flatMap { key, value in
      value.leaves.map { ($0.path.isEmpty ? key : "\(key).\($0.path)", $0.value) }
    }
  }
}

extension PlainValue: CustomStringConvertible {
  public var description: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .real(let value): "\(value)"
    case .text(let value): value
    case .list(let items): "[\(items.map(\.description).joined(separator: ", "))]"
    case .object(let fields): "{\(fields.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
    }
  }
}

extension PlainValue: Codable {
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public init(from decoder: any Decoder) throws {
    if let container = try? decoder.container(keyedBy: Key.self) {
      self = .object(
        try container.allKeys.sorted { $0.stringValue < $1.stringValue }
          .map { ($0.stringValue, try container.decode(PlainValue.self, forKey: $0)) })
      return
    }
    if var container = try? decoder.unkeyedContainer() {
      var items: [PlainValue] = []
      while !container.isAtEnd { items.append(try container.decode(PlainValue.self)) }
      self = .list(items)
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .boolean(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .real(value)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .null:
      var container = encoder.singleValueContainer()
      try container.encodeNil()
    case .boolean(let value): try value.encode(to: encoder)
    case .integer(let value): try value.encode(to: encoder)
    case .real(let value): try value.encode(to: encoder)
    case .text(let value): try value.encode(to: encoder)
    case .list(let items): try items.encode(to: encoder)
    case .object(let fields):
      var container = encoder.container(keyedBy: Key.self)
      for (key, value) in fields { try container.encode(value, forKey: Key(stringValue: key)) }
    }
  }
}

// MARK: From a pickle

extension PlainValue {
  /// What of a pickle's value is plain data. Configuration objects of OmegaConf, which the published checkpoints hold,
  /// are read as the values that they wrap; anything else that Python would have had to make is shown by its name only.
  ///
  /// One value may stand in many places of a pickle, and in itself, so what is copied comes from the budget and depth
  /// is bounded.
  package init(_ value: PickleValue, budget: inout MemoryBudget, depth: Int = 0) throws {
    guard depth < Self.maximumDepth else {
      self = .text("…")
      return
    }
    if depth == 0 { try budget.take(Self.cost) }
    if let wrapped = Self.unwrapped(value) {
      try self.init(wrapped, budget: &budget, depth: depth + 1)
    } else if let entries = value.entries {
      var fields: [(key: String, value: PlainValue)] = []
      for (key, value) in entries {
        try budget.take(2 * Self.cost)
        let name = try PlainValue(key, budget: &budget, depth: depth + 1).description
        try budget.take(name.utf8.count)
        fields.append((name, try PlainValue(value, budget: &budget, depth: depth + 1)))
      }
      self = .object(fields)
    } else {
      switch value.node {
      case .none: self = .null
      case .boolean(let value): self = .boolean(value)
      case .integer(let value): self = .integer(Int(value))
      case .real(let value): self = .real(value)
      case .text(_, let count):
        try budget.take(Int(count) + 1)
        self = .text(value.text!)
      case .tuple, .list, .set:
        var items: [PlainValue] = []
        for item in value.items {
          try budget.take(Self.cost)
          items.append(try PlainValue(item, budget: &budget, depth: depth + 1))
        }
        self = .list(items)
      case .dictionary: self = .object([])
      case .hugeInteger: self = .text("<integer of more than 64 bits>")
      case .bytes(_, let count): self = .text("<\(count) bytes>")
      case .persistent: self = .text("<storage>")
      case .global: self = .text("<\(try Self.name(of: value, &budget))>")
      case .object: self = .text("<\(try Self.name(of: value.call!.callable, &budget))>")
      }
    }
  }

  private static let maximumDepth = 32
  /// What a value in an array takes, with room for the array's growth.
  private static let cost = 3 * MemoryLayout<PlainValue>.stride

  private static func name(of value: PickleValue, _ budget: inout MemoryBudget) throws -> String {
    guard let global = value.global, case .text(_, let first) = global.module.node,
      case .text(_, let second) = global.name.node
    else { return "object" }
    try budget.take(2 * (Int(first) + Int(second)))
    return "\(global.module.text!).\(global.name.text!)"
  }

  /// What an object of OmegaConf wraps.
  private static func unwrapped(_ value: PickleValue) -> PickleValue? {
    guard let name = value.call?.callable, let state = value.state else { return nil }
    if name.isGlobal("omegaconf.dictconfig", "DictConfig") || name.isGlobal("omegaconf.listconfig", "ListConfig") {
      return state["_content"]
    }
    return name.global?.module.isText("omegaconf.nodes") == true ? state["_val"] : nil
  }
}
