import EsoLM
import Foundation

/// Where a setting was given.
public enum SettingPlace: Sendable, Equatable {
  /// In a file, in a line.
  case file(path: String, line: Int)
  /// As `key=value`.
  case override
  /// By a flag, with its dashes.
  case flag(String)
  /// In a file that is read as a whole.
  case document
}

/// What is wrong with a setting, said where it was given.
public struct SettingError: Error, CustomStringConvertible, Sendable {
  /// Where it was given.
  public let place: SettingPlace
  let message: String

  /// An error by its words.
  ///
  /// - Parameters:
  ///   - place: where the setting was given.
  ///   - message: what is wrong.
  public init(_ place: SettingPlace, _ message: String) {
    self.place = place
    self.message = message
  }

  /// A value that does not fit.
  ///
  /// - Parameters:
  ///   - key: the setting's.
  ///   - place: where it was given.
  ///   - found: what it is.
  ///   - expected: what it could be.
  public init(_ key: String, at place: SettingPlace, found: String, expected: String) {
    let name = if case .flag(let flag) = place { flag } else { key }
    // A value of a file may be as long as the file.
    let start = found.prefix(200)
    self.init(place, "\(name) is \(start)\(start == found ? "" : "…"), expected \(expected)")
  }

  public var description: String {
    if case .file(let path, let line) = place { "\(path):\(line): \(message)" } else { message }
  }

  /// Whether it was given on the command line.
  public var isUsage: Bool {
    switch place {
    case .file, .document: false
    case .override, .flag: true
    }
  }
}

/// What was said of settings, by key, and where; the last word counts.
public struct GivenSettings: Sendable {
  /// A value and where it was given.
  public struct Entry: Sendable {
    /// What it is.
    public let value: SettingValue
    /// Where it was given.
    public let place: SettingPlace
  }

  private var entries: [String: Entry] = [:]

  /// Nothing is said.
  public init() {}

  /// What was said of a setting; nil if nothing.
  public subscript(key: String) -> Entry? { entries[key] }

  /// The keys of all that was said, in order.
  public var keys: [String] { entries.keys.sorted() }

  /// What is said of a setting counts instead of what was.
  ///
  /// - Parameters:
  ///   - key: the setting's.
  ///   - value: what it is now.
  ///   - place: where that is said.
  public mutating func set(_ key: String, to value: SettingValue, at place: SettingPlace) {
    entries[key] = Entry(value: value, place: place)
  }

  /// Takes all that another says; where both speak the other one counts.
  ///
  /// - Parameters:
  ///   - other: what was said later.
  ///   - group: the group that its keys lack the name of.
  public mutating func merge(_ other: GivenSettings, under group: String? = nil) {
    for (key, entry) in other.entries { entries[group.map { "\($0).\(key)" } ?? key] = entry }
  }

  /// Writes what was said into a value.
  ///
  /// - Parameters:
  ///   - root: the value.
  ///   - group: the name of its group; nil if it has none.
  /// - Throws: ``SettingError`` naming the first setting that does not fit.
  public func apply<Root: SettingGroup>(to root: inout Root, under group: String? = nil) throws {
    for setting in Root.settings {
      let key = group.map { "\($0).\(setting.key)" } ?? setting.key
      guard let entry = entries[key] else { continue }
      do {
        try setting.set(&root, entry.value)
        try setting.check(root)
      } catch let error as ConfigurationError {
        throw SettingError(key, at: entry.place, found: error.found, expected: error.expected)
      }
    }
  }

  /// Runs code in which settings may turn out not to fit each other, and says where the one was given that is named.
  ///
  /// - Parameters:
  ///   - root: the type that has the settings.
  ///   - body: the code.
  /// - Returns: what the code returns.
  /// - Throws: ``SettingError`` in place of a `ConfigurationError` that names a setting.
  public func locating<Root: SettingGroup, Result>(_ root: Root.Type, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as ConfigurationError {
      guard let setting = Root.settings.first(where: { $0.name == error.field }) else { throw error }
      let place = entries[setting.key]?.place ?? setting.flag.map { .flag("--\($0)") } ?? .document
      throw SettingError(setting.key, at: place, found: error.found, expected: error.expected)
    }
  }

  /// Throws unless a key is one of a group's settings.
  ///
  /// - Parameters:
  ///   - key: as it was written.
  ///   - value: what it was given.
  ///   - place: where.
  ///   - known: the keys that there are.
  static func require(_ key: String, _ value: SettingValue, at place: SettingPlace, in known: [String]) throws {
    guard !known.contains(key) else { return }
    if let inner = known.first(where: { $0.hasPrefix("\(key).") }) {
      throw SettingError(key, at: place, found: value.shown, expected: "settings in it, such as \(inner)")
    }
    if let outer = known.first(where: { key.hasPrefix("\($0).") }) {
      throw SettingError(outer, at: place, found: "a group of settings", expected: "one value")
    }
    // A key of a file may be as long as the file.
    let start = String(key.prefix(80))
    throw SettingError(
      place,
      "there is no setting \(start)\(start == key ? "" : "…"); the nearest is \(nearest(to: start, in: known))")
  }

  /// The key that one was probably meant to be: the same name in another group, else the one with the fewest changes.
  static func nearest(to key: String, in known: [String]) -> String {
    let name = Setting<Void>.name(of: key)
    if let same = known.first(where: { Setting<Void>.name(of: $0) == name }) { return same }
    let written = Array(key.lowercased())
    func changes(_ other: String) -> Int {
      let other = Array(other.lowercased())
      var row = Array(0...other.count)
      for (i, a) in written.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in other.enumerated() {
          let next = min(row[j + 1] + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
          (diagonal, row[j + 1]) = (row[j + 1], next)
        }
      }
      return row[other.count]
    }
    // Without its group a name is near to the same name with one.
    return known.min {
      min(changes($0), changes(Setting<Void>.name(of: $0)) + 1)
        < min(changes($1), changes(Setting<Void>.name(of: $1)) + 1)
    } ?? ""
  }
}
