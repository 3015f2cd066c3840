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
    ("{", "no valid JSON at byte 1: expected a key in quotes"), ("{} {}", "no valid JSON at byte 3: expected the end"),
    ("{}", "field 'name' is missing"),
    ("7", "it is no JSON object"), (#"{"name": 7}"#, "field 'name' is not a text"),
    (#"{"name": ""}"#, "field 'name' is empty"),
  ])
  func aBadLineIsNamedOrSkipped(line: String, problem: String) throws {
    let good = #"{"name": "a"}"#
    let text = try #require(message { try read("\(good)\n\n\(line)\n\(good)") })
    #expect(text.hasSuffix("/e.jsonl, line 3: \(problem)"))
    let contents = try read("\(good)\n\n\(line)\n\(good)", skipBadLines: true)
    #expect(contents.values.map(\.line) == [1, 4] && contents.badLines == [3])
  }

  @Test(arguments: [
    "\u{FEFF}", "{\"name\": \"x\", \"n\": NaN, \"name\": \"a\"}\r", "\r{\"name\": \"a\", \"n\": -Infinity}\r",
  ])
  func whatOtherProgramsWriteIsRead(start: String) throws {
    let contents = try read("\(start){\"name\": \"a\"}")
    #expect(contents.values.allSatisfy { $0.value.name == "a" } && !contents.values.isEmpty)
  }

  @Test func whatIsNoTextIsCalledByItsName() throws {
    let problem = try #require(message { try read("version https://git-lfs.github.com/spec/v1\n") })
    #expect(
      problem.hasSuffix("e.jsonl: it is a Git LFS pointer, not the file itself, expected a JSON object on each line"))
  }

  @Test func bytesThatAreNoTextAreNamed() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/e.jsonl"
      try (Data("{\"name\": \"ok\"}\n{\"name\": \"é".utf8) + [0xE2, 0x28] + Data("\"}\n".utf8))
        .write(to: URL(fileURLWithPath: path))
      #expect(
        message { try JSONLinesFile.read(Entry.self, from: path) }
          == "\(path), line 2: byte 13 of the line is 0xE2; expected UTF-8 text")
    }
  }

  @Test func aMissingFileIsNamed() {
    #expect(
      message { try JSONLinesFile.read(Entry.self, from: "no/e.jsonl") }
        == "cannot read no/e.jsonl: there is no such file")
  }
}
