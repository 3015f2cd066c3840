import Faults
import Randomness
import Torch

/// One sequence that is being written: a value, made by its method, that nothing else shares.
///
/// It holds what is given and what is written so far, the plan that decides what comes next, how tokens are drawn and
/// when to stop. A ``Sampler`` runs it, alone or among others; a copy goes on from where it was copied.
///
/// Every draw depends on the seed, the sequence's number and how many were made before. So a sequence does not depend on the others
/// that share its network calls, and comes out the same with and without a cache.
///
/// Positions count the text's tokens from 0. A *slot* is a place in the order in which the network sees tokens: given
/// ones first, then each as it was written.
public struct Generation: Sendable {
  /// How the method reads what is written.
  public let rule: DecodingRule
  /// How tokens are drawn.
  public let picker: TokenPicker
  /// The seed of all draws.
  public let seed: UInt64
  /// Which sequence of the seed it is.
  public let number: Int
  /// How many of the likeliest tokens are told for each written one.
  public let alternativeCount: Int
  /// The id that stands where nothing is written yet.
  public let maskToken: Int32
  /// How many slots, the first ones, were given, a start token included.
  public let givenCount: Int

  /// Where the text ends: its length, or less once it was cut.
  public private(set) var end: Int
  /// Why the text is finished; nil while it is not.
  public private(set) var finishReason: FinishReason?
  /// What each network call wrote, those left out whose tokens were taken back.
  public private(set) var history: [Written] = []
  /// How many network calls wrote tokens (NFE), those included whose tokens were taken back.
  public private(set) var networkCalls = 0
  /// How many rows the network was fed for this sequence so far.
  public internal(set) var fedRows = 0

  /// Why a text is finished.
  public enum FinishReason: String, Sendable, Codable {
    /// Every position is written.
    case length
    /// The stop condition ended it.
    case stop
  }

  /// The tokens of one network call.
  public struct Written: Sendable, Equatable {
    /// The positions that were written, in the order of their slots.
    public let positions: [Int]
    /// The token of each position.
    public let tokens: [Int32]
    /// Of each token under the distribution that it was drawn from, in nats.
    public let logProbabilities: [Double]
    /// Of each token under the model's own distribution, without temperature, top-k and nucleus.
    public let modelLogProbabilities: [Double]
    /// For each token the likeliest ones with the model's log-probabilities, if they were asked for.
    public let alternatives: [[(token: Int32, logProbability: Double)]]
    /// All positions that were evaluated, where they were more.
    public let candidates: [Int]?
    /// Whether each token was drawn given those before it, those of the same call included, as if it had been written in
    /// a call of its own.
    public let isOneAtATime: Bool

    /// - Parameters:
    ///   - candidates: all positions that were evaluated.
    ///   - isOneAtATime: whether each token depends on those before it.
    init(positions: [Int], picks: [TokenPicker.Pick], candidates: [Int], isOneAtATime: Bool = false) {
      self.isOneAtATime = isOneAtATime
      self.positions = positions
      tokens = picks.map(\.token)
      logProbabilities = picks.map(\.logProbability)
      modelLogProbabilities = picks.map(\.modelLogProbability)
      alternatives = picks.contains { !$0.alternatives.isEmpty } ? picks.map(\.alternatives) : []
      self.candidates = candidates == positions ? nil : candidates
    }

    /// Tokens that were not drawn.
    init(positions: [Int], tokens: [Int32]) {
      let picks = tokens.map {
        TokenPicker.Pick(token: $0, logProbability: 0, modelLogProbability: 0, alternatives: [])
      }
      self.init(positions: positions, picks: picks, candidates: positions)
    }

    /// Tokens that mean nothing.
    static func filler(at positions: [Int]) -> Written {
      Written(positions: positions, tokens: positions.map { _ in 0 })
    }

    public static func == (a: Self, b: Self) -> Bool {
      a.positions == b.positions && a.tokens == b.tokens && a.logProbabilities == b.logProbabilities
        && a.modelLogProbabilities == b.modelLogProbabilities && a.candidates == b.candidates
        && a.isOneAtATime == b.isOneAtATime
    }
  }

