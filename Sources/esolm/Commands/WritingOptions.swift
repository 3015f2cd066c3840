import ArgumentParser
import EsoLM
import Runs
import Tool

/// How sequences are written, whichever command writes them.
struct WritingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Time steps T of diffusion. (default: as many as tokens are written; BD3-LM: one token a step)", valueName: "T"))
  var steps: Int?

  @Option(name: .customLong("alpha0"), help: ArgumentHelp("Eso-LM: share that diffusion writes. (default: the run's)"))
  var alpha0: Double?

  @Option(help: ArgumentHelp("Tokens of a text, given ones included. (default: the run's)"))
  var length: Int?

  @Flag(help: "Write texts longer than those the run was trained on, at positions that it never saw.")
  var allowLonger = false

  @Option(
    help: ArgumentHelp(
      """
      How steps are laid out: ancestral (Eso-LM, MDLM, BD3-LM), first-hitting (BD3-LM), block and block-shuffled, whose \
      positions lie far apart (Eso-LM, MDLM), left-to-right (MDLM, AR), adaptive, where the network is sure (Eso-LM, \
      MDLM). (default: the first that fits)
      """))
  var schedule: GenerationRequest.Schedule?

  @Option(
    help: """
      Schedule adaptive: how sure the network is of a candidate, by entropy, margin (of the likeliest two probabilities) or \
      probability (the largest). (default: entropy)
      """)
  var choose: AdaptiveChoice.Measure?

  @Option(
    help: ArgumentHelp(
      """
      Schedule adaptive: writes the candidates of at most this entropy in nats, or of at least this margin or \
      probability. (default: 0.5)
      """, valueName: "x"))
  var threshold: Double?

  @Option(
    help: ArgumentHelp(
      "Schedule adaptive: writes a text in so many network calls, instead of by a threshold.", valueName: "count"))
  var calls: Int?

  @Option(
    help: ArgumentHelp(
      "Schedule adaptive: candidates of a call. (default: \(AdaptiveChoice.usualWindow))", valueName: "count"))
  var window: Int?

  @Option(help: "The seed of sampling.")
  var seed: UInt64 = 0

  @OptionGroup var picking: PickingOptions

  @Option(help: "Texts to write at a time.")
  var batch = 8

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("alpha0", alpha0, in: 0...1)
    try require("length", length, in: 1...(1 << 20))
    try require("batch", batch, in: 1...(1 << 16))
    _ = try choice()
  }

  /// How an adaptive schedule chooses; nil where nothing is said.
  private func choice() throws -> AdaptiveChoice? {
    try asUsage { try AdaptiveChoice(measure: choose, threshold: threshold, calls: calls, window: window) }
  }

  /// The options that were given, of those that say how texts are written.
  var given: [String] {
    [
      ("steps", steps != nil), ("alpha0", alpha0 != nil), ("length", length != nil), ("schedule", schedule != nil),
      ("choose", choose != nil), ("threshold", threshold != nil), ("calls", calls != nil), ("window", window != nil),
    ]
    .filter(\.1).map(\.0)
  }

  /// What is asked of the text `number`.
  ///
  /// - Throws: a usage error if it is longer than the run's, unless that is allowed.
  func request(_ template: [Int32?], of run: RunFolder, number: Int = 0) throws -> GenerationRequest {
    let trained = run.configuration.method.length
    guard template.count <= trained || allowLonger else {
      throw ValidationError(
        "the text has \(template.count) tokens, but the run was trained on texts of \(trained): what lies behind was never "
          + "seen in training; shorten it, or name --allow-longer")
    }
    return GenerationRequest(
      template: template, steps: steps, alpha0: alpha0, schedule: schedule, choice: try choice(),
      picker: try picking.picker(), seed: seed, number: number)
  }

  /// What is asked of a text of which nothing is given.
  func request(of run: RunFolder) throws -> GenerationRequest {
    try request(Array(repeating: nil, count: length ?? run.configuration.method.length), of: run)
  }
}
