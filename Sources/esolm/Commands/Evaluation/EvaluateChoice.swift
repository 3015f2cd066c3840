import ArgumentParser
import EsoLM
import Evaluation
import Foundation
import Reports
import Runs
import Tool

struct EvaluateChoice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "choice",
    abstract: "Answer multiple-choice questions by exact likelihood (HellaSwag's format).",
    discussion: """
      Each line of the file is a JSON object with 'ctx' (a text), 'endings' (texts) and 'label' (the right one's index). \
      With --preprocess hellaswag texts are those of lm-evaluation-harness: the fields 'activity_label', 'ctx_a' and \
      'ctx_b' make the context, [title] becomes a full stop, what else is in brackets goes. \
      The context's tokens are given; an ending's log-probability is exact for an order, and the probabilities of K \
      orders are averaged. The likeliest ending is chosen, once as it is and once over its number of characters.
      """)

  @OptionGroup var options: LikelihoodOptions

  @Option(help: ArgumentHelp("The questions, a file of JSON lines.", valueName: "file"))
  var data: String

  @Option(help: "What is done to the texts: none or hellaswag.")
  var preprocess = MultipleChoiceItem.Preprocessing.none

  @Option(help: ArgumentHelp("Orders of generation for each ending.", valueName: "K"))
  var orders = 8

  @Option(help: ArgumentHelp("Use only the first questions.", valueName: "count"))
  var maxQuestions: Int?

  @Flag(help: "Leave out lines that are no question, and count them.")
  var skipBadLines = false

  @Flag(help: "Print results as JSON, with every answer.")
  var json = false

  func validate() throws {
    try require("orders", orders, in: 1...(1 << 20))
    try require("max-questions", maxQuestions, in: 1...Int.max)
  }

  func run() throws {
    let (run, likelihood) = try options.open()
    let result = try Self.result(
      run, scoring: PassageScoring(likelihood, orders: orders, batchSize: options.batch, seed: options.seed),
      data: data, preprocessing: preprocess, maxQuestions: maxQuestions, skipBadLines: skipBadLines)
    if json {
      return try printJSON(Rebuildable(result, try options.recipe(data: data, of: run)))
    }
    var table = Table(["choice by", "accuracy", "± error"])
    let accuracy = result.accuracy
    table.add(["likelihood", Format.percent(accuracy.accuracy), Format.percent(accuracy.standardError)])
    table.add([
      "likelihood per character", Format.percent(accuracy.accuracyPerCharacter),
      Format.percent(accuracy.standardErrorPerCharacter),
    ])
    let skipped = result.skippedLines.isEmpty ? "" : ", \(result.skippedLines.count) bad lines skipped"
    try printOutput(
      "\(accuracy.questions) questions\(skipped), preprocessing \(preprocess.rawValue), K = \(result.orders), \(run.methodText(likelihood.method))\n\(table.text)"
    )
  }

  struct Result: Encodable {
    var run: String
    var data: String
    var preprocessing: MultipleChoiceItem.Preprocessing
    var alpha0: Double?
    var orders: Int
    var skippedLines: [Int]
    var accuracy: MultipleChoice.Accuracy
    var answers: [Answer]

    struct Answer: Encodable {
      var line: Int
      var label: Int
      var choice: Int
      var choicePerCharacter: Int
      var logProbabilities: [Double]
    }
  }

  static func result(
    _ run: RunFolder, scoring: PassageScoring, data: String,
    preprocessing: MultipleChoiceItem.Preprocessing = .none, maxQuestions: Int?, skipBadLines: Bool
  ) throws -> Result {
    let contents = try MultipleChoiceItem.read(data, preprocessing: preprocessing, skipBadLines: skipBadLines)
    let items = contents.values.prefix(maxQuestions ?? .max)
    let choice = try MultipleChoice(scoring, tokenizer: run.tokenizer, length: run.configuration.method.length)
    var line = ShareLine()
    defer { line.clear() }
    let answers = try choice.answers(to: items.map { ("\(data), line \($0.line)", $0.value) }) {
      line.show("\(items.count) questions", $0)
    }
    return Result(
      run: run.path, data: data, preprocessing: preprocessing, alpha0: scoring.likelihood.method.diffusedShare,
      orders: scoring.orders,
      skippedLines: contents.badLines, accuracy: MultipleChoice.Accuracy(answers),
      answers: zip(items, answers).map { item, answer in
        Result.Answer(
          line: item.line, label: answer.label, choice: answer.choice, choicePerCharacter: answer.choicePerCharacter,
          logProbabilities: answer.logProbabilities)
      })
  }
}

extension MultipleChoiceItem.Preprocessing: ExpressibleByArgument {}