  /// What decides which positions come next, as it stands.
  public private(set) var plan: any DecodingPlan
  private let stop: (any StopCondition)?
  /// By row position: the text's, behind a start token that is no text.
  private(set) var sequence: [Int32]
  /// The row position of each slot.
  private(set) var slots: [Int]
  /// How many slots, the first ones, no slot was written before since the last call: what follows them has other keys and
  /// values now.
  private(set) var unmovedCount = 0
  /// How many slots were clean when the diffusion phase ended; nil before.
  private var diffusedCount: Int?
  /// How many tokens were given or drawn, those included that were taken back.
  private var drawnCount: Int
  /// The first position of the text that is not written.
  private var prefix = 0
  /// Up to where positions were given: a stop among them is none.
  public let givenEnd: Int

  /// - Parameters:
  ///   - rule: how the method reads.
  ///   - given: positions with tokens, in the order in which the network sees them.
  ///   - padding: positions behind the text that are never written, whose masks what is written sees.
  package init(
    rule: DecodingRule, plan: any DecodingPlan, given: [(position: Int, token: Int32)], request: GenerationRequest,
    maskToken: Int, padding: Int = 0
  ) {
    self.rule = rule
    self.plan = plan
    picker = request.picker
    seed = request.seed
    number = request.number
    alternativeCount = request.alternativeCount
    stop = request.stop
    self.maskToken = Int32(maskToken)
    end = request.length
    let shift = rule.textStart
    sequence = Array(repeating: Int32(maskToken), count: request.length + shift + padding)
    if shift == 1 { sequence[0] = rule.start!.token }
    slots = Array(0..<shift) + given.map { $0.position + shift }
    for (position, token) in given { sequence[position + shift] = token }
    givenCount = slots.count
    drawnCount = slots.count
    unmovedCount = slots.count
    givenEnd = request.givenEnd
    slots.reserveCapacity(sequence.count)
    extendPrefix()
  }

  private mutating func extendPrefix() {
    while prefix < end, sequence[prefix + rule.textStart] != maskToken { prefix += 1 }
  }

  /// A sequence with a plan of its own, for what no method offers.
  ///
  /// - Parameters:
  ///   - request: its template says what is given, the rest of it how tokens are drawn; it names no schedule.
  ///   - rule: how the network's method reads.
  ///   - plan: which positions are written when.
  ///   - configuration: of the network that will write it.
  /// - Throws: ``ConfigurationError`` for a request that cannot be met.
  public init(
    _ request: GenerationRequest, rule: DecodingRule, plan: any DecodingPlan,
    for configuration: TransformerConfiguration
  ) throws {
    try request.validate(for: configuration)
    self.init(
      rule: rule, plan: plan, given: request.orderedContext(), request: request, maskToken: configuration.maskToken)
  }

  // MARK: What is there

  /// The text, the mask token where nothing is written yet.
  public var tokens: [Int32] { Array(text) }
  var text: ArraySlice<Int32> { sequence[rule.textStart..<rule.textStart + end] }

  /// Whether nothing is left to write.
  public var isFinished: Bool { finishReason != nil }
  /// How many drafts were checked and accepted; nil where none are made.
  public var draftCounts: DraftCounts? { (plan as? SpeculativePlan)?.counts }
  /// How many calls are left, where the plan knows it.
  public var remainingCalls: Int? { plan.remainingCalls }

  /// The text's positions in the order of their slots, given ones first; a start token that is no text is left out.
  public var order: [Int] { slots.dropFirst(rule.textStart).map { $0 - rule.textStart } }

  /// Whether a position is given or written.
  func isWritten(_ position: Int) -> Bool { sequence[position + rule.textStart] != maskToken }
  /// Whether the network has nothing to go by: not a token is given or written.
  var isBlank: Bool { slots.isEmpty }

  /// The tokens up to the first position that is not written: they will not change.
  public var finalTokens: ArraySlice<Int32> { text.prefix(prefix) }

  /// log p of what was written under the plan: of the distributions that tokens were drawn from, in nats.
  public var logProbability: Double { history.reduce(0) { $0 + $1.logProbabilities.reduce(0, +) } }
  /// The same under the model's own distributions, without temperature, top-k and nucleus.
  public var modelLogProbability: Double { history.reduce(0) { $0 + $1.modelLogProbabilities.reduce(0, +) } }

