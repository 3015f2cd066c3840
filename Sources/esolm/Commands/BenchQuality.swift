import ArgumentParser
import Comparison
import Corpora
import EsoLM
import Files
import Foundation
import Reports
import Runs
import Tool

struct BenchQuality: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quality",
    abstract: "Measure what texts of trained runs lose and cost, by every way of writing them.",
    discussion: """
      The ways: the paper's plan and the block plan over their steps, adaptive plans in as many calls as the paper's \
      (one of them with candidates farthest first), and, for Eso-LM (B), drafts beside one token a call in three \
      orders. What is lost needs no judge: log p of a text under its plan less that of writing its tokens one at a \
      time in the same order, in nats a token; 0 for drafts. For methods without exact probabilities (MDLM, Eso-LM \
      (A)) a --judge tells. Of runs on the toy language the share of grammatical sentences is told too.

        esolm bench quality runs/first --steps 8,16,32,64 --out quality.html
      """)

  @Argument(help: ArgumentHelp("Run folders of Eso-LM or MDLM.", valueName: "run"))
  var runs: [String]

  @Option(
    help: ArgumentHelp(
      "Steps of the paper's plan and the block plan, separated by commas. (default: 4,8,16,32,64 up to the length)",
      valueName: "list"))
  var steps: String?

  @Option(name: .customLong("alpha0"), help: "Eso-LM: share that diffusion writes. (default: the run's)")
  var alpha0: Double?

  @Option(help: "Drafts of a call, or auto.")
  var draft = DraftWidth(argument: "auto")!

  @Option(help: "Tokens of a text. (default: the run's)")
  var length: Int?

  @Option(help: "Texts to write in each way.")
  var numSamples = 32

  @Option(help: "Texts to write at a time.")
  var batch = 8

  @Option(help: "The seed of plans and tokens.")
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("Keep the likeliest tokens whose probabilities reach this.", valueName: "p"))
  var topP = 1.0

  @Option(help: ArgumentHelp("Divides the logits; 0 takes the likeliest token.", valueName: "t"))
  var temperature = 1.0

  @Option(help: ArgumentHelp("Who judges texts as well, as for gen-ppl.", valueName: "folder"))
  var judge: String?

  @Option(help: ArgumentHelp("Where the judge's tokenizer is. (default: in its folder)", valueName: "folder or file"))
  var judgeTokenizer: String?

  @Option(help: ArgumentHelp("A page with table and plots, or a picture, ending in .html or .svg.", valueName: "file"))
  var out: String?

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  private var timeSteps: [Int]? {
    get throws {
      guard let steps else { return nil }
      return try list("steps", steps, "a number from 1 to 1048576") { text in
        Int(text).flatMap { (1...(1 << 20)).contains($0) ? $0 : nil }
      }
    }
  }

  func validate() throws {
    _ = try timeSteps
    try require("alpha0", alpha0, in: 0...1)
    try require("draft", draft.count, in: 1...Speculation.widest)
    try require("length", length, in: 2...(1 << 20))
    try require("num-samples", numSamples, in: 1...(1 << 20))
    try require("batch", batch, in: 1...(1 << 16))
    _ = try asUsage { try TokenPicker(temperature: temperature, topP: topP) }
    if let out, !out.hasSuffix(".html"), !out.hasSuffix(".svg") {
      throw ValidationError("--out is \(out), expected a name ending in .html or .svg")
    }
    if judgeTokenizer != nil, judge == nil { throw ValidationError("--judge-tokenizer goes with --judge") }
  }

  func run() throws {
    try device.apply()
    let judge = try judge.map { try LoadedJudge($0, tokenizer: judgeTokenizer, batch: 8, device: device.device) }
    var line = ShareLine()
    var entries: [QualityResults.Entry] = []
    for path in runs {
      let run = try RunFolder(opening: path)
      guard run.method.diffusionPass != nil, !(run.method is BlockDiffusionMethod) else {
        throw ValidationError(
          "\(path) is a run of \(run.method.title), expected Eso-LM or MDLM, which write in any order")
      }
      let likelihood = try run.likelihood(weights, method: run.method, device: device.device)
      let length = length ?? run.configuration.method.length
      var benchmark = QualityBenchmark(likelihood, length: length)
      benchmark.samples = numSamples
      benchmark.batch = batch
      benchmark.picker = try TokenPicker(temperature: temperature, topP: topP)
      benchmark.alpha0 = alpha0
      if let steps = try timeSteps {
        if let more = steps.first(where: { $0 > length }) {
          throw ValidationError("--steps has \(more), expected at most \(length), the tokens of a text of \(path)")
        }
        benchmark.timeSteps = steps
      }
      benchmark.drafts = draft.count
      benchmark.seed = seed
      benchmark.judge = judge.map { judge in
        { texts in
          let set = SampleSet(texts, of: run, origin: path)
          let found = try judge.perplexity(of: set.tokens(for: judge))
          let perplexity = found.perplexity ?? .infinity
          return (perplexity, found.standardError.map { $0 * perplexity })
        }
      }
      if case .toyLanguage = run.configuration.data.source {
        benchmark.grammar = { texts in
          ToyLanguage.quality(of: texts.map { run.tokenizer.decode($0.tokens) }, skippingFirst: true)
        }
      }
      let measurements = try asUsage { try benchmark.measure { line.show("\(path): \($0)", $1) } }
      line.clear()
      let share = alpha0.map { ", written at α₀ = \($0)" } ?? ""
      entries.append(.init(run: path, title: run.method.title + share, measurements: measurements))
    }
    let results = QualityResults(
      entries: entries, recipe: Recipe(data: runs.joined(separator: ", "), seed: seed, device: device.device))
    if let out {
      let text = out.hasSuffix(".svg") ? Drawing(results.charts, columns: 2).svg : results.page.html
      try AtomicFile.write(Data(text.utf8), to: out)
    }
    if json { return try printJSON(results) }
    for entry in entries {
      var table = Table(QualityResults.headings)
      for row in results.rows(of: entry) { table.add(row) }
      try printOutput("\(entry.run): \(entry.title), \(numSamples) texts, \(batch) at a time\n\(table.text)\n")
    }
  }
}
