import Faults

/// What may see what: the one thing, besides orders, in which the methods of this family differ.
///
/// The slots of a sequence are cut into consecutive *segments*; a slot sees its own segment whole, and every segment
/// before it. Where each slot is a segment of its own, that is causal attention along the order; where there is one
/// segment, it is bidirectional attention.
///
/// With two *streams* a slot has two rows: a clean one, which sees clean rows as above, and a noised one, from which
/// the slot is predicted: it sees the noised rows of its own segment and the *clean* rows of the segments before. So one
/// pass predicts every segment from everything written before it.
///
/// | pattern | segments | streams | who uses it |
/// |---|---|---|---|
/// | `causal` | each slot | 1 | AR; diffusion of Eso-LM (B) |
/// | `cleanThenCausal` | the clean slots together, then each | 1 | diffusion of Eso-LM (A) |
/// | `causalThenWhole` | each clean slot, then the masked ones together | 1 | an ablation of the paper ("mixed") |
/// | `bidirectional` | one | 1 | MDLM |
/// | `twoStream` | each slot | 2 | sequential term of Eso-LM (B), exact likelihood |
/// | `cleanThenTwoStream` | the clean slots together, then each | 2 | sequential term of Eso-LM (A) |
/// | `blockDiffusion(size)` | blocks | 2 | BD3-LM |
///
/// `allows` is the definition; the network computes each pattern from parts that need no dense mask, and the tests hold
/// the two against each other.
public struct AttentionPattern: Sendable, Hashable {
  /// How the slots are cut.
  public enum Segments: Sendable, Hashable {
    /// Each slot is a segment.
    case each
    /// All slots are one segment.
    case whole
    /// The clean slots are one segment, each other one is its own.
    case cleanTogether
    /// Each clean slot is its own segment, the masked ones are one.
    case maskedTogether
    /// Blocks of a size that divides the length.
    case blocks(Int)
  }

  /// How the slots are cut.
  public let segments: Segments
  /// How many rows a slot may have: 1 or 2.
  public let streams: Int

  /// A pattern by its parts.
  ///
  /// - Precondition: `streams` is 1 or 2.
  public init(segments: Segments, streams: Int) {
    trap(unless: (1...2).contains(streams), "a slot has one row or two")
    self.segments = segments
    self.streams = streams
  }

  /// Each slot sees itself and those before it.
  public static let causal = AttentionPattern(segments: .each, streams: 1)
  /// Clean slots see each other both ways, the others themselves and those before.
  public static let cleanThenCausal = AttentionPattern(segments: .cleanTogether, streams: 1)
  /// Clean slots see themselves and those before, masked ones everything.
  public static let causalThenWhole = AttentionPattern(segments: .maskedTogether, streams: 1)
  /// Every slot sees every other.
  public static let bidirectional = AttentionPattern(segments: .whole, streams: 1)
  /// Each noised slot sees itself and the clean ones before it.
  public static let twoStream = AttentionPattern(segments: .each, streams: 2)
  /// The same where clean slots see each other both ways.
  public static let cleanThenTwoStream = AttentionPattern(segments: .cleanTogether, streams: 2)
  /// Each noised block sees itself and the clean blocks before it; the size divides the length.
  ///
  /// - Precondition: `size` is at least 1.
  public static func blockDiffusion(_ size: Int) -> AttentionPattern {
    trap(unless: size >= 1, "a block of \(size) slots")
    return AttentionPattern(segments: .blocks(size), streams: 2)
  }

  /// Whether row `query` may look at row `key`. Row s < length is the first one of slot s, row length + s its second.
  ///
  /// - Parameters:
  ///   - query: the row that looks.
  ///   - key: the row that is looked at.
  ///   - length: slots of the sequence.
  ///   - cleanCount: how many of them, the first ones, are clean.
  public func allows(query: Int, key: Int, length: Int, cleanCount: Int) -> Bool {
    let layout = AttentionLayout(segments, length: length, cleanCount: cleanCount)
    guard query >= length else { return key < layout.segment(of: query).upperBound }
    let own = layout.segment(of: query - length)
    return key < length ? key < own.lowerBound : own.contains(key - length)
  }
}

/// How the slots of one sequence are cut into segments: runs of consecutive slots, each cut into equal ones.
struct AttentionLayout: Equatable {
  /// In order; none of them is empty.
  let runs: [Run]

  /// Consecutive slots that are cut into segments of one size.
  struct Run: Equatable {
    let slots: Range<Int>
    /// Slots of a segment.
    let size: Int

    var isOneSegment: Bool { slots.count <= size }

    /// The segment that holds a slot; nil if the slot is not of this run.
    func segment(of slot: Int) -> Range<Int>? {
      guard slots.contains(slot) else { return nil }
      let start = slots.lowerBound + (slot - slots.lowerBound) / size * size
      return start..<min(start + size, slots.upperBound)
    }
  }

  init(_ segments: AttentionPattern.Segments, length: Int, cleanCount: Int) {
    let (clean, masked) = (0..<cleanCount, cleanCount..<length)
    let runs =
      switch segments {
      case .each: [Run(slots: 0..<length, size: 1)]
      case .whole: [Run(slots: 0..<length, size: length)]
      case .cleanTogether: [Run(slots: clean, size: cleanCount), Run(slots: masked, size: 1)]
      case .maskedTogether: [Run(slots: clean, size: 1), Run(slots: masked, size: masked.count)]
      case .blocks(let size): [Run(slots: 0..<length, size: size)]
      }
    self.runs = runs.filter { !$0.slots.isEmpty }
  }

  /// The segment that holds a slot.
  func segment(of slot: Int) -> Range<Int> { runs.lazy.compactMap { $0.segment(of: slot) }.first! }
}
