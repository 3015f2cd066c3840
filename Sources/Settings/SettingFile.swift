import Files
import Foundation

extension GivenSettings {
  /// Larger files are no settings.
  public static let sizeLimit = 1 << 18
  /// How many files can extend each other in a row.
  static let extensionLimit = 16

  /// Reads a YAML file and those that it extends, whose settings it may replace.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - root: the type that has the settings.
  /// - Throws: ``SettingError`` naming file and line, or `FileError` if the file cannot be read.
  public init<Root: SettingGroup>(contentsOf path: String, for root: Root.Type) throws {
    try self.init(contentsOf: path, known: Root.settings.map(\.key), extending: [])
  }

  private init(contentsOf path: String, known: [String], extending: [String]) throws {
    let data = try MappedFile.read(path)
    guard data.count <= Self.sizeLimit else {
      throw FileError("\(path) has \(data.count) bytes, expected settings of at most \(Self.sizeLimit)")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw FileError("\(path) is no UTF-8 text, expected settings as YAML")
    }
    let document = try YAMLDocument(text, path: path)
    self.init()
    if let base = document.base {
      let place = SettingPlace.file(path: path, line: base.line)
      let found = Self.path(base.path, beside: path)
      let chain = extending + [Self.identity(path)]
      guard !chain.contains(Self.identity(found)) else {
        throw SettingError(place, "extends is \(base.path), which leads back to this file")
      }
      guard chain.count < Self.extensionLimit else {
        throw SettingError(place, "extends is \(base.path), expected at most \(Self.extensionLimit) files in a row")
      }
      do {
        try self.init(contentsOf: found, known: known, extending: chain)
      } catch let error as FileError {
        throw SettingError(place, "extends is \(base.path): \(error)")
      }
    }
    for entry in document.entries {
      // A group of which nothing is said.
      if entry.value == .none, known.contains(where: { $0.hasPrefix("\(entry.key).") }) { continue }
      let place = SettingPlace.file(path: path, line: entry.line)
      try Self.require(entry.key, entry.value, at: place, in: known)
      set(entry.key, to: entry.value, at: place)
    }
  }

  /// A file's name as it is said in another file.
  private static func path(_ name: String, beside file: String) -> String {
    guard !name.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return name }
    return "\(file[...slash])\(name)"
  }

  /// The same for all names of a file.
  private static func identity(_ path: String) -> String {
    URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
  }

  /// Reads `key=value`, the value as it would stand in a file.
  ///
  /// - Parameters:
  ///   - text: as it was typed.
  ///   - root: the type that has the settings.
  /// - Throws: ``SettingError`` saying what is wrong with it.
  public init<Root: SettingGroup>(override text: String, for root: Root.Type) throws {
    guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
      throw SettingError(.override, "'\(text)' is no setting, expected key=value")
    }
    let key = String(text[..<equals])
    self.init()
    let value = try YAMLDocument.value(of: String(text[text.index(after: equals)...]), for: key)
    try Self.require(key, value, at: .override, in: Root.settings.map(\.key))
    set(key, to: value, at: .override)
  }

  /// Reads what a flag was given, as its setting takes it.
  ///
  /// - Parameters:
  ///   - setting: the flag's.
  ///   - words: what was typed; several for a flag that can be repeated.
  /// - Throws: ``SettingError`` for a word that programs read differently.
  public mutating func set<Root>(_ setting: Setting<Root>, toWords words: [String]) throws {
    guard let flag = setting.flag, let last = words.last else { return }
    let place = SettingPlace.flag("--\(flag)")
    switch setting.input {
    case .texts: set(setting.key, to: .list(words.map { .text($0) }), at: place)
    case .text: set(setting.key, to: .text(last), at: place)
    case .none: set(setting.key, to: .bool(last == "true"), at: place)
    case .word:
      do {
        set(setting.key, to: try SettingValue(plain: last), at: place)
      } catch let error as SettingMisfit {
        throw SettingError(setting.key, at: place, found: error.found, expected: error.expected)
      }
    }
  }
}
