import ArgumentParser
import Comparison
import Corpora
import EsoLM
import Foundation
import Reports
import Runs
import Settings
import Tokenizers
import Tool
import Torch
import Training

/// The paper's comparison in small, from training to a page with plots.
struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Train several methods alike and compare them: perplexity, and quality against seconds.",
    discussion: """
      Every method trains on the same data in the same order, with the same seeds and number of steps. Then all are \
      measured (NELBO; exactly, where the method has that) and sampled with few and many network calls. On the toy \
      language the quality of samples is the share of grammatical sentences; on other text, the perplexity under an \
      autoregressive model trained on the same data.

      Methods: \(Contestant.forms.joined(separator: ", ")). What a name leaves open is as esolm \
      train has it, but that alpha0 is 1. Writes a run folder for each and report.html beside them; the same command goes \
      on with a comparison that was stopped.

      Unless sizes are given, the network has width 128, 4 blocks, 4 heads, conditioning 128 and no dropout.
      """)

  @Option(
    help: ArgumentHelp(
      "A text file, or one of JSON lines, to learn from instead of the toy language.", valueName: "file"))
  var data: String?

  @Option(help: ArgumentHelp("The folder to make.", valueName: "folder"))
  var out = "runs/compare"

  @Option(help: ArgumentHelp("Methods, separated by commas.", valueName: "list"))
  var methods =
    "ar,ar+adaln,mdlm,bd3lm:16,bd3lm:8,bd3lm:4,esolm-a:0.5,esolm-b:1,esolm-b:0.5,esolm-b:0.25,esolm-b:0.125,esolm-b:0"

  @Option(help: "Training steps of each.")
  var steps = 800

  @Option(help: "Tokens of a sequence.")
  var length = 128

  @Option(help: "Sequences of a step.")
  var batch = 16

  @Option(help: ArgumentHelp("Learning rate after the warm-up.", valueName: "rate"))
  var learningRate = 1e-3

  @Option(help: ArgumentHelp("Generation orders of a sequence's exact likelihood.", valueName: "K"))
  var orders = 8

  @Option(help: "How many texts are sampled with each plan.")
  var samples = 32

  @Option(help: ArgumentHelp("Time steps to sample with, separated by commas.", valueName: "list"))
  var timeSteps = "4,8,16,32,64,128"

  @Option(help: ArgumentHelp("Keep the likeliest tokens whose probabilities reach this.", valueName: "p"))
  var topP = 1.0

  @Option(help: "The seed.")
  var seed: UInt64 = 1

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup var model: SettingOptions<NetworkSettings>
  @OptionGroup var device: DeviceOptions

  private var contestants: [Contestant] {
    get throws { try list("methods", methods, "a method as in esolm-b:0.5, mdlm, bd3lm:16") { Contestant($0) } }
  }

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("batch", batch, in: 2...(1 << 20))
    try require("orders", orders, in: 1...(1 << 20))
    try require("samples", samples, in: 1...(1 << 16))
    let methods = try contestants
    guard Set(methods).count == methods.count else { throw ValidationError("--methods names a method twice") }
    let settings = try comparison(tokenizer: ToyLanguage.tokenizer, source: .toyLanguage(sequences: 2, seed: 0))
    try asUsage {
      for contestant in methods {
        try RunConfiguration(
          method: contestant.configuration(length: length), model: settings.model, data: settings.data,
          training: settings.training
        ).validate()
      }
      _ = try TokenPicker(topP: topP)
    }
  }

  func run() throws {
    try device.apply()
    Torch.keepMemory()
    var comparison = try makeComparison()
    comparison.device = device.device
    var view = TrainingView(device: device.device)
    var line = ShareLine()
    var results = try Interrupt.shared.noting {
      try comparison.run(shouldStop: { Interrupt.shared.wasRequested }) { event in
        switch event {
        case .training(let title, let progress):
          view.prefix = "\(title): "
          view.show(progress)
        case .measuring(let title, let share): line.show("\(title): measuring", share)
        case .sampling(let title, let share): line.show("\(title): sampling", share)
        }
      }
    }
    view.clear()
    results?.recipe = Recipe(data: dataText(comparison), seed: seed, device: device.device)
    guard let results else {
      printError("stopped, everything saved; the same command goes on")
      return
    }
    let page = "\(out)/report.html"
    try results.writePage(to: page)
    if json {
      try printJSON(results)
    } else {
      try printOutput("\(perplexities(results))\n\n\(samplings(results))\n\nThe page with plots is \(page)")
    }
  }

  private func makeComparison() throws -> MethodComparison {
    guard let data else {
      return try comparison(
        tokenizer: ToyLanguage.tokenizer, source: .toyLanguage(sequences: 32_000, seed: seed))
    }
    let description = try CorpusConfiguration(file: data, validationFraction: validationFraction)
    let tokenizer = try description.tokenizer(nil)
    let corpus = try Corpus(
      description, length: length, tokenizer: tokenizer, seed: seed, progress: TokenizationView.show())
    try description.reportReading(into: corpus.files)
    return try comparison(tokenizer: tokenizer, source: .corpus(description, fingerprint: corpus.fingerprint))
  }

  private func dataText(_ comparison: MethodComparison) -> String {
    "\(comparison.data.source.text), \(Format.percent(validationFraction)) of it for validation, of which "
      + "\(comparison.measuredSequences) sequences at most are measured with \(comparison.draws) draws and "
      + "\(orders) orders each"
  }

  private var validationFraction: Double { data == nil ? 0.01 : CorpusConfiguration.usualValidationShare }

  private func comparison(
    tokenizer: any Tokenizer, source: DataConfiguration.Source
  ) throws -> MethodComparison {
    var training = TrainingConfiguration()
    training.steps = steps
    training.batchSize = batch
    training.seed = seed
    training.learningRate = learningRate
    training.warmupSteps = min(50, steps / 10)
    training.emaDecay = 0.99
    training.validationInterval = max(1, steps / 4)
    training.validationSequences = 64
    training.saveInterval = max(1, steps / 4)
    let network = try model.group().configuration(for: tokenizer, else: .quick(for: tokenizer))
    var comparison = MethodComparison(
      contestants: try contestants, model: network,
      data: DataConfiguration(source: source, validationFraction: validationFraction), training: training,
      length: length, tokenizer: tokenizer, folder: out)
    comparison.orders = orders
    comparison.samples = samples
    comparison.topP = topP
    comparison.timeSteps = try list("time-steps", timeSteps, "a number from 1 to 1048576") { text in
      Int(text).flatMap { (1...(1 << 20)).contains($0) ? $0 : nil }
    }
    return comparison
  }

  // MARK: Tables

  private func perplexities(_ results: ComparisonResults) -> String {
    var table = Table(["method", "exact PPL", "NELBO PPL", "± (nats)", "parameters"])
    for entry in results.entries {
      table.add([
        entry.title, entry.exact.map { Format.number($0.perplexity, digits: 3) } ?? "–",
        Format.number(entry.nelbo.perplexity, digits: 3),
        entry.nelbo.standardError.map { Format.number($0, digits: 4) } ?? "–", Format.count(Double(entry.parameters)),
      ])
    }
    if let truth = results.trueNats {
      table.add(["the language itself", Format.number(exp(truth), digits: 3), "", "", ""])
    }
    return
      "Perplexity per token after \(results.steps) steps of \(results.batchSize) × \(results.length) tokens:\n\(table.text)"
  }

  private func samplings(_ results: ComparisonResults) -> String {
    let quality = results.isToyLanguage ? ["grammatical", "PPL of sentences"] : ["PPL under the judge"]
    var table = Table(["method", "NFE", "s/sequence"] + quality)
    for entry in results.entries {
      for sampling in entry.samplings {
        let perplexity = sampling.perplexity.map { Format.number($0, digits: 3) } ?? "–"
        table.add(
          [entry.title, "\(sampling.networkCalls)", String(format: "%.4f", sampling.secondsPerSequence)]
            + (results.isToyLanguage ? [Format.percent(sampling.grammaticalShare), perplexity] : [perplexity]))
      }
    }
    let front = results.paretoFront.map { "\($0.entry.title) (NFE \($0.sampling.networkCalls))" }
    return """
      Samples, \(samples) at a time:
      \(table.text)

      Faster than all that are better, better than all that are faster: \(front.joined(separator: ", "))
      """
  }
}
