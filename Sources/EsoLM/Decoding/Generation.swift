import Randomness
import Torch

/// One batch of sequences being written: the sampling loop, one network call at a time.
///
/// Each call feeds the tokens that the call before wrote, now clean, followed by masks for the slots that this call
/// writes; the logits of the masks give the tokens, each drawn independently. Keys and values of clean tokens stay in
/// the cache, those of masks never do. The diffusion and the sequential phase are the same loop: in the second, steps
/// have one slot.
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
  /// For each sequence, the order that it is written in.
  public let orders: [GenerationOrder]
  /// Whether keys and values are kept; otherwise each call recomputes those of all tokens written so far.
  public let usesCache: Bool
  /// What is written so far, in text order, the mask token elsewhere.
  public private(set) var tokens: [[Int32]]

  private let network: any DecodingNetwork
  private let picker: TokenPicker
  private let seed: UInt64
  private let firstSequence: Int
  private let cache: KVCache
  private var nextStep = 0
  private var written = 0
  private var fedBefore = 0

  /// - Parameters:
  ///   - batch: how many sequences to write at a time.
  ///   - firstSequence: the number of the first one; sequence n of a seed is the same in any batch.
  public init(
    _ network: any DecodingNetwork, plan: UnmaskingPlan, picker: TokenPicker, seed: UInt64, batch: Int = 1,
    firstSequence: Int = 0, usesCache: Bool = true
  ) {
    let numbers = firstSequence..<firstSequence + batch
    self.init(
      network, plan: plan,
      orders: numbers.map {
        var generator = CounterGenerator(seed: seed, stream: .samplingOrder, major: $0)
        return plan.order(using: &generator)
      },
      picker: picker, seed: seed, firstSequence: firstSequence, usesCache: usesCache)
  }

  /// The same with given orders.
  public init(
    _ network: any DecodingNetwork, plan: UnmaskingPlan, orders: [GenerationOrder], picker: TokenPicker, seed: UInt64,
    firstSequence: Int = 0, usesCache: Bool = true
  ) {
    self.network = network
    self.plan = plan
    self.orders = orders
    self.picker = picker
    self.seed = seed
    self.firstSequence = firstSequence
    self.usesCache = usesCache
    let mask = Int32(network.configuration.maskToken)
    tokens = Array(repeating: Array(repeating: mask, count: plan.length), count: orders.count)
    cache = network.makeCache(batch: orders.count, capacity: plan.length)
  }

  public var isFinished: Bool { nextStep == plan.networkCalls }

  /// The most memory that keys and values take, in bytes.
  public var cacheByteCount: Int {
    KVCache.byteCount(network.configuration, batch: orders.count, capacity: plan.length)
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
    _ = write(zip(orders, forced).map { order, tokens in slots.map { tokens[order.positions[$0]] } }, at: slots)
    return logits
  }

  /// Writes everything that is left.
  public mutating func finish() throws { while try advance() != nil {} }

  private var slotsOfNextStep: Range<Int> { written..<written + plan.steps[nextStep] }

  private mutating func logits(of slots: Range<Int>) -> Tensor {
    if !usesCache { (cache.count, fedBefore) = (0, 0) }
    let clean = fedBefore..<written
    let mask = Int32(network.configuration.maskToken)
    let feed = DecodingFeed(
      tokens: zip(tokens, orders).map { tokens, order in
        order.positions[clean].map { tokens[$0] } + slots.map { _ in mask }
      },
      positions: orders.map { Array($0.positions[clean.lowerBound..<slots.upperBound]) },
      cleanCount: clean.count)
    fedBefore = written
    return network.logits(feed, cache: cache)
  }

  private mutating func write(_ picked: [[Int32]], at slots: Range<Int>) -> Step {
    let positions = orders.map { Array($0.positions[slots]) }
    for (sequence, (places, new)) in zip(positions, picked).enumerated() {
      for (position, token) in zip(places, new) { tokens[sequence][position] = token }
    }
    defer {
      nextStep += 1
      written = slots.upperBound
    }
    return Step(index: nextStep, positions: positions, tokens: picked)
  }
}
