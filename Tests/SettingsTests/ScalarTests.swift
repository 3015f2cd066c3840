import Foundation
import Settings
import Testing

/// One rule for words in files, in overrides and behind flags.
@Suite("Scalars")
struct ScalarTests {
  @Test(arguments: ["3e-4", "1e3", ".5", "-.5", "0", "-0", "+7", "1.", "12", "1.5E+10", "0.1"])
  func numbersAreNumbers(word: String) throws {
    #expect(try SettingValue(plain: word) == .number(word))
    #expect(Double(setting: .number(word)) == strtod(word, nil))
  }

  @Test(arguments: [("0x1F", "31"), ("0o17", "15")]) func othersBasesBecomeTen(word: String, digits: String) throws {
    #expect(try SettingValue(plain: word) == .number(digits))
  }

  @Test(arguments: ["010", "-010", "00", "1_000", "12:30", "1:2:3", "190:20:30.15", "01.5", "0x1FFFFFFFFFFFFFFFF"])
  func whatReadersDifferAboutIsRefused(word: String) {
    #expect(throws: SettingMisfit.self) { try SettingValue(plain: word) }
  }

  @Test(arguments: [
    "yes", "no", "on", "a", "1.2.3", "2024-01-01", "e5", "0,1", "nan", "Infinity", "-", ".", "1e", "--1",
  ])
  func allElseIsText(word: String) throws {
    #expect(try SettingValue(plain: word) == .text(word))
  }

  @Test func wordsOfTheSchema() throws {
    for word in ["", "~", "null", "Null", "NULL"] { #expect(try SettingValue(plain: word) == .none) }
    for word in ["true", "True", "TRUE"] { #expect(try SettingValue(plain: word) == .bool(true)) }
    for word in ["false", "False", "FALSE"] { #expect(try SettingValue(plain: word) == .bool(false)) }
  }

  @Test func wholeNumbersAreExactOrNone() {
    #expect(Int(setting: .number("1e6")) == 1_000_000)
    #expect(Int(setting: .number("1.5")) == nil)
    #expect(Int(setting: .number("1e300")) == nil)
    #expect(Int(setting: .text("5")) == nil)
    #expect(UInt64(setting: .number("18446744073709551615")) == .max)
    #expect(UInt64(setting: .number("-1")) == nil)
    #expect(Double(setting: .number(".inf")) == nil)
    #expect(Double(setting: .number("1e999")) == nil)
    #expect(String(setting: .number("5")) == nil)
    #expect(Bool(setting: .text("true")) == nil)
    #expect([String](setting: .text("a")) == ["a"])
    #expect([String](setting: .list([.text("a"), .number("1")])) == nil)
  }
}
