import Faults
import Randomness

/// In which order the tokens of one sequence are written: σ of the paper.
///
/// The network sees a sequence sorted by its order. A *slot* is a place in the sorted sequence, a *position* a place in
/// the text. The first `cleanCount` slots hold tokens that are given; the others are masked, to be predicted.
///
/// Invariant: `positions` is a permutation of 0 ..< length.
public struct GenerationOrder: Sendable, Equatable {
  /// The position of each slot.
  public let positions: [Int]
  /// How many leading slots are clean.
  public let cleanCount: Int

  /// The number of slots.
  public var length: Int { positions.count }
  /// How many slots, the last ones, are masked.
  public var maskedCount: Int { positions.count - cleanCount }

  /// An order from its parts.
  ///
  /// - Precondition: `positions` holds each of 0, 1, … once, and `cleanCount` is at most their number.
  public init(positions: [Int], cleanCount: Int) {
    trap(unless: Self.isPermutation(positions), "an order must hold every position once")
    trap(unless: (0...positions.count).contains(cleanCount), "more clean slots than slots")
    self.positions = positions
    self.cleanCount = cleanCount
  }

  /// Left to right, nothing given: the order of an autoregressive model.
  ///
  /// - Precondition: `length` is not negative.
  public static func leftToRight(length: Int) -> GenerationOrder {
    GenerationOrder(positions: Array(0..<length), cleanCount: 0)
  }

  /// The order of a diffusion pass over a partly masked sequence: clean positions at random, then masked ones at random.
  public static func diffusion(
    masked: [Bool], using generator: inout some RandomNumberGenerator
  ) -> GenerationOrder {
    let (clean, hidden) = split(masked)
    return GenerationOrder(
      positions: clean.inRandomOrder(using: &generator) + hidden.inRandomOrder(using: &generator),
      cleanCount: clean.count)
  }

  /// The order of a sequential pass: clean positions at random (diffusion wrote them), then masked ones left to right.
  public static func sequential(
    masked: [Bool], using generator: inout some RandomNumberGenerator
  ) -> GenerationOrder {
    let (clean, hidden) = split(masked)
    return GenerationOrder(positions: clean.inRandomOrder(using: &generator) + hidden, cleanCount: clean.count)
  }

  /// The same, but for clean or masked positions that are to stand from left to right.
  ///
  /// - Parameter orders: which are.
  public func arranged(_ orders: DiffusionOrders) -> GenerationOrder {
    let (clean, masked) = (positions[..<cleanCount], positions[cleanCount...])
    return GenerationOrder(
      positions: (orders.clean == .leftToRight ? clean.sorted() : Array(clean))
        + (orders.masks == .leftToRight ? masked.sorted() : Array(masked)), cleanCount: cleanCount)
  }

  /// Clean positions left to right, then masked ones left to right.
  public static func ascending(masked: [Bool]) -> GenerationOrder {
    let (clean, hidden) = split(masked)
    return GenerationOrder(positions: clean + hidden, cleanCount: clean.count)
  }

  /// A whole generation: `diffused` positions, drawn at random, come first in random order, the rest left to right.
  ///
  /// - Precondition: `diffused` is from 0 to `length`.
  public static func random(
    length: Int, diffused: Int, using generator: inout some RandomNumberGenerator
  ) -> GenerationOrder {
    let shuffled = Array(0..<length).inRandomOrder(using: &generator)
    return GenerationOrder(positions: shuffled[..<diffused] + shuffled[diffused...].sorted(), cleanCount: 0)
  }

  private static func split(_ masked: [Bool]) -> (clean: [Int], hidden: [Int]) {
    (masked.indices.filter { !masked[$0] }, masked.indices.filter { masked[$0] })
  }

  private static func isPermutation(_ positions: [Int]) -> Bool {
    var seen = [Bool](repeating: false, count: positions.count)
    for position in positions {
      guard seen.indices.contains(position), !seen[position] else { return false }
      seen[position] = true
    }
    return true
  }
}

/// How the tokens of a diffusion pass stand: the clean ones among each other, and behind them the masked ones. Under causal
/// attention this is what a model learns to read.
///
/// | clean | masks | who |
/// |---|---|---|
/// | random | random | Eso-LM (A) and (B) |
/// | left to right | random | Eso-LM (A2) |
/// | random | left to right | a first training for Sudoku, which random orders follow (the authors' branch of 2026) |
public struct DiffusionOrders: Sendable, Hashable {
  /// How tokens of one kind stand.
  public enum Order: String, Sendable, Codable, CaseIterable {
    /// Any order, each as likely.
    case random
    /// As in the text.
    case leftToRight = "left-to-right"

    /// Where nothing is said.
    public static let usual = random
  }

  /// Of clean tokens.
  public let clean: Order
  /// Of masked ones.
  public let masks: Order

  /// Orders of both.
  public init(clean: Order = .random, masks: Order = .random) {
    self.clean = clean
    self.masks = masks
  }

  /// Both at random.
  public static let random = DiffusionOrders()
}
