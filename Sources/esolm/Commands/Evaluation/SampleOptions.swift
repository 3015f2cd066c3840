import ArgumentParser
import EsoLM
import Evaluation
import Files
import Foundation
import Reports
import Runs
import Tokenizers
import Tool
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

  @OptionGroup var algorithm: AlgorithmOptions
  @OptionGroup(title: "From a run") var writing: WritingOptions
  @OptionGroup(title: "From a run") var length: LengthOptions
  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws { try require("num-samples", numSamples, in: 1...(1 << 24)) }

  /// How what is measured of the samples is made again.
  func recipe(of samples: SampleSet) throws -> Recipe {
    // Of samples in a file it is not known which weights wrote them.
    let run = Folder.exists(source) ? samples.run : nil
    return Recipe(
      data: samples.origin, seed: writing.seed, checkpoint: try run.map(weights.checkpoint), device: device.device)
  }

  /// Reads or writes the samples.
  func load() throws -> SampleSet {
    try device.apply()
    guard Folder.exists(source) else {
      let given = [
        ("num-samples", numSamples != nil), ("algo", algorithm.algorithm != nil), ("length", length.length != nil),
        ("allow-longer", length.allowLonger),
      ]
      .filter(\.1).map(\.0)
      if let name = (given + writing.given).first {
        throw ValidationError("--\(name) goes with a run folder; \(source) is a file of samples")
      }
      return try SampleSet(reading: source)
    }
    let run = try RunFolder(opening: source)
    let likelihood = try run.likelihood(weights, method: algorithm.method(of: run), device: device.device)
    return try SampleSet(
      writing: numSamples ?? 64, with: run, likelihood,
      writing.request(
        Array(repeating: nil, count: length.length ?? run.configuration.method.length), of: run,
        in: likelihood.network.precision, allowsLonger: length.allowLonger), batch: writing.batch)
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

  /// Texts that a run wrote.
  init(_ generations: [Generation], of run: RunFolder, origin: String) {
    tokens = generations.map(\.tokens)
    texts = tokens.map { run.tokenizer.decode($0) }
    length = tokens.map(\.count).max() ?? 0
    self.run = run
    self.origin = origin
  }

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
    writing count: Int, with run: RunFolder, _ likelihood: Likelihood, _ request: GenerationRequest, batch: Int
  ) throws {
    let cached = CachedTransformer(likelihood.network)
    let sampler = Sampler(cached, places: batch)
    for number in 0..<count {
      var request = request
      request.number = number
      sampler.add(try asUsage { try likelihood.method.generation(request, for: cached.configuration) })
    }
    var line = ShareLine()
    var written = WritingShare(of: count)
    let holes = request.holes.count
    let texts = try sampler.finish { step in
      written.add(step, holes: holes)
      line.show("writing samples", written.share, "\(written.finished) of \(count)")
    }
    line.clear()
    tokens = texts.map(\.tokens)
    self.texts = tokens.map { run.tokenizer.decode($0) }
    length = request.length
    self.run = run
    let alpha0 = (request.alpha0 ?? likelihood.method.diffusedShare).map { ", α₀ = \($0)" } ?? ""
    let calls = Double(texts.reduce(0) { $0 + $1.networkCalls }) / Double(count)
    origin =
      "\(count) samples of \(length) tokens\(alpha0), \(Format.count(calls)) network calls each, "
      + "top-p \(request.picker.topP), seed \(request.seed)"
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
