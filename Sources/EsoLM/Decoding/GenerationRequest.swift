import Faults

/// What is asked of one sequence: which tokens are given, how the others are to be written, and when to stop.
///
/// What a method does not know must be left nil. A request says what is wanted; ``GenerationMethod/generation(_:for:)``
/// makes the sequence, or says why it cannot.
public struct GenerationRequest: Sendable {
  /// Which positions are written in which network call.
  public enum Schedule: String, CaseIterable, Sendable, Codable {
    /// Over equal stretches of time, each writing its binomial share.
    case ancestral
    /// One token at a time, when the first masked token would be hit.
    case firstHitting = "first-hitting"
    /// From left to right, in steps of equally many positions.
    case leftToRight = "left-to-right"
    /// Steps of positions far apart.
    case block
    /// The same with the steps, and the positions inside each, in random order.
    case blockShuffled = "block-shuffled"
    /// Those of some candidates of which the network is sure.
    case adaptive
  }

  /// In which order the network sees given tokens, where the method's attention lets that matter (Eso-LM (B)).
  ///
  /// Measured on characters (width 128, 255 steps, α₀ = 0.5; nats a token of 32 real ones given 96 before or around them,
  /// 100 windows): −2.275 ± 0.024 ascending and −2.274 at random, where they are written from left to right, −2.464 and
  /// −2.473 in random order. So nothing speaks against the order that lets prefixes be shared.
  public enum ContextOrder: String, CaseIterable, Sendable, Codable {
    /// From left to right, so that texts which begin alike share what is computed of them.
    case ascending
    /// At random, as clean tokens stand in training.
    case random
  }

  /// The text: given tokens, nil where one is to be written.
  public var template: [Int32?]
  /// A length that was asked for and that no text has.
  private var refusedLength: Int?
  /// Time steps, or steps of a fixed schedule.
  public var steps: Int?
  /// The share that diffusion writes.
  public var alpha0: Double?
  /// Which positions are written when; nil is the method's usual one.
  public var schedule: Schedule?
  /// How an adaptive schedule chooses; nil is by entropy.
  public var choice: AdaptiveChoice?
  /// Writes one token at a time with the help of drafts, instead of by a schedule.
  public var draft: Speculation?
  /// In which order the network sees given tokens.
  public var contextOrder: ContextOrder
  /// How tokens are drawn.
  public var picker: TokenPicker
  /// When a text ends before its last position.
  public var stop: (any StopCondition)?
  /// The seed of plan, order and tokens.
  public var seed: UInt64
  /// Which sequence of the seed it is: with the seed it decides every draw.
  public var number: Int
  /// How many of the likeliest tokens are told for each written one.
  public var alternativeCount: Int

  /// A text of which some tokens may be given.
  public init(
    template: [Int32?], steps: Int? = nil, alpha0: Double? = nil, schedule: Schedule? = nil,
    choice: AdaptiveChoice? = nil, draft: Speculation? = nil, contextOrder: ContextOrder = .ascending,
    picker: TokenPicker = .plain,
    stop: (any StopCondition)? = nil,
    seed: UInt64 = 0, number: Int = 0, alternativeCount: Int = 0
  ) {
    self.template = template
    self.steps = steps
    self.alpha0 = alpha0
    self.schedule = schedule
    self.choice = choice
    self.draft = draft
    self.contextOrder = contextOrder
    self.picker = picker
    self.stop = stop
    self.seed = seed
    self.number = number
    self.alternativeCount = alternativeCount
  }

  /// The most tokens of a text, far above what any network was trained with.
  public static let maximumLength = 1 << 24

  /// A text of which nothing is given. A length that no text has is said by the method that is to write it.
  public init(
    length: Int, steps: Int? = nil, alpha0: Double? = nil, schedule: Schedule? = nil, choice: AdaptiveChoice? = nil,
    draft: Speculation? = nil, picker: TokenPicker = .plain, seed: UInt64 = 0, number: Int = 0
  ) {
    self.init(
      template: Array(repeating: nil, count: (1...Self.maximumLength).contains(length) ? length : 0), steps: steps,
      alpha0: alpha0, schedule: schedule, choice: choice, draft: draft, picker: picker, seed: seed, number: number)
    if template.isEmpty { refusedLength = length }
  }

