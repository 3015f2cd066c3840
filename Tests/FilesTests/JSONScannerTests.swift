import Files
import Testing

@Suite("JSON scanner")
struct JSONScannerTests {
  private func scan<Result>(
    _ text: String, limit: Int = 1 << 20, _ body: (inout JSONScanner) throws -> Result
  ) throws -> Result {
    try Array(text.utf8).withUnsafeBufferPointer { bytes in
      var scanner = JSONScanner(bytes, budget: MemoryBudget(fileSize: limit))
      return try body(&scanner)
    }
  }

  @Test func whatIsNotAskedForIsPassedOver() throws {
    let text =
      #" {"a": {"x": ["y", {}, [], 1e3, -Infinity]}, "n": -7, "b": [true, null, false], "m": [1, 22], "c": "\"}"} "#
    var found: [String: [Int]] = [:]
    try scan(text) { scanner in
      try scanner.object { scanner, key in
        switch String(decoding: key, as: UTF8.self) {
        case "n": found["n"] = [try scanner.integer()]
        case "m": try scanner.array { found["m", default: []].append(try $0.integer()) }
        default: try scanner.skip()
        }
      }
      try scanner.end()
      #expect(scanner.budget.used == 0)
    }
    #expect(found == ["n": [-7], "m": [1, 22]])
  }

  @Test(arguments: [
    ("2.0", 0), ("1e3", 0), ("9223372036854775808", 0), (" \"1\"", 1), ("", 0), ("-", 0), ("01", 0), ("NaN", 0),
  ])
  func whatIsNoWholeNumberIsRefused(text: String, offset: Int) throws {
    let error = try #require(throws: JSONSyntaxError.self) { try scan(text) { try $0.integer() } }
    #expect(error.description == "no valid JSON at byte \(offset): expected a whole number")
  }

  @Test func wholeNumbersAreExact() throws {
    for number in [Int.min, Int.max, 1 << 53 + 1, 0] {
      #expect(try scan("\(number)") { try $0.integer() } == number)
    }
  }

  @Test(arguments: ["{1: 2}", "[1 2]", "[,]", "{\"a\" 1}", "[truth]", "[nothing]", "{\"a\": \"\\x\"}", "[01]"])
  func passingOverReadsAll(text: String) {
    #expect(throws: JSONSyntaxError.self) { try scan(text) { scanner in try scanner.skip() } }
  }

  @Test func deepNestingIsNotPassedOver() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    try scan(nested(64)) { try $0.skip() }
    let error = try #require(throws: JSONSyntaxError.self) { try scan(nested(65)) { try $0.skip() } }
    #expect(error.description == "no valid JSON at byte 65: expected at most 64 levels")
  }

  /// The smallest budget is 64 KiB.
  @Test func aStringBeyondTheBudgetIsNotMade() throws {
    let text = "\"" + String(repeating: "a", count: 100_000) + "\""
    #expect(throws: MemoryBudget.Exceeded.self) { try scan(text, limit: 0) { try $0.string() } }
    #expect(try scan(text) { try $0.string() }.count == 100_000)
  }

  @Test func textIsUTF8() throws {
    try scan(#"[1]"#) { scanner in
      let text = try scanner.text([0x61, 0xC3, 0xA9])
      #expect(text == "aé")
      #expect(throws: JSONSyntaxError.self) { try scanner.text([0x61, 0xC3]) }
    }
  }
}
