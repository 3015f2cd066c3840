import Files
import Foundation
import TestSupport
import Testing

@Suite("JSON values")
struct JSONValueTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

  @Test func valuesAreRead() throws {
    let json = try parse(#" {"a": [1, -2.5e3, true, false, null], "b": {"c": "x"}, "": 0} "#)
    #expect(json["a"]?.elements?.count == 5)
    #expect(json["a"]?.elements?[0].integer == 1)
    #expect(json["a"]?.elements?[1].integer == -2500)
    #expect(json["a"]?.elements?[2].bool == true)
    #expect(json["b"]?["c"]?.text == "x")
    #expect(json[""]?.integer == 0)
    #expect(json["d"] == nil)
  }

  @Test(arguments: [
    (#""\n\t\r\b\f\"\\\/""#, "\n\t\r\u{8}\u{C}\"\\/"), (#""\u00e9\u20AC""#, "é€"), (#""\ud83d\ude00""#, "😀"),
    (#""\ud83dx""#, "\u{FFFD}x"), (#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}"), (#""\ud83d\u0041""#, "\u{FFFD}A"),
    ("\"日本\"", "日本"),
  ])
  func stringsAreUnescaped(json: String, text: String) throws {
    #expect(try parse(json).text?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
  }

  @Test func ofEqualKeysTheLastCounts() throws {
    let json = try parse(#"{"a": 1, "b": {"c": 2, "c": [3]}, "a": 4}"#)
    #expect(json["a"]?.integer == 4)
    #expect(String(decoding: json.strictJSON, as: UTF8.self) == #"{"b":{"c":[3]},"a":4}"#)
  }

  @Test func numbersOfPythonPass() throws {
    let json = try parse(#"[NaN, Infinity, -Infinity, 1e300, -0.5]"#)
    #expect(json.elements?.map(\.integer) == [nil, nil, nil, nil, nil])
    #expect(String(decoding: json.strictJSON, as: UTF8.self) == "[null,null,null,1e+300,-0.5]")
  }

  @Test func aByteOrderMarkIsNoPartOfTheValue() throws {
    #expect(try parse("\u{FEFF}[1]").elements?.count == 1)
    #expect(throws: JSONSyntaxError.self) { try parse("[\u{FEFF}1]") }
  }

  @Test func bytesOfStringsAreKept() throws {
    guard case .string(let bytes) = try JSONValue(parsing: [0x22, 0xC3, 0x28, 0xFF, 0x22] as [UInt8]) else {
      Issue.record("no string")
      return
    }
    #expect(bytes == [0xC3, 0x28, 0xFF])
  }

  @Test func equivalentKeysAreDifferent() throws {
    let json = try parse("{\"e\u{301}\": 1, \"\u{E9}\": 2, \"e\u{301}\": 3}")
    guard case .object(let members) = json else { return }
    #expect(members.map(\.value.integer) == [1, 2, 3])
    #expect(json["\u{E9}"]?.integer == 2)
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "[1 2]", "01", "-", "1.", "1e", ".5", "+1", "tru", "nul", "\"a",
    "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "[1] 2", "'a'", "{a:1}", "nan", "+Infinity", "--Infinity", "Inf",
  ])
  func whatIsNoJSONIsRefused(text: String) throws {
    let error = try #require(throws: JSONSyntaxError.self) { try parse(text) }
    #expect((0...text.utf8.count).contains(error.offset))
    #expect(error.description.hasPrefix("no valid JSON at byte \(error.offset): expected "))
  }

  @Test func deepNestingIsRefusedBeforeTheStackEnds() throws {
    #expect(try parse(String(repeating: "[", count: 60) + String(repeating: "]", count: 60)).elements != nil)
    #expect(throws: JSONSyntaxError.self) { try parse(String(repeating: "[", count: 100_000)) }
  }

  /// A list of numbers takes some 24 bytes for each of its two: what a small text may, a large one may not.
  @Test func aValueFarLargerThanItsTextIsRefused() throws {
    func list(_ count: Int) -> [UInt8] {
      Array(("[" + String(repeating: "1,", count: count) + "1]").utf8)
    }
    #expect(try JSONValue(parsing: list(100_000)).elements?.count == 100_001)
    let error = #expect(throws: MemoryBudget.Exceeded.self) { try JSONValue(parsing: list(8_000_000)) }
    #expect(try #require(error).description.contains("which its size does not justify"))
  }

  /// Damaged texts are refused by both parsers, or read by both.
  @Test func damagedTextsNeverCrash() throws {
    let text = Array(#"{"vocab":{"a":0,"\u00e9":12.5e-1},"list":["x\\y",true,null,-3]}"#.utf8)
    var state: UInt64 = 7
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      return Int(state >> 33) % limit
    }
    for _ in 0..<3000 {
      var bytes = text
      for _ in 0...random(3) { bytes[random(bytes.count)] = UInt8(0x20 + random(0x5F)) }
      if random(4) == 0 { bytes.removeLast(random(bytes.count)) }
      let isRead = (try? JSONValue(parsing: bytes)) != nil
      let isReadByFoundation = (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
      // Foundation refuses numbers and surrogates that are well formed but have no value, and we do not.
      if isReadByFoundation { #expect(isRead, "\(String(decoding: bytes, as: UTF8.self))") }
    }
  }

  @Test(arguments: ["", "a\"b\\c\n\t\u{1}é日😀", "\u{7F}"])
  func quotedStringsAreReadAsTheyWere(text: String) throws {
    #expect(try JSONValue(parsing: JSONValue.quoted(text.utf8)).text?.utf8.elementsEqual(text.utf8) == true)
  }
}
