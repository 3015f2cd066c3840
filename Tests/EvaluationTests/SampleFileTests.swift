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
    (#""formatVersion": 1"#, #""formatVersion": 2"#, "field 'formatVersion' is 2, expected 1"),
    (#""formatVersion": 1,"#, "", "field 'formatVersion' is missing"),
    (#""length": 3"#, #""length": 0"#, "field 'length' is 0, expected at least 1"),
    ("[1, 2, 3]", "[1, -2, 3]", "field 'samples.0.tokens' holds -2, expected numbers from 0"),
    ("[1, 2, 3]", "\"x\"", "field 'samples.0.tokens' is not of type Array<Any>"),
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
}