  /// Tokens of the text.
  public var length: Int { template.count }
  /// Up to where the text is given, but for holes: behind the last given token.
  var givenEnd: Int { template.lastIndex { $0 != nil }.map { $0 + 1 } ?? 0 }
  /// The positions to write, ascending.
  public var holes: [Int] { template.indices.filter { template[$0] == nil } }
  /// The given positions, ascending.
  var givenPositions: [Int] { template.indices.filter { template[$0] != nil } }

  /// The time steps T that a method takes: where none are asked for, as many as tokens are written, unless the method
  /// writes one token a call anyway or decides as it goes.
  public func timeSteps(of method: any GenerationMethod) -> Int? {
    guard schedule != .adaptive, draft == nil else { return nil }
    return steps ?? (method.diffusionPass == nil ? nil : max(1, holes.count))
  }

  // MARK: Checks

  /// Throws for what no method can do.
  package func validate(for configuration: TransformerConfiguration) throws {
    try ConfigurationError.require(
      (1...Self.maximumLength).contains(template.count), "length",
      template.isEmpty ? refusedLength ?? 0 : template.count,
      expected: "1 to \(Self.maximumLength)")
    for (position, token) in template.enumerated() {
      guard let token else { continue }
      try ConfigurationError.require(
        (0..<Int32(configuration.vocabularySize)).contains(token), "template",
        "\(token) at position \(position + 1)", expected: "tokens from 0 to \(configuration.vocabularySize - 1)")
      try ConfigurationError.require(
        Int(token) != configuration.maskToken, "template", "the mask token at position \(position + 1)",
        expected: "tokens of text, or holes")
    }
    try ConfigurationError.require(
      template.contains(nil), "template", "\(template.count) given tokens", expected: "a hole to write into")
    if let alpha0 {
      try ConfigurationError.require((0...1).contains(alpha0), "alpha0", alpha0, expected: "0 to 1")
    }
    try ConfigurationError.require(
      choice == nil || schedule == .adaptive, "schedule", schedule?.rawValue ?? "not named",
      expected: "adaptive, where it is said how to choose")
    try ConfigurationError.require(number >= 0, "number", number, expected: "from 0")
    try ConfigurationError.require(
      (0...configuration.vocabularySize - 1).contains(alternativeCount), "alternativeCount", alternativeCount,
      expected: "0 to \(configuration.vocabularySize - 1)")
  }

  /// Throws for a schedule that is not one of `known`; the first of them is the default.
  package func schedule(of method: String, known: [Schedule]) throws -> Schedule {
    guard let schedule else { return known[0] }
    try ConfigurationError.require(
      known.contains(schedule), "schedule", schedule.rawValue,
      expected: "\(known.map(\.rawValue).joined(separator: " or ")) for \(method)")
    return schedule
  }

  /// The steps of a schedule whose steps are fixed beforehand.
  private func fixedSteps(_ schedule: Schedule) throws -> Int {
    let steps = steps ?? holes.count
    try ConfigurationError.require(
      (1...holes.count).contains(steps), "steps", steps,
      expected: "1 to the \(holes.count) tokens to write with schedule \(schedule.rawValue)")
    return steps
  }

  /// Asks for no more steps or calls than there are tokens to write: for a text whose length is drawn, so that nobody could
  /// know how many.
  public mutating func limitCalls() {
    let most = max(1, holes.count)
    if let schedule, schedule != .ancestral { steps = steps.map { min($0, most) } }
    if let calls = choice?.calls { choice?.goal = .calls(min(calls, most)) }
  }

  /// T of ancestral sampling.
  func ancestralSteps(default standard: Int? = nil) throws -> Int {
    let steps = steps ?? standard ?? holes.count
    try ConfigurationError.require(
      (1...UnmaskingPlan.maximumSteps).contains(steps), "steps", steps, expected: "1 to 2^52")
    return steps
  }

