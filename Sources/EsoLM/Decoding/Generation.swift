import Randomness
import Torch

/// One batch of sequences being written: the sampling loop of all methods, one network call at a time.
///
/// Each call feeds what the cache does not hold yet: tokens written before, now clean, followed by masks for the slots
/// that this call writes (and for those that they see). The logits of the slots give the tokens, each drawn
/// independently. Keys and values that will never change stay in the cache, those of a mask never do. What a method sees
/// and keeps is its ``DecodingRule``; which slots are written when is the ``UnmaskingPlan``.
///
/// Every draw depends on the seed, the sequence's number and the slot alone. So a sequence does not depend on the others
/// of its batch, and comes out the same with and without a cache.
public struct Generation {
  /// What one network call did.
  public struct Step: Sendable {
    /// Counted from 0.
    public let index: Int
    /// For each sequence, the positions written.
    public let positions: [[Int]]
    /// For each sequence, the tokens written there.
    public let tokens: [[Int32]]
  }

  public let plan: UnmaskingPlan
  public let rule: DecodingRule
  /// For each sequence, the order that it is written in, a start token included.
  public let orders: [GenerationOrder]
  /// Whether keys and values are kept; otherwise each call recomputes those of all tokens written so far.
  public let usesCache: Bool
  /// How many rows the network was fed so far, in all sequences together.
  public private(set) var fedRows = 0

  private var written: Int
  /// Slots as positions have them, a start token included.
  private var sequences: [[Int32]]
  private let network: any DecodingNetwork
  private let picker: TokenPicker
  private let seed: UInt64
  private let firstSequence: Int
  private let cache: KVCache
  private var nextStep = 0

  /// - Parameters:
  ///   - rule: how the network's method reads.
  ///   - batch: how many sequences to write at a time.
  ///   - firstSequence: the number of the first one; sequence n of a seed is the same in any batch.
  public init(
    _ network: any DecodingNetwork, rule: DecodingRule = .causal, plan: UnmaskingPlan, picker: TokenPicker,
    seed: UInt64, batch: Int = 1, firstSequence: Int = 0, usesCache: Bool = true
  ) {
    let numbers = firstSequence..<firstSequence + batch
    self.init(
      network, rule: rule, plan: plan,
      orders: numbers.map {
        var generator = CounterGenerator(seed: seed, stream: .samplingOrder, major: $0)
        return plan.order(using: &generator)
      },
      picker: picker, seed: seed, firstSequence: firstSequence, usesCache: usesCache)
  }

  /// The same with given orders.
  public init(
    _ network: any DecodingNetwork, rule: DecodingRule = .causal, plan: UnmaskingPlan, orders: [GenerationOrder],
    picker: TokenPicker, seed: UInt64, firstSequence: Int = 0, usesCache: Bool = true
  ) {
    precondition(plan.givenCount == (rule.start == nil ? 0 : 1), "the plan and the rule disagree about a start token")
    self.network = network
    self.rule = rule
    self.plan = plan
    self.orders = orders
    self.picker = picker
    self.seed = seed
    self.firstSequence = firstSequence
    self.usesCache = usesCache
    written = plan.givenCount
    let mask = Int32(network.configuration.maskToken)
    var sequence = Array(repeating: mask, count: plan.length)
    if let start = rule.start { sequence[0] = start.token }
    sequences = Array(repeating: sequence, count: orders.count)
    // Nothing is ever kept of a sequence that is one segment.
    cache = network.makeCache(batch: orders.count, capacity: rule.segments == .whole ? 0 : plan.length)
  }

  /// What is written so far, in text order, the mask token elsewhere.
  public var tokens: [[Int32]] { sequences.map { Array($0.dropFirst(textStart)) } }

  public var isFinished: Bool { nextStep == plan.networkCalls }

  /// How many network calls were made.
  public var madeCalls: Int { nextStep }

