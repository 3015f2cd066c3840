import Corpora
import EsoLM
import Evaluation
import TestSupport
import Testing
import Tokenizers
import Torch

@Suite("Bad values")
struct BadValueTests {
  private let likelihood = try! Likelihood(
    TransformerWeights.random(.small(vocabulary: 5)).transformer(), alpha0: 0.5)
  private let blocks = TokenBlocks(cutting: [0, 1, 2, 3], length: 4)

  @Test(arguments: badCounts) func counts(count: Int) throws {
    #expect(refusedField { try PerplexityEvaluation(likelihood, blocks: blocks, batchSize: count) } == "batchSize")
    #expect(refusedField { try PassageScoring(likelihood, orders: count) } == "orders")
    #expect(refusedField { try PassageScoring(likelihood, batchSize: count) } == "batchSize")
    let scoring = try PassageScoring(likelihood)
    #expect(refusedField { try MultipleChoice(scoring, tokenizer: ByteTokenizer(), length: count) } == "length")
    func judge(contextLength: Int = 4, vocabularySize: Int = 4) throws -> LeftToRightJudge {
      try LeftToRightJudge(
        likelihood, contextLength: contextLength, endOfText: 0, vocabularySize: vocabularySize)
    }
    #expect(refusedField { try judge(contextLength: count) } == "contextLength")
    #expect(refusedField { try judge(vocabularySize: count) } == "vocabularySize")
    #expect(refusedField { try judge(vocabularySize: .max) } == "vocabularySize")
    var perplexity = GenerativePerplexity()
    #expect(refusedField { try perplexity.add([[1]], judge: judge(), batchSize: count) } == "batchSize")
  }

  @Test func nothingToMeasure() {
    let empty = TokenBlocks(cutting: [], length: 4)
    #expect(refusedField { try PerplexityEvaluation(likelihood, blocks: empty) } == "blocks")
    #expect(refusedField { try Passage(context: [1], ending: []) } == "ending")
    #expect(refusedField { try Passage(tokens: [1], roles: []) } == "roles")
    #expect(refusedField { try Passage(tokens: [1], roles: [.given]) } == "roles")
    #expect(refusedField { try Passage(tokens: [], roles: []) } == "roles")
    #expect(message { try SpannedText("", spans: []) } == "no span to score")
  }

  @Test func questionsThatAreNone() throws {
    let choice = try MultipleChoice(PassageScoring(likelihood), tokenizer: CharacterTokenizer(text: " ab"), length: 8)
    for (endings, label, field) in [
      ([], 0, "endings"), (["a"], 0, "endings"), (["a", ""], 0, "endings"), (["a", "b"], 2, "label"),
      (["a", "b"], -1, "label"), (["a", "b"], .min, "label"),
    ] {
      let item = MultipleChoiceItem(context: "a", endings: endings, label: label)
      let found = message { try choice.answers(to: [("here", item)]) }
      #expect(found?.hasPrefix("here: field '\(field)' ") == true, "\(found ?? "nil")")
    }
  }

  @Test func optionsOfMauve() {
    let features = Tensor([0, 1, 1, 0, 1, 1, 0, 0] as [Float], shape: [4, 2])
    let changes: [(String, (inout Mauve.Options) -> Void)] = [
      ("buckets", { $0.buckets = 0 }), ("buckets", { $0.buckets = .min }), ("buckets", { $0.buckets = .max }),
      ("explainedVariance", { $0.explainedVariance = 0 }), ("explainedVariance", { $0.explainedVariance = .nan }),
      ("explainedVariance", { $0.explainedVariance = 2 }), ("restarts", { $0.restarts = 0 }),
      ("restarts", { $0.restarts = .max }), ("maxIterations", { $0.maxIterations = 0 }),
      ("mixtures", { $0.mixtures = 1 }), ("mixtures", { $0.mixtures = .max }), ("scale", { $0.scale = 0 }),
      ("scale", { $0.scale = .nan }), ("scale", { $0.scale = .infinity }),
    ]
    for (field, change) in changes {
      var options = Mauve.Options()
      change(&options)
      let found = message { try Mauve(features, features, options: options) }
      #expect(found?.contains("MAUVE's \(field)") == true, "\(field): \(found ?? "nil")")
    }
  }
}
