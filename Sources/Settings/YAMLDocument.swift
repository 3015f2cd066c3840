import Foundation
internal import Yams

/// A YAML file as settings: dotted keys with their values and lines.
///
/// Of YAML what settings need: groups, lists, numbers, texts. Anchors and tags are refused: a few lines of them can stand
/// for more than fits into memory. Depth is bounded by libyaml, length by who reads the file.
struct YAMLDocument {
  /// A setting as it stands in the file.
  struct Entry {
    let key: String
    let value: SettingValue
    let line: Int
  }

  private(set) var entries: [Entry] = []
  /// The file that this one extends.
  private(set) var base: (path: String, line: Int)?
  private let place: (Int) -> SettingPlace
  private var lines: [String: Int] = [:]

  /// More groups within each other than any setting has.
  private static let depthLimit = 8

  /// - Throws: ``SettingError`` naming the line.
  init(_ text: String, path: String) throws {
    place = { .file(path: path, line: $0) }
    guard let root = try Self.node(text, place: place) else { return }
    guard case .mapping = root else {
      throw SettingError(place(root.mark?.line ?? 1), "found \(Self.words(for: root)), expected settings as key: value")
    }
    try add(root, to: [])
  }

  /// The value of a text that stands behind `key=`.
  static func value(of text: String, for key: String) throws -> SettingValue {
    do {
      return try node(text, place: { _ in .override }).map { try value(of: $0, key, place: { _ in .override }) }
        ?? .none
    } catch let error as SettingError where !error.message.hasPrefix("\(key) is") {
      throw SettingError(.override, "\(key)=\(text): \(error.message); a text can stand in quotes")
    }
  }

  /// The whole text as Yams reads it; nil if it holds nothing.
  private static func node(_ text: String, place: (Int) -> SettingPlace) throws -> Node? {
    // Before they are read: a mapping whose keys refer to others is hashed at once, for as long as that takes. Nodes begin
    // a line, or follow an indicator or a tag. What stands in quotes or is a comment can look so too, which harms nobody
    // where nothing looks as if it referred to it.
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let refers = lines.contains { $0.firstMatch(of: /(^\u{FEFF}?|[,\[{:?]|-\s|![^\s!]*\s)\s*\*\S/) != nil }
    for (number, line) in lines.enumerated() {
      let line = refers ? line : line.replacing(/"[^"]*"|'[^']*'|(^|\s)#.*/, with: "")
      if line.firstMatch(of: /(^\u{FEFF}?|[,\[{:?]|-\s|![^\s!]*\s)\s*&[^\s&]/) != nil {
        throw SettingError(place(number + 1), "found an anchor (&…), expected values written out")
      }
    }
    do {
      return try Yams.compose(yaml: text, .basic, .default, .utf8)
    } catch let error as YamlError {
      let (line, reason) = describe(error)
      throw SettingError(place(line), reason)
    }
  }

  private mutating func add(_ node: Node, to groups: [String]) throws {
    guard case .mapping(let mapping) = node else { return }
    guard groups.count < Self.depthLimit else {
      throw SettingError(place(mapping.mark?.line ?? 1), "found more than \(Self.depthLimit) groups within each other")
    }
    try Self.requireUntagged(mapping.tag, mapping.mark, .map, place)
    for (keyNode, valueNode) in mapping {
      let line = keyNode.mark?.line ?? 1
      guard case .scalar(let name) = keyNode, !name.string.isEmpty else {
        throw SettingError(place(line), "found \(Self.words(for: keyNode)) as a key, expected the name of a setting")
      }
      try Self.requireUntagged(name.tag, name.mark, .str, place)
      let key = (groups + [name.string]).joined(separator: ".")
      if let first = lines.updateValue(line, forKey: key) {
        throw SettingError(place(line), "\(key) is given twice, first in line \(first)")
      }
      if case .mapping(let inner) = valueNode, !inner.isEmpty {
        try add(valueNode, to: groups + [name.string])
        continue
      }
      let value = try Self.value(of: valueNode, key, place: place)
      if key == "extends" {
        guard case .text(let path) = value else {
          throw SettingError(key, at: place(line), found: value.shown, expected: "the name of a file")
        }
        base = (path, line)
      } else {
        entries.append(Entry(key: key, value: value, line: line))
      }
    }
  }

  private static func value(of node: Node, _ key: String, place: (Int) -> SettingPlace) throws -> SettingValue {
    let line = node.mark?.line ?? 1
    switch node {
    case .scalar(let scalar):
      let isPlain = scalar.style == .plain
      try requireUntagged(scalar.tag, scalar.mark, isPlain ? .implicit : .str, place)
      guard isPlain else { return .text(scalar.string) }
      do {
        return try SettingValue(plain: scalar.string)
      } catch let error as SettingMisfit {
        throw SettingError(key, at: place(line), found: error.found, expected: error.expected)
      }
    case .sequence(let sequence):
      try requireUntagged(sequence.tag, sequence.mark, .seq, place)
      return .list(
        try sequence.map { element in
          guard case .scalar = element else {
            throw SettingError(
              key, at: place(element.mark?.line ?? line), found: "a list of \(words(for: element))",
              expected: "a list of values")
          }
          return try value(of: element, key, place: place)
        })
    case .mapping(let mapping) where mapping.isEmpty: return .none
    case .mapping, .alias:
      throw SettingError(key, at: place(line), found: words(for: node), expected: "a value")
    }
  }

  private static func requireUntagged(
    _ tag: Tag, _ mark: Mark?, _ usual: Tag.Name, _ place: (Int) -> SettingPlace
  ) throws {
    guard tag.description.isEmpty || tag.description == usual.rawValue else {
      throw SettingError(place(mark?.line ?? 1), "found the tag \(tag), expected values without tags")
    }
  }

  private static func words(for node: Node) -> String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "'\(scalar.string.prefix(40))'"
    case .sequence: "a list"
    case .mapping: "a group of settings"
    case .alias: "an alias"
    }
  }

  /// Where a text is no YAML, and why, on one line.
  private static func describe(_ error: YamlError) -> (line: Int, reason: String) {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      (mark.line, "no valid YAML: \(problem)")
    case .reader(let problem, let offset, _, let yaml):
      (yaml.utf8.prefix(offset ?? 0).count { $0 == UInt8(ascii: "\n") } + 1, "no valid YAML: \(problem)")
    case .duplicatedKeysInMapping(let keys, let context):
      (context.mark.line, "\(keys.first ?? "a key") is given twice")
    default: (1, "no valid YAML: \(error)".split(separator: "\n").joined(separator: " "))
    }
  }
}
