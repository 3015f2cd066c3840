import EsoLM
import Evaluation
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("Multiple choice")
struct MultipleChoiceTests {
  private static let tokenizer = CharacterTokenizer(text: " abc")
  private let network = TransformerWeights.random(.small(vocabulary: 6)).transformer()

  private func choice(alpha0: Double = 0, orders: Int = 1, length: Int = 12) -> MultipleChoice {
    try! MultipleChoice(
      PassageScoring(try! Likelihood(network, alpha0: alpha0), orders: orders), tokenizer: Self.tokenizer,
      length: length)
  }

  @Test func anEndingIsScoredAfterItsContext() throws {
    let item = MultipleChoiceItem(context: "ab", endings: ["c", "ab", "cba"], label: 1)
    let answer = try choice().answers(to: [("here", item)])[0]
    for (index, ending) in item.endings.enumerated() {
      let tokens = try Self.tokenizer.encode("ab " + ending)
      let row = try! Likelihood(network, alpha0: 0).logProbabilities([(tokens, .leftToRight(length: tokens.count))])[0]
      #expect(abs(answer.logProbabilities[index] - row[2...].reduce(0, +)) < 1e-5)
      #expect(abs(answer.perCharacter[index] - row[2...].reduce(0, +) / Double(ending.count)) < 1e-5)
    }
    #expect(answer.choice == answer.logProbabilities.firstIndex(of: answer.logProbabilities.max()!))
    #expect(answer.choicePerCharacter == answer.perCharacter.firstIndex(of: answer.perCharacter.max()!))
    #expect(answer.label == 1)
  }

  /// Over all endings of a length, the mean over all orders of their probabilities adds up to 1.
  @Test func probabilitiesOfAllEndingsAddUpToOneOnAverage() throws {
    let endings = sequences(of: 4, length: 2).map { Self.tokenizer.decode($0) }
    // A space, then each of the 16: the probability of the space alone.
    let item = MultipleChoiceItem(context: "ab", endings: endings, label: 0)
    let answer = try choice().answers(to: [("here", item)])[0]
    let tokens = try Self.tokenizer.encode("ab ")
    let space = try! Likelihood(network, alpha0: 0).logProbabilities([(tokens, .leftToRight(length: 3))])[0][2]
    // The distribution is over five tokens, of which no ending here holds the end of text.
    let total = answer.logProbabilities.reduce(0) { $0 + exp($1) }
    #expect(total < exp(space) && total > 0)
    let withEnds = try sequences(of: 5, length: 2).map { try Passage(context: [1, 2], ending: [0] + $0) }
    let all = try PassageScoring(try! Likelihood(network, alpha0: 0)).scores(of: withEnds).map {
      exp($0.logProbability)
    }
    #expect(abs(all.reduce(0, +) - exp(space)) < 1e-5)
  }

  @Test func ofALongContextTheEndIsKept() throws {
    let ending = MultipleChoiceItem(context: "abcabcabc", endings: ["ab", "c"], label: 0)
    let cut = MultipleChoiceItem(context: "cabc", endings: ["ab", "c"], label: 0)
    let long = try choice(length: 7).answers(to: [("here", ending)])[0]
    let short = try choice(length: 7).answers(to: [("here", cut)])[0]
    #expect(abs(long.logProbabilities[0] - short.logProbabilities[0]) < 1e-5)
    #expect(
      message { try choice(length: 2).answers(to: [("q.jsonl, line 3", ending)]) }
        == "q.jsonl, line 3: an ending has 3 tokens, expected 1 to 2")
    let unknown = MultipleChoiceItem(context: "xy", endings: ["ab", "c"], label: 0)
    #expect(
      message { try choice().answers(to: [("q.jsonl, line 3", unknown)]) }?
        .hasPrefix("q.jsonl, line 3: line 1: character \"x\"") == true)
  }

  @Test func accuracyIsTheShareOfRightAnswers() {
    func answer(_ label: Int, _ raw: [Double], _ normalized: [Double]) -> MultipleChoice.Answer {
      .init(label: label, logProbabilities: raw, perCharacter: normalized)
    }
    let accuracy = MultipleChoice.Accuracy([
      answer(0, [-1, -2], [-2, -1]), answer(1, [-1, -2], [-2, -1]), answer(1, [-3, -2], [-2, -1]),
      answer(0, [-3, -2], [-2, -1]),
    ])
    #expect(accuracy.questions == 4)
    #expect(accuracy.accuracy == 0.5 && accuracy.accuracyPerCharacter == 0.5)
    #expect(accuracy.standardError == 0.25)
  }

  // MARK: Files

  private func read(_ text: String, skipBadLines: Bool = false) throws -> (items: [MultipleChoiceItem], skipped: [Int])
  {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/q.jsonl")
      let contents = try MultipleChoiceItem.read("\(folder)/q.jsonl", skipBadLines: skipBadLines)
      return (contents.values.map(\.value), contents.badLines)
    }
  }

  private let line = #"{"ind": 24, "ctx": "A man", "endings": ["sits.", "flies."], "label": 1, "split": "val"}"#

  @Test func questionsAreReadLineByLine() throws {
    let (items, skipped) = try read("\n\(line)\r\n \n\(line.replacingOccurrences(of: ": 1,", with: ": \"0\","))")
    #expect(items.map(\.label) == [1, 0])
    #expect(items[0] == MultipleChoiceItem(context: "A man", endings: ["sits.", "flies."], label: 1))
    #expect(skipped.isEmpty)
  }

  @Test(arguments: [
    ("{", "no valid JSON at byte 1: expected a key in quotes"), ("[]", "it is no JSON object"),
    ("{\"endings\": []}", "field 'ctx' is missing"),
    (#"{"ctx": "a", "endings": ["a", "b"]}"#, "field 'label' is missing"),
    (#"{"ctx": "a", "endings": ["a", "b"], "label": "x"}"#, "field 'label' is not a whole number"),
    (
      #"{"ctx": "a", "endings": ["a", "b"], "label": 18446744073709551616}"#,
      "a number does not fit its field (a fraction, a sign, or too large for a whole number)"
    ),
    (#"{"ctx": "a", "endings": ["a"], "label": 0}"#, "field 'endings' has 1 texts, expected at least 2"),
    (#"{"ctx": "a", "endings": ["a", "b"], "label": 2}"#, "field 'label' is 2, expected 0 to 1"),
    (#"{"ctx": "a", "endings": ["a", ""], "label": 1}"#, "field 'endings' holds an empty text"),
  ])
  func aLineThatIsNoQuestionIsNamed(bad: String, problem: String) throws {
    let text = try #require(message { try read("\(line)\n\(bad)\n") })
    #expect(text.hasSuffix("/q.jsonl, line 2: \(problem)"))
    let (items, skipped) = try read("\(line)\n\(bad)\n\(line)", skipBadLines: true)
    #expect(items.count == 2 && skipped == [2])
  }

  @Test func aFileWithoutQuestionsIsRefused() throws {
    #expect(message { try read("\n") }?.hasSuffix("/q.jsonl holds no question") == true)
  }
}
