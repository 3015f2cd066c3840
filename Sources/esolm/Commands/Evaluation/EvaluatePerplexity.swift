import ArgumentParser
import Corpora
import EsoLM
import Evaluation
import Files
import Foundation
import Reports
import Runs
import Tokenizers
import Tool
import Torch
import Training

struct EvaluatePerplexity: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ppl",
    abstract: "Measure how well a run predicts text.",
    discussion: """
      The NELBO is an upper bound on the negative log-likelihood (for AR, that itself), its integral over noise estimated by random draws. \
      With --exact the exact likelihoods under 1, 2, 4 … K generation orders a sequence are averaged, a bound that \
      tightens as K grows; beside it stands IMDCE, the bound of pure diffusion (α₀ = 1) with its integral in closed form. \
      The error is the standard error over sequences; the Monte-Carlo error is that part of it which more draws would \
      lower. Perplexities are per token that the method predicts; padding is none, and comes last in every order.
      """)

  @OptionGroup var options: LikelihoodOptions

  @Option(
    help: ArgumentHelp(
      "A file or folder of text, JSON lines or CSV, or a token file. (default: what the run kept for validation)",
      valueName: "path"))
  var data: String?

  @Flag(help: "Also compute exact perplexity, under 8 orders a sequence unless --orders says otherwise.")
  var exact = false

  @Option(help: "How often to draw the noise of each sequence for the NELBO and IMDCE.")
  var draws = 2

  @OptionGroup var bounds: BoundOptions

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup(title: "Data") var corpus: CorpusOptions

  func validate() throws {
    try require("draws", draws, in: 1...(1 << 20))
  }

  func run() throws {
    Torch.keepMemory()
    let (run, likelihood) = try options.open()
    let orders = bounds.orders
    if exact || orders != nil { try run.requireExact(likelihood, for: exact ? "exact" : "orders") }
    let corpus = try corpus.group()
    let blocks = try Self.blocks(of: run, data: data, corpus, maxSequences: bounds.maxSequences)
    let results = try Self.measure(
      try PerplexityEvaluation(likelihood, blocks: blocks, batchSize: options.batch, seed: options.seed),
      orders: orders ?? (exact ? 8 : nil), draws: draws)
    let tokens = blocks.indices.reduce(0) { $0 + blocks.contentCount($1) }
    let characters = run.tokenizer.characterCount(
      of: blocks.indices.lazy.flatMap { blocks[$0].prefix(blocks.contentCount($0)) })
    let rows = results.map { Row($0, characters: characters, tokens: tokens) }
    if json {
      let report = Report(
        run: options.folder, algorithm: run.configuration.method.algorithm.rawValue,
        alpha0: likelihood.method.diffusedShare, sequences: blocks.count, length: blocks.length, draws: draws,
        tokens: tokens, characters: characters, results: rows)
      let text = data ?? corpus.dataset.map { "\($0) in \(corpus.folder!)" } ?? run.validationText
      try printJSON(Rebuildable(report, try options.recipe(data: text, of: run)))
    } else {
      try printTable(rows, method: run.methodText(likelihood.method), blocks: blocks, tokens: tokens)
    }
  }

  // MARK: Measuring

  /// The text of files, or what the run kept for validation, in sequences of the run's length.
  ///
  /// - Parameter corpus: how files are read; nil if there are no options for that.
  static func blocks(
    of run: RunFolder, data: String?, _ corpus: CorpusSettings? = nil, maxSequences: Int?
  ) throws -> TokenBlocks {
    let length = run.configuration.method.length
    let blocks =
      if let corpus, data != nil || corpus.dataset != nil {
        try asUsage {
          try corpus.blocks(data: data.map { [$0] } ?? [], length: length, tokenizer: run.tokenizer)
        }
      } else if let data {
        try CorpusConfiguration(source: CorpusSource(paths: [data])).blocks(length: length, tokenizer: run.tokenizer)
      } else {
        try run.corpus(length: length).validation
      }
    return blocks.first(maxSequences ?? .max)
  }

  /// One of the bounds.
  struct Bound {
    var name: String
    var orders: Int?
    var estimate: PerplexityEvaluation.Estimate
  }

  /// The NELBO and, with orders, the exact bounds and IMDCE.
  ///
  /// - Throws: ``EsoLM/LogitsError`` if one is NaN.
  static func measure(_ evaluation: PerplexityEvaluation, orders: Int?, draws: Int) throws -> [Bound] {
    var line = ShareLine()
    defer { line.clear() }
    let tokens = Double(evaluation.blocks.count * evaluation.blocks.length)
    func progress(_ what: String) -> (Double) -> Void {
      { line.show(what, $0, "\(Format.count(tokens * $0)) tokens") }
    }
    var bounds = [
      Bound(name: "nelbo", estimate: try evaluation.nelbo(draws: draws, progress: progress("NELBO")).checked())
    ]
    guard let orders else { return bounds }
    bounds += evaluation.exact(orders: orders, progress: progress("exact")).map {
      Bound(name: "exact, K = \($0.orders)", orders: $0.orders, estimate: $0.estimate)
    }
    // At α₀ = 0 the diffusion pass was never trained.
    if evaluation.likelihood.method.diffusionPass != nil, evaluation.likelihood.method.diffusedShare != 0 {
      bounds.append(Bound(name: "imdce, α₀ = 1", estimate: evaluation.imdce(draws: draws, progress: progress("IMDCE"))))
    }
    return bounds
  }

  // MARK: Printing

  private struct Report: Encodable {
    var run: String
    var algorithm: String
    var alpha0: Double?
    var sequences: Int
    var length: Int
    var draws: Int
    var tokens: Int
    var characters: Int
    var results: [Row]
  }

  private struct Row: Encodable {
    var name: String
    var orders: Int?
    var perplexity: Double
    var natsPerToken: Double
    var standardError: Double?
    var monteCarloError: Double?
    var bitsPerToken: Double
    var bitsPerCharacter: Double

    init(_ bound: Bound, characters: Int, tokens: Int) {
      name = bound.name
      orders = bound.orders
      perplexity = bound.estimate.perplexity
      natsPerToken = bound.estimate.nats
      standardError = bound.estimate.standardError
      monteCarloError = bound.estimate.monteCarloError
      bitsPerToken = bound.estimate.bitsPerToken
      bitsPerCharacter = bound.estimate.bitsPerToken * Double(tokens) / Double(max(1, characters))
    }
  }

  private func printTable(_ rows: [Row], method: String, blocks: TokenBlocks, tokens: Int) throws {
    var table = Table(["", "perplexity", "nats/token", "± error", "± Monte Carlo", "bits/token", "bits/character"])
    for row in rows {
      table.add([
        row.name, Format.number(row.perplexity, digits: 3), Format.number(row.natsPerToken, digits: 4),
        row.standardError.map { Format.number($0, digits: 4) } ?? "–",
        row.monteCarloError.map { Format.number($0, digits: 4) } ?? "–",
        Format.number(row.bitsPerToken, digits: 4), Format.number(row.bitsPerCharacter, digits: 4),
      ])
    }
    let padding = blocks.count * blocks.length - tokens
    let size =
      "\(blocks.count) sequences of \(blocks.length) tokens" + (padding == 0 ? "" : ", \(padding) of them padding")
    try printOutput("\(size), \(method)\n\(table.text)")
  }
}
