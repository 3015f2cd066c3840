import Files
import Foundation
import TestSupport
import Testing

@Suite("JSON files")
struct JSONFileTests {
  private struct Run: Codable, Equatable {
    struct Step: Codable, Equatable { var rate: Double }
    var name: String
    var steps: [Step]
    var limit: UInt8?
  }

  private let run = Run(name: "a/b", steps: [.init(rate: 0.5), .init(rate: 1e-3)])

  @Test func aValueIsReadAsItWasWritten() throws {
    try withTemporaryFolder { folder in
      try JSONFile.write(run, to: "\(folder)/run.json")
      #expect(try JSONFile.read(Run.self, from: "\(folder)/run.json") == run)
      #expect(try contents(of: folder) == ["run.json"])
    }
  }

  @Test func aFileIsReadableWithSortedKeys() throws {
    try withTemporaryFolder { folder in
      try JSONFile.write(Run(name: "a/b", steps: [], limit: 3), to: "\(folder)/run.json")
      #expect(
        try String(contentsOf: "\(folder)/run.json") == """
          {
            "limit" : 3,
            "name" : "a/b",
            "steps" : [

            ]
          }

          """)
    }
  }

  @Test func unknownFieldsAreIgnored() throws {
    try withTemporaryFolder { folder in
      try #"{"name": "a/b", "steps": [{"rate": 0.5}, {"rate": 1e-3, "why": "?"}], "x": null}"#
        .write(to: "\(folder)/run.json")
      #expect(try JSONFile.read(Run.self, from: "\(folder)/run.json") == run)
    }
  }

  @Test(arguments: [
    ("", "it is no valid JSON"),
    ("{", "it is no valid JSON"),
    (#"{"name": "a", "steps": []} 7"#, "it is no valid JSON"),
    (#"{"steps": []}"#, "field 'name' is missing"),
    (#"{"name": 3, "steps": []}"#, "field 'name' is not a text"),
    (#"{"name": null, "steps": []}"#, "field 'name' is null, expected a text"),
    (#"{"name": "a", "steps": [{"rate": 1}, {}]}"#, "field 'steps.1.rate' is missing"),
    (#"{"name": "a", "steps": [{"rate": "fast"}]}"#, "field 'steps.0.rate' is not a number"),
  ])
  func whatDoesNotFitIsNamed(text: String, problem: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/run.json"
      try text.write(to: path)
      #expect(message { try JSONFile.read(Run.self, from: path) } == "\(path): \(problem)")
    }
  }

  /// As other programs write and read it.
  @Test(arguments: [
    #"{"name": "b", "steps": [], "name": "a/b", "steps": [{"rate": 7, "rate": 0.5}, {"rate": 1e-3}]}"#,
    #"{"name": "a/b", "more": NaN, "steps": [{"rate": 0.5}, {"rate": 0.001, "x": -Infinity}]}"#,
  ])
  func theLastOfEqualKeysCountsAndNaNHarmsNoOther(text: String) throws {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/run.json")
      #expect(try JSONFile.read(Run.self, from: "\(folder)/run.json") == run)
    }
  }

  @Test func aFileThatIsTooLargeIsRefused() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/run.json"
      #expect(FileManager.default.createFile(atPath: path, contents: nil))
      let file = try #require(FileHandle(forWritingAtPath: path))
      try file.truncate(atOffset: 64 << 20 | 1)
      try file.close()
      #expect(
        message { try JSONFile.read(Run.self, from: path) }
          == "\(path) has 67108865 bytes, expected a JSON file of at most 67108864")
    }
  }

  @Test func aMissingFileIsNamed() {
    #expect(
      message { try JSONFile.read(Run.self, from: "no/run.json") } == "cannot read no/run.json: there is no such file")
  }

  @Test func aValueThatJSONCannotHoldLeavesNoFile() throws {
    try withTemporaryFolder { folder in
      #expect(message { try JSONFile.write([Double.nan], to: "\(folder)/a.json") } != nil)
      let left = try contents(of: folder)
      #expect(left == [])
    }
  }
}