  /// Ends the text before a position. What was to be written behind is left out; what is written there is no more text,
  /// but still counts as written, and is still seen by what follows.
  public mutating func cut(at position: Int) {
    end = min(end, max(0, position))
    prefix = min(prefix, end)
    if prefix == end { finishReason = finishReason ?? .stop }
  }

  // MARK: What the next call looks at

  /// The rows of a call and how they see each other, slots counted from the first.
  struct Call {
    let planned: PlannedCall
    /// The row positions behind the written slots: those of drafts, then of masks.
    let open: [Int]
    let reading: DecodingRule.Reading
  }

  /// What the plan wants next; nil if the text is finished.
  mutating func nextCall() -> Call? {
    guard !isFinished else { return nil }
    var plan = plan
    let next = plan.next(after: self)
    self.plan = plan
    guard var planned = next else {
      finishReason = .length
      return nil
    }
    if rule.orders.masks == .leftToRight, !plan.drawsTokens { planned.positions.sort() }
    if planned.takesBack > 0 { takeBack(planned.takesBack) }
    trap(
      unless: Set(planned.evaluated).count == planned.evaluated.count
        && planned.evaluated.allSatisfy { (0..<end).contains($0) && sequence[$0 + rule.textStart] == maskToken },
      "a plan asks for each position once, and none that is written: \(planned.evaluated)")
    trap(
      unless: planned.drafts.isEmpty || (rule.segments == .each && !rule.predictsNext),
      "drafts are checked where each slot is a segment")
    if planned.isSequential { diffusedCount = diffusedCount ?? slots.count }
    let candidates = planned.positions.map { $0 + rule.textStart }
    let reading = rule.reading(
      writing: slots.count..<slots.count + planned.evaluated.count, clean: diffusedCount ?? slots.count,
      isDiffusing: !planned.isSequential, length: sequence.count)
    let open =
      planned.drafts.map { $0.position + rule.textStart } + candidates
      + rule.companions(of: candidates, in: sequence, maskToken: maskToken)
    return Call(planned: planned, open: open, reading: reading)
  }

  /// Adds the rows of a call to a network call.
  ///
  /// - Parameter start: the first slot that is not in the cache.
  mutating func append(_ call: Call, from start: Int, to feed: inout DecodingFeed) {
    let (reading, drafts) = (call.reading, call.planned.drafts)
    append(
      start..<reading.end, open: call.open, drafts: drafts.map(\.token), layout: reading.layout,
      outputs: reading.outputs.lowerBound + drafts.count..<reading.outputs.upperBound + drafts.count,
      kept: reading.finished + drafts.count, to: &feed)
  }

  /// Adds the rows of some slots to a network call.
  ///
  /// - Parameters:
  ///   - open: the row positions of the slots behind the written ones.
  ///   - drafts: tokens of the first of these. Behind all slots each has a mask that sees those before its own.
  ///   - layout: how slots see each other; nil before anything is written.
  ///   - outputs: the rows that logits are asked for, counted as slots.
  ///   - kept: how many slots the cache holds afterwards.
  mutating func append(
    _ range: Range<Int>, open: [Int] = [], drafts: [Int32] = [], layout: AttentionLayout? = nil, outputs: Range<Int>,
    kept: Int, to feed: inout DecodingFeed
  ) {
    let layout = layout ?? AttentionLayout(rule.segments, length: sequence.count, cleanCount: 0)
    let positions = range.map { $0 < slots.count ? slots[$0] : open[$0 - slots.count] } + open.prefix(drafts.count)
    let drafted = slots.count - range.lowerBound
    var tokens = positions.map { sequence[$0] }
    for (place, token) in drafts.enumerated() { tokens[drafted + place] = token }
    feed.append(
      tokens: tokens, positions: positions,
      visible: layout.runs.flatMap { run in
        run.slots.clamped(to: range).map { min(run.segment(of: $0)!.upperBound, range.upperBound) }
      } + drafts.indices.map { slots.count + $0 },
      apart: drafts.count, outputs: outputs.shifted(by: -range.lowerBound), keptCount: max(0, kept - range.lowerBound))
    fedRows += positions.count
  }

