import Evaluation
import Foundation
import TestSupport
import Testing

@Suite("Sample files")
struct SampleFileTests {
  private func read(_ text: String) throws -> SampleFile {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/s.json")
      return try SampleFile.read("\(folder)/s.json")
    }
  }

  private let whole = """
    {"formatVersion": 1, "run": "runs/a", "length": 3, "nfe": 4,
     "samples": [{"text": "abc", "tokens": [1, 2, 3]}, {"text": "", "tokens": []}]}
    """

  @Test func samplesAreRead() throws {
    let file = try read(whole)
    #expect(file.run == "runs/a" && file.length == 3)
    #expect(file.samples.map(\.tokens) == [[1, 2, 3], []])
    #expect(file.samples.map(\.text) == ["abc", ""])
  }

  @Test(arguments: [
    (#""formatVersion": 1"#, #""formatVersion": 3"#, "field 'formatVersion' is 3, expected 1 or 2"),
    (#""formatVersion": 1,"#, "", "field 'formatVersion' is missing, expected 1 or 2"),
    (#""length": 3"#, #""length": 0"#, "field 'length' is 0, expected at least 1"),
    ("[1, 2, 3]", "[1, -2, 3]", "field 'samples.0.tokens' holds -2, expected numbers from 0"),
    ("[1, 2, 3]", "\"x\"", "field 'samples.0.tokens' is not a list"),
    (#""text": "","#, "", "field 'samples.1.text' is missing"),
    ("{\"formatVersion", "[\"formatVersion", "it is no valid JSON"),
  ])
  func whatDoesNotFitIsNamed(field: String, replacement: String, problem: String) throws {
    try #require(whole.contains(field))
    let text = try #require(message { try read(whole.replacingOccurrences(of: field, with: replacement)) })
    #expect(text.hasSuffix("/s.json: \(problem)"))
  }

  @Test func aFileWithoutSamplesIsRefused() {
    #expect(
      message { try read(#"{"formatVersion": 1, "run": "a", "length": 3, "samples": []}"#) }?
        .hasSuffix("/s.json: field 'samples' is empty, expected a sample") == true)
  }

  // MARK: A line for each

  private let lines = """
    {"formatVersion": 2, "run": "runs/a", "length": 3, "number": 1, "text": "b", "tokens": [2]}
    {"formatVersion": 2, "run": "runs/a", "length": 4, "number": 0, "text": "a", "tokens": [1, 0]}

    """

  @Test func linesAreReadInTheOrderOfTheirNumbers() throws {
    let file = try read(lines)
    #expect(file.run == "runs/a" && file.length == 4)
    #expect(file.samples.map(\.text) == ["a", "b"] && file.samples.map(\.tokens) == [[1, 0], [2]])
  }

  private static let damages: [(String, String, String)] = [
    (
      #""formatVersion": 2, "run": "runs/a", "length": 4"#, #""formatVersion": 1, "run": "runs/a", "length": 4"#,
      "line 2: field 'formatVersion' is 1, expected 2"
    ),
    (#"{"formatVersion": 2, "run""#, #"{"run""#, "line 1: field 'formatVersion' is missing, expected 2"),
    ("[1, 0]}", "[1, 0]", "line 2: no valid JSON at byte 93: expected ',' or '}'"),
    (#""number": 0, "#, "", "line 2: field 'number' is missing"),
    (#""length": 3"#, #""length": 0"#, "line 1: field 'length' is 0, expected at least 1"),
    ("[1, 0]", "[1, -7]", "line 2: field 'tokens' holds -7, expected numbers from 0"),
    (
      #""run": "runs/a", "length": 4"#, #""run": "b", "length": 4"#,
      "line 2: field 'run' is b, expected runs/a as in the first line"
    ),
  ]

  @Test(arguments: damages)
  func whatDoesNotFitInALineIsNamed(field: String, replacement: String, problem: String) throws {
    try #require(lines.contains(field))
    let text = try #require(message { try read(lines.replacingOccurrences(of: field, with: replacement)) })
    #expect(text.hasSuffix("/s.json, \(problem)"), "\(text)")
  }
}
