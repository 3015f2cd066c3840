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
      positions lie far apart (Eso-LM, MDLM), left-to-right (MDLM, AR). (default: the first that fits)
      """))
  var schedule: GenerationRequest.Schedule?

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
  }

  /// The options that were given, of those that say how texts are written.
  var given: [String] {
    [("steps", steps != nil), ("alpha0", alpha0 != nil), ("length", length != nil), ("schedule", schedule != nil)]
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
      template: template, steps: steps, alpha0: alpha0, schedule: schedule, picker: try picking.picker(), seed: seed,
      number: number)
  }

  /// What is asked of a text of which nothing is given.
  func request(of run: RunFolder) throws -> GenerationRequest {
    try request(Array(repeating: nil, count: length ?? run.configuration.method.length), of: run)
  }
}
