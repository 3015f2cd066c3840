import Foundation
import Parity
import TestSupport
import Testing

@Suite("Parity cases about text")
struct TextCaseTests {
  @Test(arguments: Fixtures.textNames)
  func textsComeOutAsRecorded(name: String) throws {
    let results = try Parity.verify(folder: Fixtures.path(of: name))
    #expect(results.count { $0.passed } >= 5)
    for result in results where result.skipped == nil {
      #expect(result.passed, "\(result.tensor): \(result.error) wrong")
    }
  }

  @Test func setsWithoutTheirVocabularyAreSkipped() throws {
    let results = try Parity.verify(folder: Fixtures.path(of: "tokenizers"), vocabularies: "/nowhere")
    #expect(results.filter { $0.skipped != nil }.map(\.tensor) == ["gpt2", "bert"])
    #expect(!results.contains { $0.failed })
  }

  @Test func aVocabularyThatIsNamedIsUsed() throws {
    try withTemporaryFolder { folder in
      // The small vocabulary in the place of the large one gives other ids.
      try FileManager.default.createDirectory(atPath: "\(folder)/gpt2", withIntermediateDirectories: false)
      try FileManager.default.copyItem(
        atPath: "\(Fixtures.path(of: "tokenizers"))/tokenizer.json", toPath: "\(folder)/gpt2/tokenizer.json")
      let results = try Parity.verify(folder: Fixtures.path(of: "tokenizers"), vocabularies: folder)
      #expect(
        results.filter(\.failed).map(\.tensor) == ["gpt2 by gpt2: ids, 62 texts", "gpt2 by gpt2: decoded, 62 texts"])
    }
  }

  @Test(arguments: [
    ("tokenizers", "276", "275"), ("tokenizers", "don't can't", "don't  can't"),
    ("detokenizers", "== Heading", "==Heading"),
  ])
  func aChangedCaseFails(name: String, old: String, new: String) throws {
    try Fixtures.withCopy(of: name) { folder in
      let path = "\(folder)/cases.json"
      let text = try String(contentsOf: path)
      let range = try #require(text.range(of: old))
      try text.replacingCharacters(in: range, with: new).write(to: path)
      #expect(try Parity.verify(folder: folder).contains { $0.failed })
    }
  }

  @Test(arguments: [
    ("{", "no valid JSON at byte 1: expected a key in quotes"), ("[]", "it is no JSON object"),
    ("{}", "it holds no list of cases"), (#"{"klingon": []}"#, "unknown set 'klingon'"),
    (#"{"lm1b": [{"text": "a"}]}"#, "case 0 of 'lm1b' has no 'text' or 'expected'"),
  ])
  func whatIsNoCaseIsNamed(json: String, problem: String) throws {
    try Fixtures.withCopy(of: "detokenizers") { folder in
      try json.write(to: "\(folder)/cases.json")
      #expect(message { try Parity.verify(folder: folder) } == "\(folder)/cases.json: \(problem)")
    }
  }
}
