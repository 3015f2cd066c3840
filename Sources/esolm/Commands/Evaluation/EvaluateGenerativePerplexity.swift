import ArgumentParser
import Evaluation
import Files
import Foundation
import Tool

struct EvaluateGenerativePerplexity: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gen-ppl",
    abstract: "Measure how likely a judge finds samples (Gen. PPL).",
    discussion: """
      Samples are decoded, written anew in the judge's tokens, cut to the sample length, padded with ends of \
      text to the longest of them and judged in windows of the judge's context. A predicted token counts once if it is no end of text, or the first one of its window. Low values \
      are good only beside a high entropy: a judge likes repetition.
      """)

  @OptionGroup var samples: SampleOptions
  @OptionGroup var judge: JudgeOptions

  @Flag(help: "Print results as JSON.")
  var json = false

  func run() throws {
    let judge = try judge.load(device: samples.device.device)
    let set = try samples.load()
    let perplexity = try judge.perplexity(of: set.tokens(for: judge))
    guard perplexity.count > 0 else {
      throw FileError("\(set.origin): they hold no token that \(judge.name) predicts, expected at least one")
    }
    let result = GenerativePerplexityResult(perplexity, judge: judge.name)
    if json { return try printJSON(Rebuildable(result, try samples.recipe(of: set))) }
    var table = Table(["", "Gen. PPL", "nats/token", "± error", "tokens"])
    table.add([
      judge.name, Format.number(result.perplexity, digits: 3), Format.number(result.natsPerToken, digits: 4),
      result.standardError.map { Format.number($0, digits: 4) } ?? "–", "\(result.tokens)",
    ])
    try printOutput("\(set.origin)\n\(table.text)")
  }
}

/// Gen. PPL as it is printed and reported. Infinite where the judge finds a token impossible, or nothing is counted.
struct GenerativePerplexityResult: Encodable {
  var judge: String
  var perplexity: Double
  var natsPerToken: Double
  /// Of the nats per token.
  var standardError: Double?
  /// Tokens that were counted.
  var tokens: Int
  var samples: Int

  init(_ perplexity: GenerativePerplexity, judge: String) {
    self.judge = judge
    self.perplexity = perplexity.perplexity ?? .infinity
    natsPerToken = log(self.perplexity)
    standardError = perplexity.standardError.flatMap { $0.isFinite ? $0 : nil }
    tokens = perplexity.count
    samples = perplexity.sampleCount
  }
}
