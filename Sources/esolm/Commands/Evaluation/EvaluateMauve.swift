import ArgumentParser
import Evaluation
import Foundation
import Tool

struct EvaluateMauve: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mauve",
    abstract: "Measure how close samples are to human text (MAUVE, from 0 to 1).",
    discussion: """
      Both sides become features of the judge, a GPT-2 or an ar run (its last hidden state at a text's last token), \
      which are clustered; the score is the area below the divergence curve of the two histograms. It depends on the numbers of texts and \
      buckets: compare only like with like, and take thousands of texts for a figure to publish. Equal seeds give the \
      score of the mauve-text package.
      """)

  @OptionGroup var samples: SampleOptions
  @OptionGroup var judge: JudgeOptions
  @OptionGroup var reference: ReferenceOptions

  @Option(help: "Clusters. (default: a tenth of the smaller side's texts, at least 2)")
  var buckets: Int?

  @Option(help: "The scaling c of the divergence curve.")
  var scale = 5.0

  @Option(help: "The seed of clustering.")
  var clusteringSeed: UInt32 = 25

  @Flag(help: "Print results as JSON.")
  var json = false

  func validate() throws {
    try require("buckets", buckets, in: 2...(1 << 20))
    try require("scale", scale, in: 1e-6...1e6)
  }

  func run() throws {
    let judge = try judge.load(device: samples.device.device)
    let set = try samples.load()
    var options = Mauve.Options()
    options.buckets = buckets
    options.scale = scale
    options.seed = clusteringSeed
    let result = try Self.result(
      set, reference: reference.texts(for: set), judge: judge, options: options)
    if json { return try printJSON(Rebuildable(result, try samples.recipe(of: set))) }
    var table = Table(["", "MAUVE", "buckets", "samples", "reference texts"])
    table.add([
      judge.name, Format.number(result.score, digits: 4), "\(result.buckets)", "\(result.samples)",
      "\(result.references)",
    ])
    try printOutput("\(set.origin)\n\(table.text)")
  }

  struct Result: Encodable {
    var judge: String
    var score: Double
    var buckets: Int
    var components: Int
    var samples: Int
    var references: Int
    var curve: [DivergenceCurve.Point]
  }

  /// Samples against human texts, each cut to the samples' length.
  static func result(
    _ samples: SampleSet, reference: [String], judge: LoadedJudge, options: Mauve.Options
  ) throws -> Result {
    let references = try reference.map { Array(try judge.tokenizer.encode($0).prefix(samples.length)) }
    let p = try judge.features(of: samples.tokens(for: judge), what: "samples")
    let q = try judge.features(of: references, what: "reference texts")
    var line = ShareLine()
    defer { line.clear() }
    let mauve = try Mauve(p, q, options: options) { line.show("clustering", $0) }
    return Result(
      judge: judge.name, score: mauve.score, buckets: mauve.p.count, components: mauve.components, samples: p.size(0),
      references: q.size(0), curve: mauve.curve.points)
  }
}
