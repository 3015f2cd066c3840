import EsoLM
import Evaluation
import Foundation
import Randomness
import TestSupport
import Testing

/// Files that anyone may have written: read, or refused with one line that names the file; never a crash.
@Suite("Hostile input")
struct HostileInputTests {
  /// Copies of a text with some bytes overwritten, dropped or doubled.
  private func damaged(_ text: String, count: Int) -> [Data] {
    (0..<count).map { number in
      var generator = CounterGenerator(seed: 9, stream: .toyLanguage, major: number)
      var bytes = Array(text.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
        let place = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[place] = "0123456789-e\"{}[],:".utf8.randomElement(using: &generator)!
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...20, using: &generator)))
        default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 9)], at: place)
        }
      }
      return Data(bytes)
    }
  }

  private func expectOneLine(_ path: String, _ body: () throws -> Void) {
    guard let text = message(of: body) else { return }
    #expect(text.contains(path) && !text.contains("\n"), "\(text)")
  }

  @Test func configurationsOfJudges() throws {
    try Fixtures.withCopy(of: "metrics") { fixture in
      let path = "\(fixture)/judge/config.json"
      for data in damaged(try String(contentsOf: path), count: 300) {
        try data.write(to: URL(fileURLWithPath: path))
        expectOneLine("\(fixture)/judge") { _ = try GPT2(folder: "\(fixture)/judge") }
      }
    }
  }

  @Test func weightsOfJudges() throws {
    try Fixtures.withCopy(of: "metrics") { fixture in
      let path = "\(fixture)/judge/model.safetensors"
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      for number in 0..<200 {
        var generator = CounterGenerator(seed: 8, stream: .toyLanguage, major: number)
        var data = whole
        // In the header, where everything is said about the rest.
        for _ in 0..<3 {
          data[Int.random(in: 0..<2600, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        try data.write(to: URL(fileURLWithPath: path))
        expectOneLine(path) { _ = try GPT2(folder: "\(fixture)/judge") }
      }
    }
  }

  @Test func samplesAndQuestions() throws {
    let samples = #"{"formatVersion": 1, "run": "a", "length": 3, "samples": [{"text": "é", "tokens": [1, 2, 3]}]}"#
    let question = #"{"ctx": "a man", "endings": ["sits", "runs"], "label": 1}"#
    try withTemporaryFolder { folder in
      for data in damaged(samples, count: 500) {
        try data.write(to: URL(fileURLWithPath: "\(folder)/s.json"))
        expectOneLine("\(folder)/s.json") { _ = try SampleFile.read("\(folder)/s.json") }
      }
      for data in damaged("\(question)\n\(question)\n", count: 500) {
        try data.write(to: URL(fileURLWithPath: "\(folder)/q.jsonl"))
        expectOneLine("\(folder)/q.jsonl") { _ = try MultipleChoiceItem.read("\(folder)/q.jsonl") }
        _ = try? MultipleChoiceItem.read("\(folder)/q.jsonl", skipBadLines: true)
      }
    }
  }
}
