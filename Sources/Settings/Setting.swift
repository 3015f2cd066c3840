import EsoLM

/// One setting of a configuration, declared once: its key, what it does, what it can be. Reading and writing files,
/// overrides, flags, help and the table of the documentation follow from it; its default is that of the field.
///
///     Setting(\.steps, "steps", help: "Train until this step.", .atLeast(1), mayChange: true)
public struct Setting<Root>: Sendable {
  /// The name in files, with those of the groups around it before it: `training.steps`.
  public let key: String
  /// The name of the flag, without dashes; nil if there is none.
  public let flag: String?
  /// How the flag takes a value.
  public let input: SettingInput
  /// What stands for the flag's value in help; nil is the flag's name.
  public let valueName: String?
  /// What the setting does.
  public let help: String
  /// The default in words, where it is not one value.
  public let usual: String?
  /// Whether a run that goes on may take another value.
  public let mayChange: Bool

  let get: @Sendable (Root) -> SettingValue
  let set: @Sendable (inout Root, SettingValue) throws -> Void
  let check: @Sendable (Root) throws -> Void

  /// The name without those of the groups.
  public var name: String { Self.name(of: key) }

  static func name(of key: String) -> String {
    String(key[(key.lastIndex(of: ".").map(key.index(after:)) ?? key.startIndex)...])
  }
}

/// What a setting's value must be beyond its type.
public struct SettingCheck<Value: Sendable>: Sendable {
  /// What is expected, in words.
  let expected: String
  let holds: @Sendable (Value) -> Bool

  /// A check by its words.
  public init(_ expected: String, holds: @escaping @Sendable (Value) -> Bool) {
    self.expected = expected
    self.holds = holds
  }
}

extension SettingCheck where Value: Comparable & SettingConvertible {
  /// From a least value on.
  public static func atLeast(_ least: Value) -> Self { Self("at least \(least)") { $0 >= least } }

  /// Within a range.
  public static func within(_ range: ClosedRange<Value>) -> Self {
    Self("\(range.lowerBound) to \(range.upperBound)") { range.contains($0) }
  }
}

extension SettingCheck<Double> {
  /// A positive number.
  public static var above0: Self { Self("a number above 0") { $0 > 0 } }
  /// A finite number from 0.
  public static var from0: Self { Self("a number from 0") { $0 >= 0 && $0.isFinite } }
  /// A share that is less than all.
  public static var below1: Self {
    Self("a number from 0 up to, not including, 1") { (0..<1).contains($0) }
  }
  /// A share that is neither nothing nor all.
  public static var between0And1: Self { Self("a number between 0 and 1") { $0 > 0 && $0 < 1 } }
}

extension Setting {
  /// A setting that always has a value.
  ///
  /// - Parameters:
  ///   - path: the field that holds it.
  ///   - key: its name in files.
  ///   - flag: the flag's name, where that is not the key's words with dashes; empty for none.
  ///   - valueName: what stands for the flag's value in help.
  ///   - help: what it does, a sentence.
  ///   - usual: the default in words, where that is not the field's.
  ///   - check: what its value must be.
  ///   - mayChange: whether a run that goes on may take another value.
  public init<Value: SettingConvertible>(
    _ path: any WritableKeyPath<Root, Value> & Sendable, _ key: String, flag: String? = nil, valueName: String? = nil,
    help: String, usual: String? = nil, _ check: SettingCheck<Value>? = nil, mayChange: Bool = false
  ) {
    self.init(
      key: key, flag: Self.flag(flag, key), input: Value.settingInput, valueName: valueName, help: help, usual: usual,
      mayChange: mayChange, get: { $0[keyPath: path].setting },
      set: { $0[keyPath: path] = try Self.convert($1, key) },
      check: { try Self.check($0[keyPath: path], key, check) })
  }