  /// The given positions, for a method whose attention leaves them one order, or does not tell orders apart.
  func ascendingContext(_ method: String) throws -> [(position: Int, token: Int32)] {
    try ConfigurationError.require(
      contextOrder == .ascending, "contextOrder", contextOrder.rawValue, expected: "ascending for \(method)")
    return orderedContext()
  }

  /// Throws if a share is asked for that diffusion writes.
  package func forbidAlpha0(_ method: String) throws {
    guard let alpha0 else { return }
    throw ConfigurationError(field: "alpha0", found: "\(alpha0)", expected: "none for \(method)")
  }

  /// Throws if drafts are asked for.
  ///
  /// - Parameter reason: why the method cannot check them.
  func forbidDrafts(_ method: String, _ reason: String) throws {
    guard let draft else { return }
    throw ConfigurationError(field: "draft", found: "\(draft.width)", expected: "none for \(method), \(reason)")
  }

  /// What a method that writes in any order carries out.
  func decodingPlan(
    _ schedule: Schedule, alpha0: Double, for configuration: TransformerConfiguration
  ) throws -> any DecodingPlan {
    if let draft {
      try ConfigurationError.require(
        self.schedule == nil, "schedule", schedule.rawValue,
        expected: "none with drafts, which write one token at a time")
      try ConfigurationError.require(
        steps == nil, "steps", steps ?? 0, expected: "none with drafts, which write one token at a time")
      return SpeculativePlan(draft.width, order: try order(draft.order, alpha0: alpha0))
    }
    guard schedule == .adaptive else { return FixedPlan(try anyOrderPlan(schedule, alpha0: alpha0)) }
    try ConfigurationError.require(
      steps == nil, "steps", steps ?? 0, expected: "none with schedule adaptive, which takes calls or a threshold")
    var generators = generators
    return try AdaptivePlan(
      try choice ?? AdaptiveChoice(), holes: holes, given: givenPositions, alpha0: alpha0,
      maskToken: configuration.maskToken, using: &generators)
  }

  /// The plan, fixed beforehand, of a method that writes in any order.
  package func anyOrderPlan(_ schedule: Schedule, alpha0: Double) throws -> UnmaskingPlan {
    trap(unless: schedule != .adaptive, "an adaptive plan is not fixed beforehand")
    var generators = generators
    switch schedule {
    case .block, .blockShuffled:
      return .block(
        holes: holes, steps: try fixedSteps(schedule), shuffled: schedule == .blockShuffled, alpha0: alpha0,
        using: &generators)
    case .leftToRight: return .leftToRight(holes: holes, steps: try fixedSteps(schedule))
    case .ancestral, .firstHitting, .adaptive:
      return try .ancestral(
        holes: holes, steps: try ancestralSteps(), schedule: NoiseSchedule(alpha0: alpha0), using: &generators)
    }
  }

  var generators: SamplingGenerators { SamplingGenerators(seed: seed, number: number) }
}

/// Tells where a text ends.
public protocol StopCondition: Sendable {
  /// How many tokens a text keeps, if it ends in its first tokens, which are final; nil if it goes on.
  ///
  /// - Parameters:
  ///   - text: its tokens up to the first position that is not written.
  ///   - given: how many of the first tokens are no stop: all up to the last one that was given.
  ///   - known: how many of them were there when it was last asked.
  func end(of text: ArraySlice<Int32>, given: Int, known: Int) -> Int?
}

/// Ends a text before the first of some tokens, such as the one between documents.
public struct StopTokens: StopCondition, Equatable {
  /// The tokens that end a text; they are no part of it.
  public let tokens: Set<Int32>

  /// Ends a text before any of these.
  public init(_ tokens: Set<Int32>) { self.tokens = tokens }

  public func end(of text: ArraySlice<Int32>, given: Int, known: Int) -> Int? {
    text.dropFirst(max(given, known)).firstIndex(where: tokens.contains).map { $0 - text.startIndex }
  }
}