  /// How many slots have keys and values that will never change.
  var settledCount: Int {
    switch rule.segments {
    case .each: rule.predictsNext ? slots.count - 1 : slots.count
    case .blocks(let size): slots.count / size * size
    case .whole, .cleanTogether, .maskedTogether: 0
    }
  }

  func cachedPrefix(_ count: Int) -> CachedPrefix {
    CachedPrefix(
      segments: rule.segments, slots: slots[..<count].map { .init(token: sequence[$0], position: $0) })
  }

  private mutating func takeBack(_ count: Int) {
    trap(unless: count <= slots.count - givenCount, "more slots are taken back than were written")
    var taken: Set<Int> = []
    while taken.count < count, let last = history.popLast() {
      taken.formUnion(last.positions.map { $0 + rule.textStart })
    }
    trap(unless: taken.count == count, "whole calls are taken back")
    for position in taken { sequence[position] = maskToken }
    unmovedCount = min(unmovedCount, slots.firstIndex(where: taken.contains) ?? slots.count)
    slots.removeAll(where: taken.contains)
    prefix = 0
  }

  /// Adds slots behind those that are there or, where clean ones stand from left to right, among them.
  private mutating func addSlots(_ positions: [Int]) {
    slots += positions
    unmovedCount = slots.count
    guard rule.orders.clean == .leftToRight, let first = positions.min() else { return }
    slots.sort()
    unmovedCount = slots.firstIndex(of: first)!
  }

  /// The uniform numbers that the next tokens are drawn with: new ones also for slots that were taken back.
  func uniforms(_ count: Int) -> [Double] {
    (drawnCount..<drawnCount + count).map { draw in
      var generator = CounterGenerator(seed: seed, stream: .samplingToken, major: number, minor: draw)
      return generator.uniform()
    }
  }

  var choosesByLogits: Bool { plan.choosesByLogits }

  mutating func choose(from call: PlannedCall, logits: Tensor) -> [Int] {
    var plan = plan
    let chosen = plan.choose(from: call, logits: logits)
    trap(
      unless: Set(chosen).count == chosen.count && chosen.allSatisfy(call.positions.indices.contains)
        && (!chosen.isEmpty || call.takesBack > 0),
      "a plan chooses places among \(call.positions.count), at least one and each once: \(chosen)")
    self.plan = plan
    return chosen
  }

  var drawsTokens: Bool { plan.drawsTokens }

  /// What the plan draws of a call, with numbers that depend on which call it is.
  ///
  /// - Throws: ``LogitsError``.
  mutating func draw(from call: PlannedCall, logits: Tensor) throws -> [PlannedCall.Drawn] {
    var plan = plan
    var generator = CounterGenerator(seed: seed, stream: .drafts, major: number, minor: networkCalls)
    let drawn = plan.draw(
      from: call, distributions: try picker.distributions(of: logits, excluding: Int(maskToken)), using: &generator)
    trap(
      unless: !drawn.isEmpty && Set(drawn.map(\.place)).count == drawn.count
        && drawn.allSatisfy { call.evaluated.indices.contains($0.place) },
      "a plan draws tokens of \(call.evaluated.count) places, at least one and each once: \(drawn.map(\.place))")
    self.plan = plan
    return drawn
  }

  /// Takes over what a call drew.
  mutating func write(_ written: Written) {
    let known = prefix
    for (position, token) in zip(written.positions, written.tokens) { sequence[position + rule.textStart] = token }
    addSlots(written.positions.map { $0 + rule.textStart })
    history.append(written)
    networkCalls += 1
    drawnCount += written.positions.count
    extendPrefix()
    if prefix > known, let end = stop?.end(of: finalTokens, given: givenEnd, known: known) { cut(at: end) }
    if !isFinished, prefix == end { finishReason = .length }
  }
}

extension GenerationRequest {
  /// The given positions in the order in which the network sees them.
  package func orderedContext() -> [(position: Int, token: Int32)] {
    let given = template.enumerated().compactMap { position, token in token.map { (position: position, token: $0) } }
    guard contextOrder == .random else { return given }
    var generator = CounterGenerator(seed: seed, stream: .contextOrder, major: number)
    return given.inRandomOrder(using: &generator)
  }
}