  /// A setting that may have none.
  ///
  /// - Parameters:
  ///   - path: the field that holds it.
  ///   - key: its name in files.
  ///   - flag: the flag's name, where that is not the key's words with dashes; empty for none.
  ///   - valueName: what stands for the flag's value in help.
  ///   - help: what it does, a sentence.
  ///   - usual: what holds where it has no value, in words.
  ///   - check: what its value must be.
  ///   - mayChange: whether a run that goes on may take another value.
  public init<Value: SettingConvertible>(
    _ path: any WritableKeyPath<Root, Value?> & Sendable, _ key: String, flag: String? = nil, valueName: String? = nil,
    help: String, usual: String? = nil, _ check: SettingCheck<Value>? = nil, mayChange: Bool = false
  ) {
    self.init(
      key: key, flag: Self.flag(flag, key), input: Value.settingInput, valueName: valueName, help: help, usual: usual,
      mayChange: mayChange, get: { $0[keyPath: path]?.setting ?? .none },
      set: { $0[keyPath: path] = $1 == .none ? nil : try Self.convert($1, key) },
      check: { if let value = $0[keyPath: path] { try Self.check(value, key, check) } })
  }

  /// The same setting as one of a larger value.
  ///
  /// - Parameters:
  ///   - group: the group's name before the key; nil for none.
  ///   - path: where the larger value holds this one.
  func lifted<Outer>(_ group: String?, _ path: any WritableKeyPath<Outer, Root> & Sendable) -> Setting<Outer> {
    Setting<Outer>(
      key: group.map { "\($0).\(key)" } ?? key, flag: flag, input: input, valueName: valueName, help: help,
      usual: usual, mayChange: mayChange, get: { [get] in get($0[keyPath: path]) },
      set: { [set] in try set(&$0[keyPath: path], $1) }, check: { [check] in try check($0[keyPath: path]) })
  }

  private static func flag(_ flag: String?, _ key: String) -> String? {
    guard let flag else { return key.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined() }
    return flag.isEmpty ? nil : flag
  }

  private static func convert<Value: SettingConvertible>(_ value: SettingValue, _ key: String) throws -> Value {
    guard let converted = Value(setting: value) else {
      throw ConfigurationError(field: key, found: value.shown, expected: Value.settingForm)
    }
    return converted
  }

  private static func check<Value: SettingConvertible>(
    _ value: Value, _ key: String, _ check: SettingCheck<Value>?
  ) throws {
    guard let check, !check.holds(value) else { return }
    throw ConfigurationError(field: key, found: value.setting.plainText, expected: check.expected)
  }
}

extension Array {
  /// The settings as those of a larger value.
  ///
  /// - Parameters:
  ///   - group: the group's name before their keys; nil for none.
  ///   - path: where the larger value holds this one.
  public func under<Root, Outer>(
    _ group: String?, _ path: any WritableKeyPath<Outer, Root> & Sendable
  ) -> [Setting<Outer>] where Element == Setting<Root> {
    map { $0.lifted(group, path) }
  }
}

/// A value that is made of settings. What `init()` gives are the defaults.
public protocol SettingGroup: Sendable {
  /// The defaults.
  init()
  /// All settings, in the order in which people read them.
  static var settings: [Setting<Self>] { get }
}

extension SettingGroup {
  /// Throws a ``EsoLM/ConfigurationError`` naming the first setting whose value it cannot be.
  public func check() throws {
    for setting in Self.settings { try setting.check(self) }
  }

  /// All values by their keys; what has none is left out.
  public var values: [(key: String, value: SettingValue)] {
    Self.settings.map { ($0.key, $0.get(self)) }.filter { $0.1 != .none }
  }

  /// What a setting is where nothing is said, in words; nil if that is nothing.
  ///
  /// - Parameter setting: one of the group's.
  public static func usual(_ setting: Setting<Self>) -> String? {
    if let usual = setting.usual { return usual }
    switch setting.get(Self()) {
    case .none, .bool(false), .list([]): return nil
    case .number(let digits) where digits.hasSuffix(".0"): return String(digits.dropLast(2))
    case let value: return value.plainText
    }
  }
}