  /// The most memory that keys and values take, in bytes.
  public var cacheByteCount: Int {
    KVCache.byteCount(network.configuration, batch: orders.count, capacity: cache.capacity)
  }

  /// Makes the next network call and writes its tokens; nil when everything is written.
  ///
  /// - Throws: ``LogitsError``.
  public mutating func advance() throws -> Step? {
    guard !isFinished else { return nil }
    let slots = slotsOfNextStep
    let logits = self.logits(of: slots)
    let uniforms = orders.indices.flatMap { sequence in
      slots.map { slot in
        var generator = CounterGenerator(
          seed: seed, stream: .samplingToken, major: firstSequence + sequence, minor: slot)
        return generator.uniform()
      }
    }
    let picked = try picker.pick(from: logits, excluding: network.configuration.maskToken, uniforms: uniforms)
    return write(orders.indices.map { Array(picked[$0 * slots.count..<($0 + 1) * slots.count]) }, at: slots)
  }

  /// The same with given tokens instead of drawn ones, for checking: the logits that the tokens would have been drawn
  /// from, [batch · slots, vocabulary], or nil when everything is written.
  ///
  /// - Parameter forced: the tokens of each sequence in text order.
  public mutating func advance(forcing forced: [[Int32]]) -> Tensor? {
    guard !isFinished else { return nil }
    let slots = slotsOfNextStep
    let logits = self.logits(of: slots)
    _ = write(
      zip(orders, forced).map { order, tokens in slots.map { tokens[order.positions[$0] - textStart] } }, at: slots)
    return logits
  }

  /// Writes everything that is left.
  public mutating func finish() throws { while try advance() != nil {} }

  /// Passes over network calls as if they had been made, to measure what a later one costs: of what follows only the
  /// time means anything.
  ///
  /// - Parameter step: the call that `advance` makes next.
  public mutating func skip(to step: Int) {
    precondition((nextStep...plan.networkCalls).contains(step), "call \(step) is not ahead")
    if nextStep == 0 { cache.touch() }
    while nextStep < step {
      let slots = slotsOfNextStep
      let call = call(writing: slots)
      fedRows += (call.end - (usesCache ? cache.count : 0)) * orders.count
      cache.count = max(cache.count, call.finished)
      _ = write(orders.map { _ in Array(repeating: 0, count: slots.count) }, at: slots)
    }
  }

  private func call(writing slots: Range<Int>) -> DecodingRule.Call {
    rule.call(writing: slots, diffused: plan.givenCount + plan.diffusedCount, length: plan.length)
  }

  /// Where the text begins: behind a start token that is no part of it.
  private var textStart: Int { rule.start?.isText == false ? 1 : 0 }

  private var slotsOfNextStep: Range<Int> { written..<written + plan.steps[nextStep] }

  private mutating func logits(of slots: Range<Int>) -> Tensor {
    if !usesCache { cache.count = 0 }
    let call = call(writing: slots)
    let rows = cache.count..<call.end
    let feed = DecodingFeed(
      tokens: zip(sequences, orders).map { tokens, order in order.positions[rows].map { tokens[$0] } },
      positions: orders.map { Array($0.positions[rows]) },
      runs: call.runs.compactMap { $0.within(rows) },
      outputs: call.outputs.shifted(by: -rows.lowerBound), keptCount: max(0, call.finished - rows.lowerBound))
    fedRows += rows.count * orders.count
    return network.logits(feed, cache: cache)
  }

  private mutating func write(_ picked: [[Int32]], at slots: Range<Int>) -> Step {
    let positions = orders.map { Array($0.positions[slots]) }
    for (sequence, (places, new)) in zip(positions, picked).enumerated() {
      for (position, token) in zip(places, new) { sequences[sequence][position] = token }
    }
    defer {
      nextStep += 1
      written = slots.upperBound
    }
    return Step(index: nextStep, positions: positions.map { $0.map { $0 - textStart } }, tokens: picked)
  }
}
