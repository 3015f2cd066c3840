import ArgumentParser
import EsoLM
import Runs
import Tool
import Torch

/// How sequences are written, whichever command writes them.
struct WritingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Time steps T of diffusion. (default: as many as tokens are written; BD3-LM: one token a step)", valueName: "T"))
  var steps: Int?

  @Option(
    name: .customLong("alpha0"),
    help: ArgumentHelp(
      "Eso-LM: share that diffusion writes. (default: the run's, but 1 with a --schedule other than ancestral)"))
  var alpha0: Double?

  @Option(
    help: ArgumentHelp(
      """
      How steps are laid out: ancestral (Eso-LM, MDLM, BD3-LM), first-hitting (BD3-LM), block and block-shuffled, whose \
      positions lie far apart (Eso-LM, MDLM), left-to-right (Eso-LM, MDLM, AR), adaptive, where the network is sure (Eso-LM, \
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
      """
      Schedule adaptive: candidates of a call, which lie as far apart as so many can. \
      (default: \(AdaptiveChoice.usualWindow))
      """, valueName: "count"))
  var window: Int?

  @Option(
    help: """
      Schedule adaptive: the order in which positions become candidates, random, farthest-first (each as far as possible \
      from those before it) or left-to-right (side by side). (default: random)
      """)
  var candidateOrder: WritingOrder?

  @Option(
    help: ArgumentHelp(
      """
      Eso-LM (B): write as if one token a call, in fewer calls: each checks so many drafts of the next tokens, or as many \
      as pay (auto), and drafts for the next one. (default: none, but a schedule)
      """, valueName: "count"))
  var draft: DraftWidth?

  @Option(
    help: """
      With --draft: the order of writing, random (the share alpha0 at random, the rest from left to right), farthest-first \
      (that share far apart) or left-to-right. (default: random)
      """)
  var draftOrder: WritingOrder?

  @Option(help: "The seed of sampling.")
  var seed: UInt64 = 0

  @OptionGroup var picking: PickingOptions

  @Option(help: "Texts to write at a time.")
  var batch = 8

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("steps", steps, in: 1...UnmaskingPlan.maximumSteps)
    try require("alpha0", alpha0, in: 0...1)
    try require("batch", batch, in: 1...(1 << 16))
    _ = try choice()
    _ = try speculation(.float32)
    if draftOrder != nil, draft == nil { throw ValidationError("--draft-order goes with --draft") }
  }

  /// What is drafted, if anything is.
  private func speculation(_ precision: Precision) throws -> Speculation? {
    try draft.map { draft in
      try asUsage {
        try Speculation(draft.count.map { .fixed($0) } ?? .automatic(precision), order: draftOrder ?? .random)
      }
    }
  }

  /// How an adaptive schedule chooses; nil where nothing is said.
  private func choice() throws -> AdaptiveChoice? {
    try asUsage {
      try AdaptiveChoice(measure: choose, threshold: threshold, calls: calls, window: window, order: candidateOrder)
    }
  }

  /// The options that were given, of those that say how texts are written.
  var given: [String] {
    let all: [(name: String, isGiven: Bool)] = [
      ("steps", steps != nil), ("alpha0", alpha0 != nil), ("schedule", schedule != nil),
      ("choose", choose != nil), ("threshold", threshold != nil), ("calls", calls != nil), ("window", window != nil),
      ("candidate-order", candidateOrder != nil), ("draft", draft != nil), ("draft-order", draftOrder != nil),
    ]
    return all.filter(\.isGiven).map(\.name)
  }

  /// What is asked of the text `number`.
  ///
  /// - Parameters:
  ///   - precision: of the network that will write it.
  ///   - allowsLonger: whether it may be longer than the run's.
  /// - Throws: a usage error if it is longer and may not be.
  func request(
    _ template: [Int32?], of run: RunFolder, in precision: Precision, number: Int = 0, allowsLonger: Bool = false
  ) throws -> GenerationRequest {
    let trained = run.configuration.method.length
    guard template.count <= trained || allowsLonger else {
      throw ValidationError(
        "the text has \(template.count) tokens, but the run was trained on texts of \(trained): what lies behind was never "
          + "seen in training; shorten it, or name --allow-longer")
    }
    return GenerationRequest(
      template: template, steps: steps, alpha0: alpha0, schedule: schedule, choice: try choice(),
      draft: try speculation(precision),
      picker: try picking.picker(), seed: seed, number: number)
  }
}

/// How long texts become.
struct LengthOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Tokens of a text, given ones included. (default: the run's)"))
  var length: Int?

  @Flag(help: "Write texts longer than those the run was trained on, at positions that it never saw.")
  var allowLonger = false

  func validate() throws { try require("length", length, in: 1...(1 << 20)) }
}

/// How many drafts a call checks: a number, or auto.
struct DraftWidth: ExpressibleByArgument {
  /// nil: as many as pay.
  let count: Int?

  var defaultValueDescription: String { count.map(String.init) ?? "auto" }

  init?(argument: String) {
    guard argument != "auto" else {
      count = nil
      return
    }
    guard let count = Int(argument) else { return nil }
    self.count = count
  }
}
