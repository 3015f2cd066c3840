import ArgumentParser
import Checkpoints
import EsoLM
import Evaluation
import Files
import Foundation
import Tokenizers
import Torch

/// Samples to be measured: from a file, or written now.
struct SampleOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "A run folder, whose samples are then written now, or a file of `esolm sample --json`.", valueName: "run or file")
  )
  var source: String

  @Option(help: "From a run: how many samples. (default: 64)")
  var numSamples: Int?

  @Option(help: ArgumentHelp("From a run: time steps of the diffusion phase. (default: the length)", valueName: "T"))
  var steps: Int?

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(help: "From a run: how steps are laid out, as in `esolm sample`. (default: the first that fits)")
  var schedule: PlanRequest.Schedule?

  @Option(name: .customLong("alpha0"), help: "From a run of Eso-LM: share that diffusion writes. (default: the run's)")
  var alpha0: Double?

  @Option(help: "From a run: tokens of a sample. (default: the run's)")
  var length: Int?

  @Option(help: "The seed of sampling.")
  var seed: UInt64 = 0

  @OptionGroup var picking: PickingOptions

  @Option(help: "From a run: samples to write at a time.")
  var batch = 8

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("batch", batch, in: 1...(1 << 16))
    try require("num-samples", numSamples, in: 1...(1 << 24))
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("alpha0", alpha0, in: 0...1)
    try require("length", length, in: 1...(1 << 20))
  }

  /// Reads or writes the samples.
  func load() throws -> SampleSet {
    try device.apply()
    guard Folder.exists(source) else {
      let given = [
        ("num-samples", numSamples != nil), ("steps", steps != nil), ("alpha0", alpha0 != nil),
        ("length", length != nil), ("schedule", schedule != nil), ("algo", algorithm.algorithm != nil),
      ]
      if let (name, _) = given.first(where: \.1) {
        throw ValidationError("--\(name) goes with a run folder; \(source) is a file of samples")
      }
      return try SampleSet(reading: source)
    }
    let run = try RunFolder(opening: source)
    return try SampleSet(
      writing: numSamples ?? 64, with: run,
      run.likelihood(
        weights, method: algorithm.method(of: run), device: device.device),
      plan: PlanRequest(
        length: length ?? run.configuration.method.length, steps: steps, alpha0: alpha0, schedule: schedule),
      picker: picking.picker(), seed: seed, batch: batch)
  }
}

/// Samples and what is known about their making.
struct SampleSet {
  /// Tokens of each sample, of the run's vocabulary.
  let tokens: [[Int32]]
  let texts: [String]
  /// Tokens of a sample when it was written.
  let length: Int
  /// nil if the run that wrote a file cannot be opened.
  let run: RunFolder?
  /// How they were made, in a few words.
  let origin: String

  init(reading path: String) throws {
    let file = try SampleFile.read(path)
    tokens = file.samples.map(\.tokens)
    texts = file.samples.map(\.text)
    length = file.length
    run = try? RunFolder(opening: file.run)
    origin = "\(file.samples.count) samples from \(path)"
    if let run, let token = tokens.joined().first(where: { Int($0) >= run.tokenizer.vocabularySize }) {
      throw FileError(
        "\(path) holds token \(token), expected 0 to \(run.tokenizer.vocabularySize - 1) as \(file.run) has them")
    }
  }

  init(
    writing count: Int, with run: RunFolder, _ likelihood: Likelihood, plan request: PlanRequest, picker: TokenPicker,
    seed: UInt64, batch: Int
  ) throws {
    let plan = try asUsage { try likelihood.method.plan(request, seed: seed) }
    let cached = CachedNetwork(likelihood.network)
    var tokens: [[Int32]] = []
    var line = ProgressLine()
    for first in stride(from: 0, to: count, by: batch) {
      var generation = Generation(
        cached, rule: likelihood.method.decoding, plan: plan, picker: picker, seed: seed,
        batch: min(batch, count - first), firstSequence: first)
      while let step = try generation.advance() {
        line.show("writing sample \(first + 1) of \(count), call \(step.index + 1) of \(plan.networkCalls)")
      }
      tokens += generation.tokens
    }
    line.clear()
    self.tokens = tokens
    texts = tokens.map { run.tokenizer.decode($0) }
    length = request.length
    self.run = run
    let alpha0 = (request.alpha0 ?? likelihood.method.esotericAlpha0).map { ", α₀ = \($0)" } ?? ""
    origin =
      "\(count) samples of \(length) tokens\(alpha0), \(plan.networkCalls) network calls, top-p \(picker.topP), "
      + "seed \(seed)"
  }

  /// The samples in the tokens of a judge.
  func tokens(for judge: LoadedJudge) throws -> [[Int32]] {
    if run == nil {
      printError("esolm: the run that wrote the samples cannot be opened: each is judged as one document")
    }
    return try tokens.indices.map { index in
      do {
        guard let run else { return Array(try judge.tokenizer.encode(texts[index]).prefix(length)) }
        return try JudgedText.tokens(
          of: tokens[index], by: run.tokenizer, for: judge.tokenizer, endOfText: judge.judge.endOfText, length: length)
      } catch {
        throw FileError("sample \(index + 1) cannot be written in the judge's tokens: \(error)")
      }
    }
  }
}
