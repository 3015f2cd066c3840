import Faults
import Foundation
import Randomness
import Torch

/// How an adaptive plan chooses what a call writes among its candidates.
public struct AdaptiveChoice: Sendable, Equatable {
  /// How sure a network is of a token that it has not drawn yet: a number of its distribution alone. The probability of
  /// the token that was *drawn* would be none: choosing by it, probabilities of texts no longer add up to 1.
  public enum Measure: String, Sendable, CaseIterable, Codable {
    /// The distribution's entropy in nats; low is sure.
    case entropy
    /// How far the likeliest token's probability lies above the next one's; high is sure.
    case margin
    /// The likeliest token's probability; high is sure.
    case probability
  }

  /// How many candidates are written.
  public enum Goal: Sendable, Equatable {
    /// All that are at least so sure.
    case threshold(Double)
    /// The surest, as many as it takes to write a text in so many calls.
    case calls(Int)
  }

  /// What tells how sure the network is.
  public var measure: Measure
  /// How many candidates are written.
  public var goal: Goal
  /// How many candidates a call has at most: each costs a row. They lie as far apart as so many can, since tokens that are
  /// written together depend on each other the less, the farther apart they are. Where more are to be written than this,
  /// as many as these.
  public var window: Int
  /// In which order positions become candidates. From left to right they stand side by side.
  public var order: WritingOrder

  /// How sure is sure enough; nil where calls are counted.
  public var threshold: Double? { if case .threshold(let threshold) = goal { threshold } else { nil } }
  /// What a text may cost; nil where a threshold decides.
  public var calls: Int? { if case .calls(let calls) = goal { calls } else { nil } }

  /// Candidates of a call where nothing is said.
  public static let usualWindow = 8

  /// A choice by its parts.
  ///
  /// - Parameters:
  ///   - measure: what tells how sure the network is.
  ///   - threshold: nil, unless `calls` is given, is 0.5: nats of entropy, or probability.
  ///   - calls: what a text may cost, instead of a threshold.
  ///   - window: candidates of a call.
  ///   - order: in which positions become candidates.
  /// - Throws: ``ConfigurationError`` for a threshold that the measure cannot have, for numbers below 1, and where
  ///   threshold and calls are both given.
  public init(
    _ measure: Measure = .entropy, threshold: Double? = nil, calls: Int? = nil, window: Int = usualWindow,
    order: WritingOrder = .random
  ) throws {
    let threshold = threshold ?? (calls == nil ? 0.5 : nil)
    if let threshold {
      try ConfigurationError.require(
        calls == nil, "calls", "\(calls ?? 0) beside a threshold", expected: "one of both")
      switch measure {
      case .entropy:
        try ConfigurationError.require(
          threshold >= 0 && threshold.isFinite, "threshold", threshold, expected: "a finite number of nats from 0")
      case .margin, .probability:
        try ConfigurationError.require(
          (0...1).contains(threshold), "threshold", threshold, expected: "a probability from 0 to 1")
      }
    }
    if let calls { try ConfigurationError.require(calls >= 1, "calls", calls, expected: "at least 1") }
    try ConfigurationError.require(window >= 1, "window", window, expected: "at least 1")
    self.measure = measure
    self.window = window
    self.order = order
    goal = threshold.map(Goal.threshold) ?? .calls(calls!)
  }

  /// A choice of which some parts, or none, are said; nil for none.
  ///
  /// - Throws: ``ConfigurationError``, as the other initialiser does.
  public init?(measure: Measure?, threshold: Double?, calls: Int?, window: Int?, order: WritingOrder?) throws {
    guard measure != nil || threshold != nil || calls != nil || window != nil || order != nil else { return nil }
    try self.init(
      measure ?? .entropy, threshold: threshold, calls: calls, window: window ?? Self.usualWindow,
      order: order ?? .random)
  }
}

/// A plan whose calls evaluate some candidates and write those of which the network is sure.
///
/// The choice depends on what is written and on the logits of the call, never on a token that the call draws. So texts
/// have a proper distribution, and a text's probability can be had again in one pass
/// (``Generation/replayedLogProbabilities(under:)``).
///
/// A candidate's mask is seen by those behind it, so which candidates a call has, and their order, are part of the plan:
/// they are the first unwritten positions, of those that lie far enough apart, in an order that is drawn once for each
/// sequence. Where nothing is written yet all positions look alike to the network, and the first of the order is written
/// alone.
public struct AdaptivePlan: DecodingPlan {
  /// How candidates are chosen.
  public let choice: AdaptiveChoice
  private let maskToken: Int
  /// The positions that are not written, in the order in which they become candidates.
  public private(set) var candidates: [Int]
  /// How many of them, the last ones, follow one a call from left to right.
  private let sequentialCount: Int
  /// How many positions there are to write at first.
  private let holeCount: Int
  /// How many tokens the call in progress may write at most and must at least.
  private var limits = 1...1
  public private(set) var remainingCalls: Int?

