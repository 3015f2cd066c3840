import Files
import Foundation
import TestSupport
import Testing

@Suite("Files of JSON lines")
struct JSONLinesFileTests {
  private struct Entry: Codable, Equatable { var name: String }

  private func read(_ text: String, skipBadLines: Bool = false) throws -> JSONLinesFile.Contents<Entry> {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/e.jsonl")
      return try JSONLinesFile.read(from: "\(folder)/e.jsonl", skipBadLines: skipBadLines) { entry in
        if entry.name.isEmpty { throw FileError("field 'name' is empty") }
      }
    }
  }

  @Test func valuesComeWithTheirLines() throws {
    let contents = try read("{\"name\": \"a\"}\r\n\n \t\n{\"name\": \"b\\nc\", \"more\": 1}")
    #expect(contents.values.map(\.line) == [1, 4])
    #expect(contents.values.map(\.value.name) == ["a", "b\nc"])
    #expect(contents.badLines == [])
    #expect(try read("").values.isEmpty)
  }

  @Test(arguments: [
    ("{", "it is no valid JSON"), ("{} {}", "it is no valid JSON"), ("{}", "field 'name' is missing"),
    ("7", "it is no JSON object"), (#"{"name": 7}"#, "field 'name' is not of type String"),
    (#"{"name": ""}"#, "field 'name' is empty"),
  ])
  func aBadLineIsNamedOrSkipped(line: String, problem: String) throws {
    let good = #"{"name": "a"}"#
    let text = try #require(message { try read("\(good)\n\n\(line)\n\(good)") })
    #expect(text.hasSuffix("/e.jsonl, line 3: \(problem)"))
    let contents = try read("\(good)\n\n\(line)\n\(good)", skipBadLines: true)
    #expect(contents.values.map(\.line) == [1, 4] && contents.badLines == [3])
  }

  @Test func aMissingFileIsNamed() {
    #expect(
      message { try JSONLinesFile.read(Entry.self, from: "no/e.jsonl") }
        == "cannot read no/e.jsonl: there is no such file")
  }
}
