import Files
import Foundation

/// Settings in their groups, as files hold them: written as YAML or JSON, read from JSON.
public enum SettingTree: Codable, Sendable {
  /// A value.
  case leaf(SettingValue)
  /// A group, in order.
  case group([(name: String, tree: SettingTree)])

  /// Values by their dotted keys, in groups.
  public init(_ values: [(key: String, value: SettingValue)]) {
    self = .group([])
    for (key, value) in values { add(value, key.split(separator: ".").map(String.init)[...]) }
  }

  private mutating func add(_ value: SettingValue, _ path: ArraySlice<String>) {
    guard let name = path.first else {
      self = .leaf(value)
      return
    }
    guard case .group(var members) = self else { return }
    let place = members.firstIndex { $0.name == name } ?? members.count
    if place == members.count { members.append((name, .group([]))) }
    members[place].tree.add(value, path.dropFirst())
    self = .group(members)
  }

  /// The values by their dotted keys.
  public var values: [(key: String, value: SettingValue)] {
    switch self {
    case .leaf(let value): [("", value)]
    case .group(let members):
      members.flatMap { name, tree in
        tree.values.map { ($0.key.isEmpty ? name : "\(name).\($0.key)", $0.value) }
      }
    }
  }

  // MARK: YAML

  /// The settings as a YAML file.
  public var yaml: String { lines(indent: "").joined(separator: "\n") }

  private func lines(indent: String) -> [String] {
    guard case .group(let members) = self else { return [] }
    return members.flatMap { name, tree -> [String] in
      if case .leaf(let value) = tree { return ["\(indent)\(name): \(Self.yaml(value))"] }
      return ["\(indent)\(name):"] + tree.lines(indent: indent + "  ")
    }
  }

  private static func yaml(_ value: SettingValue) -> String {
    switch value {
    case .none: "null"
    case .bool, .number: value.shown
    case .text(let text):
      // Quoted wherever a reader could take it for something else.
      if text.wholeMatch(of: /[A-Za-z\/][A-Za-z0-9_.\/+-]*/) != nil, (try? SettingValue(plain: text)) == value {
        text
      } else {
        String(decoding: JSONValue.quoted(text.utf8), as: UTF8.self).unicodeScalars.map(escaped).joined()
      }
    case .list(let values): "[\(values.map(yaml).joined(separator: ", "))]"
    }
  }

  /// Of a quoted text what YAML does not take, or takes for the end of a line.
  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    switch scalar.value {
    case 0x7f...0x9f, 0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff: String(format: "\\u%04x", scalar.value)
    default: String(scalar)
    }
  }

  // MARK: JSON

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .group(let members):
      var container = encoder.container(keyedBy: Key.self)
      for (name, tree) in members { try container.encode(tree, forKey: Key(stringValue: name)) }
    case .leaf(let value):
      var container = encoder.singleValueContainer()
      switch value {
      case .none: try container.encodeNil()
      case .bool(let bool): try container.encode(bool)
      case .text(let text): try container.encode(text)
      case .list(let values): try container.encode(values.map(SettingTree.leaf))
      case .number(let digits):
        if let number = Int(digits) {
          try container.encode(number)
        } else if let number = UInt64(digits) {
          try container.encode(number)
        } else {
          try container.encode(Double(digits) ?? .nan)
        }
      }
    }
  }

  public init(from decoder: any Decoder) throws {
    if let container = try? decoder.container(keyedBy: Key.self) {
      self = .group(
        try container.allKeys.sorted { $0.stringValue < $1.stringValue }.map {
          ($0.stringValue, try container.decode(SettingTree.self, forKey: $0))
        })
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .leaf(.none)
    } else if let bool = try? container.decode(Bool.self) {
      self = .leaf(.bool(bool))
    } else if let number = try? container.decode(Int.self) {
      self = .leaf(.number("\(number)"))
    } else if let number = try? container.decode(UInt64.self) {
      self = .leaf(.number("\(number)"))
    } else if let number = try? container.decode(Double.self) {
      self = .leaf(.number("\(number)"))
    } else if let text = try? container.decode(String.self) {
      self = .leaf(.text(text))
    } else {
      self = .leaf(
        .list(
          try container.decode([SettingTree].self).map { element in
            guard case .leaf(let value) = element else {
              throw DecodingError.dataCorruptedError(in: container, debugDescription: "found a list of objects")
            }
            return value
          }))
    }
  }
}

extension GivenSettings {
  /// What a file says that is read as a whole.
  ///
  /// - Parameters:
  ///   - values: the values by their keys.
  ///   - root: the type that has the settings.
  ///   - required: the keys that must be there.
  /// - Throws: ``SettingError`` naming a key that there is not, or one that is missing.
  public init<Root: SettingGroup>(
    _ values: [(key: String, value: SettingValue)], for root: Root.Type, required: [String]
  ) throws {
    self.init()
    let known = Root.settings.map(\.key)
    for (key, value) in values {
      try Self.require(key, value, at: .document, in: known)
      set(key, to: value, at: .document)
    }
    if let missing = required.first(where: { self[$0] == nil }) {
      throw SettingError(.document, "field '\(missing)' is missing")
    }
  }
}
