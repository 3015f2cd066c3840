import ArgumentParser
import EsoLM
import Evaluation
import Foundation
import Reports
import Runs
import Tool

struct EvaluateScore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Compute the log-probability of parts of a text given other parts.",
    discussion: """
      Ranges are START:END in characters from 0, END not included. What is neither in a --span nor --given is given \
      too, unless a --given is named: then it counts as not yet written. The log-probability is exact for an order of \
      generation; over K orders the probabilities are averaged. The text becomes tokens piece by piece, so that none \
      lies across the edge of a range; where a tokenizer takes a space to the word after it, begin a range with it.

      Example: esolm eval score RUN --text "the dogs run." --span 4:8 --orders 16
      """)

  @OptionGroup var options: LikelihoodOptions

  @Option(help: "The text.")
  var text: String

  @Option(help: ArgumentHelp("A part to score; can be named several times.", valueName: "start:end"))
  var span: [CharacterRange] = []

  @Option(help: ArgumentHelp("A part that is given; can be named several times.", valueName: "start:end"))
  var given: [CharacterRange] = []

  @Option(help: ArgumentHelp("Orders of generation.", valueName: "K"))
  var orders = 16

  @Flag(help: "Print results as JSON, with the log-probability of every order.")
  var json = false

  func validate() throws {
    try require("orders", orders, in: 1...(1 << 20))
    _ = try spanned()
  }

  private func spanned() throws -> SpannedText {
    do {
      return try SpannedText(text, spans: span.map(\.range), given: given.isEmpty ? nil : given.map(\.range))
    } catch {
      throw ValidationError("--span, --given: \(error)")
    }
  }

  func run() throws {
    let (run, likelihood) = try options.open()
    let passage = try spanned().passage(run.tokenizer)
    var line = ShareLine()
    let score = try PassageScoring(likelihood, orders: orders, batchSize: options.batch, seed: options.seed).scores(
      of: [passage]) {
        line.show("\(orders) orders", $0)
      }[0]
    line.clear()
    let result = Result(run: options.folder, alpha0: likelihood.method.diffusedShare, score)
    if json {
      return try printJSON(Rebuildable(result, try options.recipe(data: "the text in the command", of: run)))
    }
    var table = Table(["orders", "log p (nats)", "nats/token", "lowest order", "highest order"])
    table.add([
      "\(result.orders)", Format.number(result.logProbability, digits: 4),
      Format.number(result.logProbability / Double(result.tokens), digits: 4),
      Format.number(score.perOrder.min()!, digits: 4), Format.number(score.perOrder.max()!, digits: 4),
    ])
    try printOutput("\(result.tokens) tokens scored, \(run.methodText(likelihood.method))\n\(table.text)")
  }

  private struct Result: Encodable {
    var run: String
    var alpha0: Double?
    /// Orders that were averaged: one where α₀ is 0, since there is no other.
    var orders: Int
    var tokens: Int
    /// In nats.
    var logProbability: Double
    var perOrder: [Double]

    init(run: String, alpha0: Double?, _ score: PassageScoring.Score) {
      self.run = run
      self.alpha0 = alpha0
      orders = score.perOrder.count
      tokens = score.tokens
      logProbability = score.logProbability
      perOrder = score.perOrder
    }
  }
}

/// START:END.
struct CharacterRange: ExpressibleByArgument {
  let range: Range<Int>

  init?(argument: String) {
    let ends = argument.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard ends.count == 2, let start = ends[0], let end = ends[1], start <= end else { return nil }
    range = start..<end
  }
}
