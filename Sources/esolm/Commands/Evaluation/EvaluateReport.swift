import ArgumentParser
import EsoLM
import Evaluation
import Files
import Foundation
import Reports
import Runs
import Tool
import Torch

struct EvaluateReport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Measure everything and write it as one HTML page and one Markdown table.",
    discussion: """
      Always: perplexity (NELBO, exact, IMDCE), samples and how varied they are. With --judge: Gen. PPL and, if it is a \
      GPT-2 or an ar run, MAUVE against validation text. With --data-dir: zero-shot perplexity. With --choice: multiple choice. The \
      page needs nothing else: no script runs, nothing is fetched. It holds its numbers as JSON and the command that made it.
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(
    help: ArgumentHelp("Where to write report.html and report.md. (default: in the run folder)", valueName: "folder"))
  var out: String?

  @Option(
    help: ArgumentHelp(
      "A file of text or JSON lines for perplexity. (default: what the run kept for validation)", valueName: "file"))
  var data: String?

  @Option(help: ArgumentHelp("Use only the first sequences for perplexity.", valueName: "count"))
  var maxSequences: Int?

  @Option(help: ArgumentHelp("Orders a sequence for exact likelihoods.", valueName: "K"))
  var orders = 8

  @Option(help: "How often to draw the noise of each sequence.")
  var draws = 2

  @Option(help: "How many samples to write.")
  var numSamples = 64

  @Option(help: ArgumentHelp("Time steps of sampling. (default: the length)", valueName: "T"))
  var steps: Int?

  @OptionGroup var picking: PickingOptions

  @Option(help: ArgumentHelp("Who judges samples, as for gen-ppl.", valueName: "folder"))
  var judge: String?

  @Option(help: ArgumentHelp("Where the judge's tokenizer is. (default: in its folder)", valueName: "folder or file"))
  var judgeTokenizer: String?

  @Option(
    help: ArgumentHelp("The folder with the sets of zero-shot perplexity, as for zero-shot.", valueName: "folder"))
  var dataDir: String?

  @Option(help: ArgumentHelp("Multiple-choice questions, as for choice.", valueName: "file"))
  var choice: String?

  @Option(help: "Sequences of one network pass.")
  var batch = 16

  @Option(help: "The seed of noise, orders and samples.")
  var seed: UInt64 = 0

  @Flag(help: "Print the report as JSON too.")
  var json = false

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("orders", orders, in: 1...(1 << 20))
    try require("draws", draws, in: 1...(1 << 20))
    try require("max-sequences", maxSequences, in: 1...)
    try require("num-samples", numSamples, in: 1...(1 << 24))
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("batch", batch, in: 1...(1 << 16))
  }

  func run() throws {
    try device.apply()
    let run = try RunFolder(opening: folder)
    // What can be wrong with what was named shows before hours of work.
    let judge = try judge.map { try LoadedJudge($0, tokenizer: judgeTokenizer, batch: batch, device: device.device) }
    let blocks = try EvaluatePerplexity.blocks(of: run, data: data, maxSequences: maxSequences)
    let likelihood = try run.likelihood(weights, method: algorithm.method(of: run), device: device.device)
    if let choice {
      try run.requireExact(likelihood, for: "choice")
      _ = try MultipleChoiceItem.read(choice)
    }
    if let dataDir { try EvaluateZeroShot.requireSets(in: dataDir) }

    var report = EvaluationReport(title: "Evaluation of \(URL(fileURLWithPath: folder).lastPathComponent)")
    report.facts = facts(run)
    if let training = trainingFigure(run) { report.figures.append(training) }
    try addPerplexity(
      try PerplexityEvaluation(likelihood, blocks: blocks, batchSize: batch, seed: seed), to: &report)
    if let dataDir {
      let sets = try EvaluateZeroShot.measure(
        run, dataDir: dataDir, maxSequences: maxSequences, orders: nil, draws: draws
      ) { try PerplexityEvaluation(likelihood, blocks: $0, batchSize: batch, seed: seed) }
      report.measures += sets.map { set in
        Measure(
          "Zero-shot perplexity (NELBO)", set.title, set.perplexity, error: set.perplexityError,
          note: set.path.map { "\(set.problem ?? "\(set.sequences ?? 0) sequences"), \($0)" } ?? "no file")
      }
    }
    try addSamples(run, likelihood, judge: judge, to: &report)
    if let choice {
      let result = try EvaluateChoice.result(
        run, scoring: PassageScoring(likelihood, orders: orders, batchSize: batch, seed: seed), data: choice,
        maxQuestions: nil, skipBadLines: false)
      report.measures += Measure.of(
        result.accuracy, note: "\(result.accuracy.questions) questions of \(choice), K = \(orders)")
    }

    report.recipe = Recipe(
      data: data ?? run.validationText, seed: seed, checkpoint: try weights.checkpoint(of: run),
      device: device.device)

    let out = out ?? folder
    try Folder.make(out)
    try AtomicFile.write(Data(report.html.utf8), to: "\(out)/report.html")
    try AtomicFile.write(Data(report.markdown.utf8), to: "\(out)/report.md")
    if json {
      try printJSON(report)
    } else {
      try printOutput("\(report.table)\n\nwrote \(out)/report.html and \(out)/report.md")
    }
  }

  // MARK: Parts

  private func facts(_ run: RunFolder) -> [EvaluationReport.Fact] {
    let (method, training) = (run.configuration.method, run.configuration.training)
    return [
      .init("run", run.path),
      .init(
        "method",
        [method.algorithm.rawValue, method.alpha0.map { "α₀ = \($0)" }].compactMap(\.self).joined(separator: ", ")),
      .init("length", "\(method.length) tokens"),
      .init("parameters", Format.count(Double(ParameterLayout(run.configuration.model).count))),
      .init("training", "\(training.steps) steps of \(training.batchSize) sequences, seed \(training.seed)"),
      .init(
        "weights",
        (weights.rawWeights ? "of the last step" : "moving average") + (weights.best ? ", best checkpoint" : "")),
    ]
  }

  private func addPerplexity(_ evaluation: PerplexityEvaluation, to report: inout EvaluationReport) throws {
    let bounds = try EvaluatePerplexity.measure(
      evaluation, orders: evaluation.likelihood.isExact ? orders : nil, draws: draws)
    let group = "Perplexity"
    let place = "\(evaluation.blocks.count) sequences of \(data ?? "validation text")"
    report.measures += bounds.map { bound in
      Measure.perplexity(group, bound.name, bound.estimate, note: place)
    }
    func point(_ x: Double, _ estimate: PerplexityEvaluation.Estimate) -> EvaluationReport.Figure.Point {
      .init(x: x, y: estimate.perplexity, error: estimate.standardError.map { $0 * estimate.perplexity })
    }
    let exact = bounds.compactMap { bound in bound.orders.map { point(log2(Double($0)), bound.estimate) } }
    guard exact.count > 1, let last = exact.last else { return }
    let flat = bounds.filter { $0.orders == nil }.map { bound in
      EvaluationReport.Figure.Series(bound.name, [0, last.x].map { point($0, bound.estimate) })
    }
    report.figures.append(
      .init(
        "The bound tightens with the number of orders K", x: "log₂ K", y: "perplexity", [.init("exact", exact)] + flat))
  }

  private func addSamples(
    _ run: RunFolder, _ likelihood: Likelihood, judge: LoadedJudge?, to report: inout EvaluationReport
  ) throws {
    let samples = try SampleSet(
      writing: numSamples, with: run, likelihood,
      GenerationRequest(
        length: run.configuration.method.length, steps: steps, picker: picking.picker(), seed: seed), batch: batch)
    report.samples = Array(samples.texts.prefix(4))
    report.facts.append(.init("samples", samples.origin))
    report.measures += Measure.of(SampleSummary(samples.tokens))
    guard let judge else { return }
    let judged = GenerativePerplexityResult(
      try judge.perplexity(of: samples.tokens(for: judge)), judge: judge.name)
    report.measures.append(
      Measure(
        "Samples", "Gen. PPL", judged.perplexity, error: judged.standardError.map { $0 * judged.perplexity },
        note: "judge \(judge.name), \(judged.tokens) tokens"))
    guard judge.judge is any FeatureJudge else { return }
    let mauve = try EvaluateMauve.result(
      samples, reference: ReferenceOptions.texts(for: samples, reference: data, count: samples.tokens.count),
      judge: judge, options: Mauve.Options())
    report.measures.append(
      Measure(
        "Samples", "MAUVE", mauve.score,
        note: "\(mauve.samples) samples, \(mauve.references) reference texts, \(mauve.buckets) buckets"))
    report.figures.append(
      .init(
        "Divergence curve (MAUVE)", x: "exp(−c KL(Q‖R))", y: "exp(−c KL(P‖R))", isUnitSquare: true,
        [.init("samples P, reference Q", mauve.curve.reversed().map { .init(x: $0.x, y: $0.y) })]))
  }

  /// How validation went in training; nil if the run's log does not say.
  private func trainingFigure(_ run: RunFolder) -> EvaluationReport.Figure? {
    struct Record: Decodable {
      var step: Int
      var validationPerplexity: Double?
    }
    let log = try? JSONLinesFile.read(Record.self, from: "\(run.path)/metrics.jsonl", skipBadLines: true)
    let points = (log?.values ?? []).compactMap { entry in
      entry.value.validationPerplexity.map { EvaluationReport.Figure.Point(x: Double(entry.value.step), y: $0) }
    }
    guard points.count > 1 else { return nil }
    return .init("Validation while training", x: "step", y: "perplexity", [.init("nelbo", points)])
  }
}

extension EvaluationReport {
  /// All measures as a table for the terminal.
  var table: String {
    var table = Table(["measure", "value", "± error"])
    for measure in measures { table.add([measure.name, measure.text, measure.errorText]) }
    return "\(title)\n\(table.text)"
  }
}
