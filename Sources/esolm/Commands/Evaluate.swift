import ArgumentParser
import Checkpoints
import Corpora
import EsoLM
import Evaluation
import Foundation
import Tokenizers
import Training

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measure how well a run predicts text.",
    discussion: """
      The NELBO is an upper bound on the negative log-likelihood (for AR, that itself); with --orders K the exact \
      likelihood of Eso-LM (B) under K generation orders a sequence is averaged, a bound that tightens as K grows. \
      Perplexities are per predicted token.
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @Option(help: ArgumentHelp("A text file. (default: what the run kept for validation)", valueName: "file"))
  var data: String?

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(name: .customLong("alpha0"), help: "Eso-LM: share that diffusion writes. (default: the run's)")
  var alpha0: Double?

  @Option(help: ArgumentHelp("Also compute exact perplexity with this many orders a sequence.", valueName: "K"))
  var orders: Int?

  @Option(help: "How often to draw the noise of each sequence for the NELBO.")
  var draws = 1

  @Option(help: ArgumentHelp("Use only the first sequences.", valueName: "count"))
  var maxSequences: Int?

  @Option(help: "Sequences of one network pass.")
  var batch = 16

  @Option(help: "The seed of noise and orders.")
  var seed: UInt64 = 0

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("alpha0", alpha0, in: 0...1)
    try require("orders", orders, in: 1...(1 << 20))
    try require("draws", draws, in: 1...(1 << 20))
    try require("max-sequences", maxSequences, in: 1...)
    try require("batch", batch, in: 1...(1 << 16))
  }

  func run() throws {
    try device.apply()
    let run = try RunFolder(opening: folder)
    let method = try algorithm.method(of: run, alpha0: alpha0)
    let length = run.configuration.method.length
    var blocks =
      if let data {
        try TokenBlocks(documents: [TextFile.read(data)], name: data, tokenizer: run.tokenizer, length: length)
      } else {
        try DataSet(run.configuration.data, length: length, tokenizer: run.tokenizer).validation
      }
    if let maxSequences, maxSequences < blocks.count {
      blocks = TokenBlocks(cutting: Array(blocks.tokens.prefix(maxSequences * length)), length: length)
    }
    let model = try run.model(weights.rawWeights ? .model : .average, device: device.device)
    let alpha0 = alpha0 ?? run.configuration.method.alpha0
    let likelihood = Likelihood(model.network(), method: method)
    if let orders, !likelihood.isExact {
      throw ValidationError(
        "--orders is \(orders), expected none: \(run.configuration.method.algorithm.rawValue) has no exact likelihood")
    }
    let evaluation = PerplexityEvaluation(likelihood, blocks: blocks, batchSize: batch, seed: seed)

    var line = ProgressLine()
    let start = ContinuousClock.now
    func progress(_ what: String) -> (Double) -> Void {
      { share in
        let elapsed = (ContinuousClock.now - start).seconds
        line.show(
          "\(what) \(Format.percent(share)), \(Format.count(Double(blocks.tokens.count) * share)) tokens, "
            + "\(Format.time(elapsed)) elapsed")
      }
    }
    let characters = run.tokenizer.decode(blocks.tokens).unicodeScalars.count
    var results = [
      Result("nelbo", evaluation.nelbo(draws: draws, progress: progress("NELBO")), characters, blocks.tokens.count)
    ]
    if let orders {
      results += evaluation.exact(orders: orders, progress: progress("exact")).map {
        Result("exact, K = \($0.orders)", $0.estimate, characters, blocks.tokens.count, orders: $0.orders)
      }
    }
    line.clear()
    if json {
      try printJSON(
        Report(
          run: folder, algorithm: run.configuration.method.algorithm.rawValue, alpha0: alpha0, sequences: blocks.count,
          length: length, tokens: blocks.tokens.count,
          characters: characters, results: results))
    } else {
      try printTable(results, of: run.configuration.method.algorithm, alpha0: alpha0, blocks: blocks)
    }
  }

  private struct Report: Encodable {
    var run: String
    var algorithm: String
    var alpha0: Double?
    var sequences: Int
    var length: Int
    var tokens: Int
    var characters: Int
    var results: [Result]
  }

  private struct Result: Encodable {
    var name: String
    var orders: Int?
    var perplexity: Double
    var natsPerToken: Double
    var standardError: Double?
    var bitsPerToken: Double
    var bitsPerCharacter: Double

    init(
      _ name: String, _ estimate: PerplexityEvaluation.Estimate, _ characters: Int, _ tokens: Int, orders: Int? = nil
    ) {
      self.name = name
      self.orders = orders
      perplexity = estimate.perplexity
      natsPerToken = estimate.nats
      standardError = estimate.standardError
      bitsPerToken = estimate.bitsPerToken
      bitsPerCharacter = estimate.bitsPerToken * Double(tokens) / Double(max(1, characters))
    }
  }

  private func printTable(
    _ results: [Result], of algorithm: MethodConfiguration.Algorithm, alpha0: Double?, blocks: TokenBlocks
  ) throws {
    var table = Table(["", "perplexity", "nats/token", "± error", "bits/token", "bits/character"])
    for result in results {
      table.add([
        result.name, Format.number(result.perplexity, digits: 3), Format.number(result.natsPerToken, digits: 4),
        result.standardError.map { Format.number($0, digits: 4) } ?? "–",
        Format.number(result.bitsPerToken, digits: 4), Format.number(result.bitsPerCharacter, digits: 4),
      ])
    }
    let name = alpha0.map { "α₀ = \($0)" } ?? algorithm.rawValue
    try printOutput("\(blocks.count) sequences of \(blocks.length) tokens, \(name)\n\(table.text)")
  }
}
