import Faults

/// How a method reads what is written so far: the data in which the samplers of the family differ.
///
/// All of them write slot after slot of a plan; a call of the network is fed the rows that are not in the cache yet, the
/// masks of the slots that it writes, and whatever else those slots see:
///
/// | method | segments | fed | stays in the cache |
/// |---|---|---|---|
/// | AR | each slot, predicts next | the last token | everything written |
/// | Eso-LM (B) | each slot | tokens of the call before, masks of this one | everything written |
/// | Eso-LM (A2) | each slot, sorted | clean tokens from the first new one on, masks | everything before the next new one |
/// | Eso-LM (A) | clean ones together | all clean tokens, masks of this call | nothing, until diffusion ends |
/// | MDLM | one | the whole sequence | nothing |
/// | BD3-LM | blocks | the block that is being written | the blocks before it |
public struct DecodingRule: Sendable, Equatable {
  /// A first token that is there before anything is written.
  public struct Start: Sendable, Equatable {
    /// The token's id.
    public let token: Int32
    /// Whether it belongs to the text, or only stands before it.
    public let isText: Bool

    /// A token that is there at the start.
    public init(token: Int32, isText: Bool) {
      self.token = token
      self.isText = isText
    }
  }

  /// How slots are cut into segments that see each other.
  public let segments: AttentionPattern.Segments
  /// Whether a slot is predicted from the token before it instead of from a mask of its own.
  public let predictsNext: Bool
  /// What is there before anything is written; nil for nothing.
  public let start: Start?
  /// How slots stand: where clean ones are not from left to right, as they were written; and the masks of a call where
  /// they are not, as the plan has them.
  public let orders: DiffusionOrders

  /// A rule by its parts. A method that predicts next has a start token and segments of one slot each.
  ///
  /// - Precondition: what predicts next has a start token, and each slot a segment of its own.
  public init(
    segments: AttentionPattern.Segments, predictsNext: Bool = false, start: Start? = nil,
    orders: DiffusionOrders = .random
  ) {
    trap(unless: !predictsNext || (start != nil && segments == .each), "the first token needs one before it")
    self.segments = segments
    self.predictsNext = predictsNext
    self.start = start
    self.orders = orders
  }

  /// Masks in causal order: Eso-LM (B).
  public static let causal = DecodingRule(segments: .each)

  /// Where the text begins: behind a start token that is no part of it.
  var textStart: Int { start?.isText == false ? 1 : 0 }

  /// How many slots are fed at a time before anything is written: whole segments, enough to be bound by products.
  var prefillPiece: Int {
    guard case .blocks(let size) = segments else { return 256 }
    return max(1, 256 / size) * size
  }

  /// What one call of the network looks at.
  struct Reading: Equatable {
    /// The slots that have a row, up to this one.
    let end: Int
    /// The slots that the logits belong to; for a method that predicts next, those before the written ones.
    let outputs: Range<Int>
    /// How many slots' keys and values never change any more, those of this call included.
    let finished: Int
    /// How the slots 0 ..< end see each other.
    let layout: AttentionLayout
  }

  /// - Parameters:
  ///   - slots: what the call evaluates; everything before is written.
  ///   - clean: how many slots see each other both ways, where clean ones do.
  ///   - isDiffusing: whether they still become more.
  ///   - length: rows of the whole sequence.
  func reading(writing slots: Range<Int>, clean: Int, isDiffusing: Bool, length: Int) -> Reading {
    let written = slots.lowerBound
    let layout = AttentionLayout(segments, length: length, cleanCount: clean)
    if predictsNext {
      return Reading(end: written, outputs: slots.shifted(by: -1), finished: written, layout: layout)
    }
    // Slots that are clean together still change while their segment grows.
    let grows = segments == .cleanTogether && isDiffusing
    return Reading(
      end: layout.segment(of: slots.upperBound - 1).upperBound, outputs: slots,
      finished: grows ? 0 : layout.segment(of: written).lowerBound, layout: layout)
  }

  /// The masks that are fed beside those of the call's own positions, because these see them.
  ///
  /// - Parameters:
  ///   - positions: those that the call evaluates.
  ///   - sequence: all tokens by position.
  func companions(of positions: [Int], in sequence: [Int32], maskToken: Int32) -> [Int] {
    let range: Range<Int>
    switch segments {
    case .each, .cleanTogether, .maskedTogether: return []
    case .whole: range = sequence.indices
    case .blocks(let size):
      let start = positions[0] / size * size
      range = start..<min(start + size, sequence.count)
    }
    let own = Set(positions)
    return range.filter { sequence[$0] == maskToken && !own.contains($0) }
  }
}
