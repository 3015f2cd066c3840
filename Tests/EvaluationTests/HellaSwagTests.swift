import EsoLM
import Evaluation
import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// Against what lm-evaluation-harness 0.4.9 made of the same questions (`hellaswag.jsonl`, written by it).
@Suite("HellaSwag's preprocessing")
struct HellaSwagTests {
  private static let file = Fixtures.path(of: "hellaswag.jsonl")

  private struct Expected: Decodable {
    var context: String
    var separator: String
    var preprocessed: [String]
  }

  @Test func textsAreThoseOfTheHarness() throws {
    let expected = try JSONLinesFile.read(Expected.self, from: Self.file).values.map(\.value)
    let items = try MultipleChoiceItem.read(Self.file, preprocessing: .hellaSwag).values.map(\.value)
    #expect(items.count == 5)
    for (item, expected) in zip(items, expected) {
      #expect(scalars(item.context) == scalars(expected.context))
      #expect(item.separator == expected.separator)
      #expect(item.endings.map(scalars) == expected.preprocessed.map(scalars))
    }
  }

  @Test func endingsAreDividedByTheCodePointsThatAreLeft() throws {
    let network = TransformerWeights.random(.small(vocabulary: 258)).transformer()
    let choice = try MultipleChoice(
      PassageScoring(try! Likelihood(network, alpha0: 0)), tokenizer: ByteTokenizer(), length: 256)
    let items = try MultipleChoiceItem.read(Self.file, preprocessing: .hellaSwag).values.map { ("here", $0.value) }
    let lengths = [[37, 36], [19, 17], [17, 8], [2, 9], [5, 2]]  // The harness's.
    for (answer, lengths) in zip(try choice.answers(to: items), lengths) {
      for ((sum, score), length) in zip(zip(answer.logProbabilities, answer.perCharacter), lengths) {
        #expect(abs(score * Double(length) - sum) < 1e-9)
      }
    }
  }

  @Test func whatAQuestionLacksIsNamed() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/q.jsonl"
      func read(_ line: String) -> String? {
        message {
          try line.write(to: path)
          _ = try MultipleChoiceItem.read(path, preprocessing: .hellaSwag)
        }
      }
      #expect(
        read(#"{"ctx": "a", "endings": ["a", "b"], "label": 1}"#)
          == "\(path), line 1: field 'activity_label' is missing")
      #expect(
        read(#"{"activity_label": "a", "ctx_a": "b", "ctx_b": "", "endings": ["a", " [x] "], "label": 1}"#)
          == "\(path), line 1: field 'endings' holds an empty text")
    }
  }

  private func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }
}
