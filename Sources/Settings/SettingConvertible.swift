import Foundation

/// What a setting can hold.
public protocol SettingConvertible: Sendable {
  /// The value that was written; nil where it is of another kind.
  init?(setting value: SettingValue)
  /// The value to write.
  var setting: SettingValue { get }
  /// What is expected, in words.
  static var settingForm: String { get }
  /// How a flag takes it.
  static var settingInput: SettingInput { get }
}

/// How a flag takes its value.
public enum SettingInput: Sendable, Equatable {
  /// A word that is read as one of a file would be.
  case word
  /// A text, whatever is in it.
  case text
  /// Texts: the flag can be repeated.
  case texts
  /// None: there are two flags, one for yes and one for no.
  case none
}

extension Int: SettingConvertible {
  public init?(setting value: SettingValue) {
    guard case .number(let digits) = value else { return nil }
    // 1e6 is a whole number too, as far as it is exact.
    guard let number = Int(digits) ?? Double(digits).flatMap({ abs($0) <= 0x1p53 ? Int(exactly: $0) : nil }) else {
      return nil
    }
    self = number
  }
  public var setting: SettingValue { .number("\(self)") }
  public static var settingForm: String { "a whole number" }
  public static var settingInput: SettingInput { .word }
}

extension UInt64: SettingConvertible {
  public init?(setting value: SettingValue) {
    guard case .number(let digits) = value else { return nil }
    guard let number = UInt64(digits) ?? Int(setting: value).flatMap(UInt64.init(exactly:)) else { return nil }
    self = number
  }
  public var setting: SettingValue { .number("\(self)") }
  public static var settingForm: String { "a whole number from 0" }
  public static var settingInput: SettingInput { .word }
}

extension Double: SettingConvertible {
  public init?(setting value: SettingValue) {
    guard case .number(let digits) = value, let number = Double(digits), number.isFinite else { return nil }
    self = number
  }
  public var setting: SettingValue { .number("\(self)") }
  public static var settingForm: String { "a number" }
  public static var settingInput: SettingInput { .word }
}

extension Bool: SettingConvertible {
  public init?(setting value: SettingValue) {
    guard case .bool(let bool) = value else { return nil }
    self = bool
  }
  public var setting: SettingValue { .bool(self) }
  public static var settingForm: String { "true or false" }
  public static var settingInput: SettingInput { .none }
}

extension String: SettingConvertible {
  public init?(setting value: SettingValue) {
    guard case .text(let text) = value else { return nil }
    self = text
  }
  public var setting: SettingValue { .text(self) }
  public static var settingForm: String { "a text; numbers and words such as true are one in quotes" }
  public static var settingInput: SettingInput { .text }
}

extension [String]: SettingConvertible {
  /// One text is a list of one.
  public init?(setting value: SettingValue) {
    guard case .list(let values) = value else {
      guard let text = String(setting: value) else { return nil }
      self = [text]
      return
    }
    let texts = values.compactMap(String.init(setting:))
    guard texts.count == values.count else { return nil }
    self = texts
  }
  public var setting: SettingValue { .list(map(\.setting)) }
  public static var settingForm: String { "a list of texts" }
  public static var settingInput: SettingInput { .texts }
}

/// One of a few names.
public protocol SettingChoice: SettingConvertible, RawRepresentable, CaseIterable where RawValue == String {}

extension SettingChoice {
  public init?(setting value: SettingValue) {
    guard case .text(let text) = value else { return nil }
    self.init(rawValue: text)
  }
  public var setting: SettingValue { .text(rawValue) }
  public static var settingForm: String {
    let names = allCases.map(\.rawValue)
    return names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " or \(names.last!)"
  }
  public static var settingInput: SettingInput { .text }
}
