import ArgumentParser
import Checkpoints
import EsoLM
import Foundation
import Training

struct Sample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Write text with a trained run.",
    discussion: """
      Diffusion writes a share alpha0 of the tokens, many in one network call; the rest follows from left to right. \
      With T time steps the diffusion phase takes at most T calls. The same seed gives the same text.
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @Option(help: ArgumentHelp("Time steps T of the diffusion phase. (default: the length)", valueName: "T"))
  var steps: Int?

  @Option(name: .customLong("alpha0"), help: ArgumentHelp("Share that diffusion writes. (default: the run's)"))
  var alpha0: Double?

  @Option(help: ArgumentHelp("Tokens of a sample. (default: the run's)"))
  var length: Int?

  @Option(
    help: "How diffusion steps are laid out: ancestral, or blocks of positions far apart, which write everything.")
  var schedule: Schedule = .ancestral

  @Option(help: "How many samples.")
  var numSamples = 1

  @Option(help: "How many samples to write at a time.")
  var batch = 8

  @Option(help: "The seed.")
  var seed: UInt64 = 0

  @OptionGroup var picking: PickingOptions

  @Flag(help: "Recompute keys and values in every call, for checking: the text must be the same.")
  var noCache = false

  @Flag(help: "Show how masks turn into text, step by step, on standard error (first sample of each batch).")
  var watch = false

  @Flag(help: "Print samples with tokens, NFE and times as JSON.")
  var json = false

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  enum Schedule: String, CaseIterable, ExpressibleByArgument {
    case ancestral, block
    case blockShuffled = "block-shuffled"
  }

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("alpha0", alpha0, in: 0...1)
    try require("length", length, in: 1...(1 << 20))
    try require("num-samples", numSamples, in: 1...(1 << 24))
    try require("batch", batch, in: 1...(1 << 16))
    if schedule != .ancestral, let alpha0, alpha0 != 1 {
      throw ValidationError("--alpha0 is \(alpha0), expected 1 with --schedule \(schedule.rawValue)")
    }
  }

  func run() throws {
    try device.apply()
    let run = try RunFolder(opening: folder)
    let model = try run.model(weights.rawWeights ? .model : .average, device: device.device)
    let plan = try makePlan(run)
    let network = CachedNetwork(model.network())
    let picker = try picking.picker()

    var output = Output(
      run: folder, alpha0: plan.alpha0, steps: plan.steps, length: plan.plan.length, seed: seed, topP: picker.topP,
      topK: picker.topK, temperature: picker.temperature, usesCache: !noCache, nfe: plan.plan.networkCalls)
    var line = ProgressLine()
    for first in stride(from: 0, to: numSamples, by: batch) {
      var generation = Generation(
        network, plan: plan.plan, picker: picker, seed: seed, batch: min(batch, numSamples - first),
        firstSequence: first, usesCache: !noCache)
      var view = WatchView(tokenizer: run.tokenizer, maskToken: run.configuration.model.maskToken)
      let start = ContinuousClock.now
      while let step = try generation.advance() {
        if watch {
          view.show(generation, after: step)
        } else if Terminal.isInteractive {
          line.show("sample \(first + 1) of \(numSamples), call \(step.index + 1) of \(plan.plan.networkCalls)")
        }
      }
      output.add(generation, seconds: (ContinuousClock.now - start).seconds) { run.tokenizer.decode($0) }
    }
    line.clear()
    if json { try printJSON(output) } else { try output.printText() }
  }

  /// α₀ and T as they are used, and the plan that they give.
  private func makePlan(_ run: RunFolder) throws -> (alpha0: Double, steps: Int, plan: UnmaskingPlan) {
    let length = length ?? run.configuration.method.length
    let steps = steps ?? length
    guard schedule == .ancestral else {
      guard steps <= length else {
        throw ValidationError("--steps is \(steps), expected at most the length \(length) with a block schedule")
      }
      return (1, steps, .block(length: length, steps: steps, shuffled: schedule == .blockShuffled))
    }
    let alpha0 = alpha0 ?? run.configuration.method.alpha0 ?? 1
    return (alpha0, steps, .ancestral(length: length, steps: steps, alpha0: alpha0, seed: seed))
  }

  private struct Output: Encodable {
    struct Sample: Encodable {
      var text: String
      var tokens: [Int32]
    }

    let formatVersion = 1
    var run: String
    var alpha0: Double
    var steps: Int
    var length: Int
    var seed: UInt64
    var topP: Double
    var topK: Int?
    var temperature: Double
    var usesCache: Bool
    /// Network calls of a sample.
    var nfe: Int
    var seconds = 0.0
    var secondsPerSample = 0.0
    var secondsPerCall = 0.0
    var cacheBytes = 0
    var samples: [Sample] = []
    private var calls = 0

    init(
      run: String, alpha0: Double, steps: Int, length: Int, seed: UInt64, topP: Double, topK: Int?,
      temperature: Double, usesCache: Bool, nfe: Int
    ) {
      self.run = run
      self.alpha0 = alpha0
      self.steps = steps
      self.length = length
      self.seed = seed
      self.topP = topP
      self.topK = topK
      self.temperature = temperature
      self.usesCache = usesCache
      self.nfe = nfe
    }

    private enum CodingKeys: CodingKey {
      case formatVersion, run, alpha0, steps, length, seed, topP, topK, temperature, usesCache, nfe, seconds,
        secondsPerSample, secondsPerCall, cacheBytes, samples
    }

    mutating func add(_ generation: Generation, seconds: Double, decode: ([Int32]) -> String) {
      samples += generation.tokens.map { Sample(text: decode($0), tokens: $0) }
      self.seconds += seconds
      calls += nfe
      secondsPerSample = self.seconds / Double(samples.count)
      secondsPerCall = self.seconds / Double(calls)
      cacheBytes = max(cacheBytes, generation.usesCache ? generation.cacheByteCount : 0)
    }

    func printText() throws {
      for (number, sample) in samples.enumerated() {
        if samples.count > 1 { try printOutput("--- sample \(number + 1) ---") }
        try printOutput(sample.text)
      }
      printError(
        "\(samples.count) × \(length) tokens, NFE \(nfe), \(Format.seconds(seconds)) s, "
          + "\(Format.seconds(secondsPerCall * 1000)) ms a call")
    }
  }
}
