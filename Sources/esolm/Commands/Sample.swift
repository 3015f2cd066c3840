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
      Eso-LM: diffusion writes a share alpha0 of the tokens, many in one network call; the rest follows from left to \
      right. With T time steps the diffusion phase takes at most T calls. MDLM writes everything by diffusion, BD3-LM \
      block after block (T counts the time steps of a block), AR one token a call. The same seed gives the same text.
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(
    help: ArgumentHelp("Time steps T of diffusion. (default: the length; BD3-LM: one token a step)", valueName: "T"))
  var steps: Int?

  @Option(name: .customLong("alpha0"), help: ArgumentHelp("Eso-LM: share that diffusion writes. (default: the run's)"))
  var alpha0: Double?

  @Option(help: ArgumentHelp("Tokens of a sample. (default: the run's)"))
  var length: Int?

  @Option(
    help: ArgumentHelp(
      """
      How steps are laid out: ancestral (Eso-LM, MDLM, BD3-LM), first-hitting (BD3-LM), block and block-shuffled, whose \
      positions lie far apart (Eso-LM, MDLM), left-to-right (MDLM, AR). (default: the first that fits)
      """))
  var schedule: PlanRequest.Schedule?

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

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("alpha0", alpha0, in: 0...1)
    try require("length", length, in: 1...(1 << 20))
    try require("num-samples", numSamples, in: 1...(1 << 24))
    try require("batch", batch, in: 1...(1 << 16))
  }

  func run() throws {
    try device.apply()
    let run = try RunFolder(opening: folder)
    let model = try weights.model(of: run, device: device.device)
    let method = try algorithm.method(of: run)
    let request = PlanRequest(
      length: length ?? run.configuration.method.length, steps: steps, alpha0: alpha0, schedule: schedule)
    let plan = try asUsage { try method.plan(request, seed: seed) }
    let network = CachedNetwork(model.network())
    let picker = try picking.picker()

    var output = Output(
      run: folder, algorithm: run.configuration.method.algorithm.rawValue,
      alpha0: alpha0 ?? run.configuration.method.alpha0, steps: request.timeSteps(of: method),
      schedule: schedule?.rawValue,
      length: request.length, seed: seed, topP: picker.topP, topK: picker.topK, temperature: picker.temperature,
      usesCache: !noCache, nfe: plan.networkCalls)
    var line = ProgressLine()
    for first in stride(from: 0, to: numSamples, by: batch) {
      var generation = Generation(
        network, rule: method.decoding, plan: plan, picker: picker, seed: seed,
        batch: min(batch, numSamples - first), firstSequence: first, usesCache: !noCache)
      var view = WatchView(tokenizer: run.tokenizer, maskToken: run.configuration.model.maskToken)
      let start = ContinuousClock.now
      while let step = try generation.advance() {
        if watch {
          view.show(generation, after: step)
        } else if Terminal.isInteractive {
          line.show("sample \(first + 1) of \(numSamples), call \(step.index + 1) of \(plan.networkCalls)")
        }
      }
      output.add(generation, seconds: (ContinuousClock.now - start).seconds) { run.tokenizer.decode($0) }
    }
    line.clear()
    if json { try printJSON(output) } else { try output.printText() }
  }

  private struct Output: Encodable {
    struct Sample: Encodable {
      var text: String
      var tokens: [Int32]
    }

    let formatVersion = 1
    let run: String
    let algorithm: String
    let alpha0: Double?
    let steps: Int?
    let schedule: String?
    let length: Int
    let seed: UInt64
    let topP: Double
    let topK: Int?
    let temperature: Double
    let usesCache: Bool
    /// Network calls of a sample.
    let nfe: Int
    /// Rows that the network computed for each token written.
    var slotsPerToken = 0.0
    var seconds = 0.0
    var secondsPerSample = 0.0
    var secondsPerCall = 0.0
    var cacheBytes = 0
    var samples: [Sample] = []
    private var calls = 0
    private var rows = 0

    init(
      run: String, algorithm: String, alpha0: Double?, steps: Int?, schedule: String?, length: Int, seed: UInt64,
      topP: Double, topK: Int?, temperature: Double, usesCache: Bool, nfe: Int
    ) {
      self.run = run
      self.algorithm = algorithm
      self.alpha0 = alpha0
      self.steps = steps
      self.schedule = schedule
      self.length = length
      self.seed = seed
      self.topP = topP
      self.topK = topK
      self.temperature = temperature
      self.usesCache = usesCache
      self.nfe = nfe
    }

    private enum CodingKeys: CodingKey {
      case formatVersion, run, algorithm, alpha0, steps, schedule, length, seed, topP, topK, temperature, usesCache,
        nfe, slotsPerToken, seconds, secondsPerSample, secondsPerCall, cacheBytes, samples
    }

    mutating func add(_ generation: Generation, seconds: Double, decode: ([Int32]) -> String) {
      samples += generation.tokens.map { Sample(text: decode($0), tokens: $0) }
      self.seconds += seconds
      calls += nfe
      rows += generation.fedRows
      slotsPerToken = Double(rows) / Double(samples.count * length)
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
