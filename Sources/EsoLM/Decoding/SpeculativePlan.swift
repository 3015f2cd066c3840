import Foundation
import Randomness
import Torch

/// How tokens are drafted and checked.
public struct Speculation: Sendable, Equatable {
  /// How many drafts a call checks.
  public enum Width: Sendable, Equatable {
    /// So many; 0 writes one token a call.
    case fixed(Int)
    /// As many as pay, by how many were accepted so far and by what rows cost in a precision.
    case automatic(Precision)
  }

  /// How many drafts a call checks.
  public var width: Width
  /// The order in which positions are written: that of the share that diffusion writes, which the rest follows from left to
  /// right; or all from left to right. It decides the distribution of texts, and how often drafts are right.
  public var order: WritingOrder

  /// The most drafts of a call.
  public static let widest = 64

  /// - Throws: ``ConfigurationError`` for a width below 0 or above ``widest``.
  public init(_ width: Width, order: WritingOrder = .random) throws {
    if case .fixed(let count) = width {
      try ConfigurationError.require(
        (0...Self.widest).contains(count), "draft", count, expected: "0 to \(Self.widest), or auto")
    }
    self.width = width
    self.order = order
  }
}

extension Speculation.Width: CustomStringConvertible {
  public var description: String {
    switch self {
    case .fixed(let count): "\(count)"
    case .automatic: "auto"
    }
  }
}

/// How many drafts were checked and accepted, by their place among those of a call.
public struct DraftCounts: Sendable, Equatable {
  /// Calls that had a draft in the place.
  public private(set) var drafted: [Int] = []
  /// Calls that accepted the draft in the place, and so all before it.
  public private(set) var accepted: [Int] = []

  /// Calls that rejected a draft, and with it those behind.
  public private(set) var rejections = 0

  /// Nothing yet.
  public init() {}

  /// Adds a call.
  mutating func add(drafted count: Int, accepted: Int) {
    add(Array(repeating: 1, count: count), Array(repeating: 1, count: accepted))
    if accepted < count { rejections += 1 }
  }

  /// Adds those of another text.
  public mutating func add(_ other: DraftCounts) {
    add(other.drafted, other.accepted)
    rejections += other.rejections
  }

  private mutating func add(_ drafted: [Int], _ accepted: [Int]) {
    while self.drafted.count < drafted.count {
      self.drafted.append(0)
      self.accepted.append(0)
    }
    for (place, count) in drafted.enumerated() { self.drafted[place] += count }
    for (place, count) in accepted.enumerated() { self.accepted[place] += count }
  }
}

/// Lossless self-speculation: tokens are written as if one at a time in a fixed order, in fewer network calls.
///
/// A call is fed drafts of the next positions as if they were written, and for each of them a mask that sees what is
/// written and the drafts before it, but not the other masks: so its logits are those `p_j` of writing one token at a
/// time, if the drafts before it are right. A draft that was drawn from `q_j` is accepted with chance min(1, p_j/q_j); in
/// place of the first one that is not the token is drawn from the positive part of `p_j − q_j`. Either way the token is
/// distributed as `p_j` says, whatever `q_j` was (Leviathan et al. 2023). Keys and values of accepted drafts are exact
/// and stay.
///
/// The same call drafts for the next one: behind the drafts it feeds masks of the positions that follow. Where all
/// drafts were accepted, the first of these masks has seen nothing but written tokens, and its token is written too: so
/// k drafts write up to k + 1 tokens. Otherwise what the masks saw was in part wrong, as were the drafts that the later
/// checks saw. As *proposals* both are still good, because any `q_j` will do that is known before the token is drawn from
/// it: the next drafts are drawn anew from the distributions of the checks behind the rejected draft, then from those of
/// the masks. Therefore a call always has its full width of drafts, and each takes 3 k + 2 rows.
public struct SpeculativePlan: DecodingPlan {
  /// A draft with the distribution that it was drawn from.
  private struct Draft {
    let position: Int
    let token: Int32
    let distribution: TokenDistribution
  }

  /// How many drafts a call checks.
  public let width: Speculation.Width
  /// How many were checked and accepted so far.
  public private(set) var counts = DraftCounts()
  /// The positions that are not written, in their order.
  public private(set) var order: [Int]
  /// Of the first positions of the order.
  private var drafts: [Draft] = []

  public let drawsTokens = true

  /// - Parameter order: the positions to write, in the order in which they are written.
  init(_ width: Speculation.Width, order: [Int]) {
    self.width = width
    self.order = order
  }

  public var remainingCalls: Int? { width == .fixed(0) ? order.count : nil }