  public let choosesByLogits = true

  /// - Parameters:
  ///   - holes: the positions to write, ascending.
  ///   - given: the others, ascending.
  ///   - alpha0: the share of them that is written in this way.
  ///   - maskToken: a token that is never drawn.
  init(
    _ choice: AdaptiveChoice, holes: [Int], given: [Int], alpha0: Double, maskToken: Int,
    using generators: inout SamplingGenerators
  ) throws {
    self.choice = choice
    self.maskToken = maskToken
    holeCount = holes.count
    candidates = choice.order.arranged(holes, from: given, using: &generators.order)
    sequentialCount = holes.count - Int((alpha0 * Double(holes.count)).rounded())
    guard let calls = choice.calls else { return }
    let least = sequentialCount + (sequentialCount < holes.count ? 1 : 0)
    try ConfigurationError.require(
      (least...holes.count).contains(calls), "calls", calls,
      expected: "\(least) to \(holes.count), of which \(sequentialCount) write a token each from left to right")
    remainingCalls = calls
  }

  public mutating func next(after generation: Generation) -> PlannedCall? {
    candidates.removeAll { $0 >= generation.end || generation.isWritten($0) }
    guard !candidates.isEmpty else { return nil }
    var calls: Int?
    if let goal = choice.calls {
      calls = max(1, goal - generation.networkCalls)
      remainingCalls = calls! - 1
    }
    let left = candidates.count - sequentialCount
    guard left > 0 else {
      limits = 1...1
      return PlannedCall(positions: [candidates.min()!], isSequential: true)
    }
    let share = calls.map { calls in
      let own = max(1, calls - sequentialCount)
      return (left + own - 1) / own
    }
    limits = share.map { $0...$0 } ?? 1...left
    // Nothing distinguishes positions before anything is written.
    if generation.isBlank, share ?? 1 < left {
      limits = 1...1
      return PlannedCall(positions: [candidates[0]])
    }
    return PlannedCall(positions: spread(max(choice.window, share ?? 0), atLeast: share ?? 1))
  }

  /// The first candidates of the order that lie apart, as far as so many can on the average; closer ones where those are
  /// too few. From left to right they follow each other.
  private func spread(_ count: Int, atLeast least: Int) -> [Int] {
    var (chosen, distance) = ([Int](), choice.order == .leftToRight ? 1 : max(1, holeCount / count))
    while true {
      var isNear = [Bool](repeating: false, count: candidates.max()! + 1)
      func mark(_ position: Int) {
        for near in max(0, position - distance + 1)..<min(isNear.count, position + distance) { isNear[near] = true }
      }
      chosen.forEach(mark)
      for position in candidates where chosen.count < count && !isNear[position] {
        chosen.append(position)
        mark(position)
      }
      guard chosen.count < min(least, candidates.count) else { return chosen }
      distance /= 2
    }
  }

  public func choose(from call: PlannedCall, logits: Tensor) -> [Int] {
    let places = Array(call.positions.indices)
    guard places.count > limits.lowerBound else { return places }
    let surest = doubts(logits).enumerated().sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }
    let count: Int
    switch choice.goal {
    case .calls: count = limits.upperBound
    case .threshold(let threshold):
      let most = choice.measure == .entropy ? threshold : -threshold
      count = min(max(limits.lowerBound, surest.count { $0.element <= most }), limits.upperBound)
    }
    return surest.prefix(count).map(\.offset).sorted()
  }

  /// The less, the surer the network is of each row.
  private func doubts(_ logits: Tensor) -> [Double] {
    let (chances, cold) = withoutGradients {
      let logits = logits.to(.float32)
      logits.narrowed(dim: 1, to: maskToken..<maskToken + 1).fill(-.infinity)
      return (logits.softmax(dim: 1).to(.cpu), logits.to(.cpu))
    }
    let size = chances.size(1)
    return chances.withUnsafeElements(of: Float.self) { chances in
      cold.withUnsafeElements(of: Float.self) { logits in
        func doubt(_ row: Int) -> Double {
          let range = row * size..<(row + 1) * size
          var (best, second, top) = (Float(0), Float(0), range.lowerBound)
          for place in range where chances[place] > second {
            if chances[place] > best {
              (best, second, top) = (chances[place], best, place)
            } else {
              second = chances[place]
            }
          }
          switch choice.measure {
          case .probability: return -Double(best)
          case .margin: return -Double(best - second)
          case .entropy:
            // −Σ p log p with log p = logit − top logit + log of the top's p: one logarithm instead of one a token.
            var sum = 0.0
            for place in range where chances[place] > 0 {
              sum += Double(chances[place]) * Double(logits[place] - logits[top])
            }
            return -sum - log(Double(best))
          }
        }
        let rows = chances.count / size
        return rows * size < 1 << 15 ? (0..<rows).map(doubt) : Torch.parallelMap(rows, doubt)
      }
    }
  }
}
