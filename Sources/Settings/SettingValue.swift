import Foundation

/// A value as people write it in files, in overrides and behind flags, before a setting says what it has to be.
public enum SettingValue: Sendable, Equatable {
  /// Nothing: the setting is left out.
  case none
  /// True or false.
  case bool(Bool)
  /// A number by its digits, so that none of a long one is lost.
  case number(String)
  /// A text.
  case text(String)
  /// Several values.
  case list([SettingValue])

  /// What an unquoted word means, in files and overrides alike: YAML 1.2's core schema.
  ///
  /// Readers of YAML differ about `010` (8 or 10), `1_000` and `12:30` (750 or a text). These are refused, so that no file
  /// means something else here than where it was made.
  ///
  /// - Throws: ``SettingMisfit`` for a word that readers differ about.
  public init(plain word: String) throws {
    switch word {
    case "", "~", "null", "Null", "NULL": self = .none
    case "true", "True", "TRUE": self = .bool(true)
    case "false", "False", "FALSE": self = .bool(false)
    case _ where word.wholeMatch(of: /[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?/) != nil,
      _ where word.wholeMatch(of: /[-+]?\.[0-9]+([eE][-+]?[0-9]+)?/) != nil,
      _ where word.wholeMatch(of: /[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)/) != nil:
      self = .number(word)
    case _ where word.wholeMatch(of: /0x[0-9a-fA-F]+|0o[0-7]+/) != nil:
      guard let number = UInt64(word.dropFirst(2), radix: word.hasPrefix("0x") ? 16 : 8) else {
        throw SettingMisfit(found: word, expected: "a number of at most 64 bits")
      }
      self = .number("\(number)")
    case _ where word.wholeMatch(of: /[-+]?[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9]+)?/) != nil:
      throw SettingMisfit(
        found: word,
        expected: "a number without leading zeros, _ and :, which programs read differently, or a text in quotes")
    default: self = .text(word)
    }
  }

  /// The value as an error shows it.
  public var shown: String {
    switch self {
    case .none: "nothing"
    case .bool(let value): "\(value)"
    case .number(let digits): digits
    case .text(let text): "'\(text)'"
    case .list(let values): "[\(values.map(\.shown).joined(separator: ", "))]"
    }
  }

  /// The value as a reader of help sees it.
  public var plainText: String {
    switch self {
    case .none: ""
    case .text(let text): text
    case .list(let values): values.map(\.plainText).joined(separator: ", ")
    case .bool, .number: shown
    }
  }
}

/// A value that a setting cannot take.
public struct SettingMisfit: Error, CustomStringConvertible, Sendable {
  /// What it is.
  public let found: String
  /// What it could be.
  public let expected: String

  /// A misfit by its parts.
  public init(found: String, expected: String) {
    self.found = found
    self.expected = expected
  }

  public var description: String { "\(found) is no value here, expected \(expected)" }
}