  public mutating func next(after generation: Generation) -> PlannedCall? {
    func isOpen(_ position: Int) -> Bool { position < generation.end && !generation.isWritten(position) }
    order.removeAll { !isOpen($0) }
    drafts.removeAll { !isOpen($0.position) }
    guard !order.isEmpty else { return nil }
    return PlannedCall(
      positions: Array(order.dropFirst(drafts.count).prefix(currentWidth + 1)),
      drafts: drafts.map { .init(position: $0.position, token: $0.token) })
  }

  public mutating func draw(
    from call: PlannedCall, distributions: [TokenDistribution], using generator: inout CounterGenerator
  ) -> [PlannedCall.Drawn] {
    let masks = call.positions.count
    var drawn: [PlannedCall.Drawn] = []
    for (place, draft) in drafts.enumerated() {
      let exact = distributions[masks + place]
      let chance = generator.uniform() * draft.distribution.probability(of: draft.token)
      if chance < exact.probability(of: draft.token) {
        drawn.append(.init(place: masks + place, token: draft.token))
      } else {
        let token = exact.token(at: generator.uniform(), exceeding: draft.distribution)
        drawn.append(.init(place: masks + place, token: token))
        counts.add(drafted: drafts.count, accepted: place)
        propose(from: Array(masks + place + 1..<masks + drafts.count) + (0..<masks), call, distributions, &generator)
        return drawn
      }
    }
    counts.add(drafted: drafts.count, accepted: drafts.count)
    if masks > 0 {
      drawn.append(.init(place: 0, token: distributions[0].token(at: generator.uniform())))
      propose(from: Array(1..<masks), call, distributions, &generator)
    }
    return drawn
  }

  /// Draws the next drafts, from the first of these distributions.
  private mutating func propose(
    from places: [Int], _ call: PlannedCall, _ distributions: [TokenDistribution], _ generator: inout CounterGenerator
  ) {
    let masks = call.positions.count
    drafts = places.prefix(currentWidth).map { place in
      Draft(
        position: place < masks ? call.positions[place] : call.drafts[place - masks].position,
        token: distributions[place].token(at: generator.uniform()), distribution: distributions[place])
    }
  }

  // MARK: The width

  private var currentWidth: Int {
    switch width {
    case .fixed(let count): return count
    case .automatic(let precision):
      // As if four of five had been accepted before.
      let accepted = 4 + Double(counts.accepted.reduce(0, +))
      return Self.width(
        acceptance: accepted / (accepted + 1 + Double(counts.rejections)), freeRows: Self.freeRows(precision))
    }
  }

  /// The width at which most tokens are written in the time of a call, where each draft is accepted with the same
  /// chance a if those before it were: 1 + a + … + a^k tokens in the time of 3 k + 2 rows.
  private static func width(acceptance: Double, freeRows: Double) -> Int {
    var (best, most, tokens, power) = (1, 0.0, 1.0, 1.0)
    // At least one, or acceptance would never be known again.
    for width in 1...16 {
      power *= acceptance
      tokens += power
      let speed = tokens / (1 + pow(Double(3 * width + 2) / freeRows, 2)).squareRoot()
      if speed > most { (best, most) = (width, speed) }
    }
    return best
  }

  /// How many rows r take as long to compute as reading the weights does: a call takes about √(1 + (r / F)²) times as long as
  /// reading. Measured on 48 matrices of 3072 × 768 in float32, two cores with AVX-512: 7.1, 9.9, 15.3 and 57 ms at 2,
  /// 16, 32 and 128 rows, as F = 16 says. bfloat16 is half as much to read and as much to compute. Networks whose weights
  /// stay in the processor's caches have fewer.
  private static func freeRows(_ precision: Precision) -> Double {
    switch precision {
    case .float32, .int8: 16
    case .bfloat16: 8
    }
  }
}

// MARK: Orders

extension GenerationRequest {
  /// The positions to write, in the order that is asked for.
  ///
  /// - Parameter alpha0: the share that diffusion writes; which ones is drawn as in the paper's plan.
  func order(_ order: WritingOrder, alpha0: Double) throws -> [Int] {
    guard order != .leftToRight else { return holes }
    var generators = generators
    let plan = UnmaskingPlan.ancestral(
      holes: holes, steps: UnmaskingPlan.maximumSteps, schedule: try NoiseSchedule(alpha0: alpha0), using: &generators)
    let (diffused, rest) = (plan.positions.prefix(plan.diffusedCount), plan.positions.dropFirst(plan.diffusedCount))
    guard order == .farthestFirst else { return plan.positions }
    return order.arranged(diffused.sorted(), from: givenPositions, using: &generators.order) + rest
  }
}
