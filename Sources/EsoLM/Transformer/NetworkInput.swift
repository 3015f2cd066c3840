import Faults
import Torch

/// One sequence as the network reads it, slot by slot.
public struct NetworkSequence: Sendable, Equatable {
  /// The clean token of each slot.
  public let tokens: [Int32]
  /// The position of each slot in the text, which rotary embedding turns by.
  public let positions: [Int]
  /// How many leading slots an attention pattern regards as clean.
  public let cleanCount: Int
  /// The slots whose token is hidden behind a mask, ascending.
  public let masked: [Int]
  /// The slots from which something is predicted, ascending.
  public let outputs: [Int]

  /// A sequence by its parts; tokens and positions are equally many.
  ///
  /// - Precondition: as many positions as tokens, of which at most all are clean.
  public init(tokens: [Int32], positions: [Int], cleanCount: Int, masked: [Int], outputs: [Int]) {
    trap(unless: tokens.count == positions.count && (0...tokens.count).contains(cleanCount), "lengths differ")
    self.tokens = tokens
    self.positions = positions
    self.cleanCount = cleanCount
    self.masked = masked
    self.outputs = outputs
  }

  /// A sequence sorted by an order, whose masked slots are predicted.
  ///
  /// - Parameters:
  ///   - tokens: clean, in text order.
  ///   - order: of its slots.
  ///   - outputsForAll: whether clean slots have an output too.
  /// - Precondition: the order is as long as the text.
  public init(tokens: [Int32], order: GenerationOrder, outputsForAll: Bool = false) {
    trap(unless: tokens.count == order.length, "\(tokens.count) tokens for an order of \(order.length)")
    let masked = Array(order.cleanCount..<order.length)
    self.init(
      tokens: order.positions.map { tokens[$0] }, positions: order.positions, cleanCount: order.cleanCount,
      masked: masked, outputs: outputsForAll ? Array(0..<order.length) : masked)
  }

  /// The number of slots.
  public var length: Int { tokens.count }
}

/// What the network reads in one pass: groups of sequences, each with its kind of attention, row after row.
///
/// All rows of all groups go through the same matrix products; only attention looks at the groups. So a batch that
/// trains two terms of an objective is one pass.
public struct NetworkInput: Sendable {
  /// Sequences of one length, seen by one attention pattern. The rows of a group are the first (clean, or only) rows of
  /// all sequences, then with two streams their second rows.
  struct Group: Sendable {
    let length: Int
    let pattern: AttentionPattern
    let members: [Member]
    /// Where the group's rows begin among all rows.
    let start: Int

    struct Member: Sendable {
      let cleanCount: Int
      /// The slots that something is predicted from.
      let outputs: [Int]
      /// Of these slots up to the last the *top* rows are needed: the second ones where there are two streams, else, in
      /// the last block alone, the first ones.
      let topStart: Int
      /// Where the first row and, for two streams, the second row of slot s stands, as an offset to s.
      let firstRow: Int
      let secondRow: Int?

      var topRow: Int { secondRow ?? firstRow }
    }
  }

  /// The token of each row, masks where they are hidden.
  public private(set) var tokens: [Int64] = []
  /// The position in its text of each row.
  public private(set) var positions: [Int64] = []
  private(set) var groups: [Group] = []

  /// An input without rows.
  public init() {}

  /// Adds sequences.
  ///
  /// - Precondition: all have one length, which the pattern's blocks divide.
  public mutating func append(_ sequences: [NetworkSequence], pattern: AttentionPattern, maskToken: Int) {
    guard let length = sequences.first?.length, length > 0 else { return }
    trap(unless: sequences.allSatisfy { $0.length == length }, "lengths differ")
    let (start, mask) = (tokens.count, Int64(maskToken))
    var members: [Group.Member] = []
    var second: (tokens: [Int64], positions: [Int64]) = ([], [])
    for (number, sequence) in sequences.enumerated() {
      var noised = sequence.tokens.map(Int64.init)
      for slot in sequence.masked { noised[slot] = mask }
      let slotPositions = sequence.positions.map(Int64.init)
      let isTwoStream = pattern.streams == 2
      let layout = AttentionLayout(pattern.segments, length: length, cleanCount: sequence.cleanCount)
      trap(
        unless: layout.runs.allSatisfy { $0.isOneSegment || $0.slots.count % $0.size == 0 },
        "blocks must divide a sequence's length")
      let topStart = layout.start(from: sequence.outputs.first ?? length, wholeSegments: isTwoStream)
      tokens += isTwoStream ? sequence.tokens.map(Int64.init) : noised
      positions += slotPositions
      var secondRow: Int?
      if isTwoStream {
        secondRow = start + sequences.count * length + second.tokens.count - topStart
        second.tokens += noised[topStart...]
        second.positions += slotPositions[topStart...]
      }
      members.append(
        Group.Member(
          cleanCount: sequence.cleanCount, outputs: sequence.outputs, topStart: topStart,
          firstRow: start + number * length, secondRow: secondRow))
    }
    tokens += second.tokens
    positions += second.positions
    groups.append(Group(length: length, pattern: pattern, members: members, start: start))
  }

  /// Adds sequences that are sorted by orders; see ``NetworkSequence``.
  public mutating func append(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], pattern: AttentionPattern, maskToken: Int,
    outputsForAll: Bool = false
  ) {
    append(
      sequences.map { NetworkSequence(tokens: $0.tokens, order: $0.order, outputsForAll: outputsForAll) },
      pattern: pattern, maskToken: maskToken)
  }

  // MARK: What the blocks do

  /// The attention of all rows.
  var attention: [AttentionPart] {
    groups.flatMap { group in
      group.parts { $0.firstStream(from: 0, rows: $1.firstRow, keys: $1.firstRow) }
        + group.parts { layout, member in
          member.secondRow.map {
            layout.secondStream(from: member.topStart, rows: $0, keys: member.firstRow, own: $0)
          } ?? []
        }
    }
  }

  /// The rows that the last block computes: all others only lend their keys and values there.
  var topRows: [Int] {
    groups.flatMap { group in
      group.members.flatMap { Array(($0.topStart..<group.length).shifted(by: $0.topRow)) }
    }
  }

  /// The attention of `topRows`, which stand one after another.
  var topAttention: [AttentionPart] {
    var next = 0
    return groups.flatMap { group in
      let starts = group.members.map { member in
        defer { next += group.length - member.topStart }
        return next - member.topStart
      }
      return group.parts(rows: starts) { layout, member, rows in
        if let own = member.secondRow {
          return layout.secondStream(from: member.topStart, rows: rows, keys: member.firstRow, own: own)
        }
        return layout.firstStream(from: member.topStart, rows: rows, keys: member.firstRow)
      }
    }
  }

  /// Which of `topRows` have an output; nil if all do.
  var outputsOfTopRows: [Int]? {
    var next = 0
    let chosen = groups.flatMap { group in
      group.members.flatMap { member in
        defer { next += group.length - member.topStart }
        return member.outputs.map { next + $0 - member.topStart }
      }
    }
    return chosen.count == next ? nil : chosen
  }
}

extension NetworkInput.Group {
  fileprivate func parts(
    rows: [Int]? = nil, _ make: (AttentionLayout, Member, _ rows: Int) -> [AttentionPart]
  ) -> [AttentionPart] {
    members.enumerated().flatMap { number, member in
      make(
        AttentionLayout(pattern.segments, length: length, cleanCount: member.cleanCount), member, rows?[number] ?? 0)
    }
  }

  fileprivate func parts(_ make: (AttentionLayout, Member) -> [AttentionPart]) -> [AttentionPart] {
    parts { layout, member, _ in make(layout, member) }
  }
}

// MARK: Who sees whom

// The fast form of an attention pattern: the parts, rectangles and triangles, that attention computes and merges. A run of
// one segment is plain attention to everything up to its end. A run of equal segments is attention to everything before
// it, and block-causal attention inside.
extension AttentionLayout {
  /// Of the slots from `first` on, the ones to start with so that no block is cut.
  ///
  /// - Parameter wholeSegments: whether a run of one segment may not be cut either.
  func start(from first: Int, wholeSegments: Bool) -> Int {
    for run in runs where !(run.isOneSegment && !wholeSegments) {
      if let segment = run.segment(of: first) { return segment.lowerBound }
    }
    return first
  }

  /// What the first rows of the slots from `first` on look at.
  ///
  /// - Parameters:
  ///   - rows: where the row of slot s stands, as an offset to s.
  ///   - keys: the same for keys.
  func firstStream(from first: Int, rows: Int, keys: Int) -> [AttentionPart] {
    runs.flatMap { run -> [AttentionPart] in
      let slots = max(first, run.slots.lowerBound)..<max(first, run.slots.upperBound)
      guard !slots.isEmpty else { return [] }
      if run.isOneSegment {
        return [AttentionPart(rows: slots.shifted(by: rows), keys: (0..<slots.upperBound).shifted(by: keys))]
      }
      return before(slots, keys: 0..<slots.lowerBound, rows, keys)
        + triangle(slots, slots, block: run.size, rows, keys)
    }
  }

  /// What the second rows of the slots from `first` on look at.
  ///
  /// - Parameter own: where the second row of slot s stands among the keys, as an offset to s.
  func secondStream(from first: Int, rows: Int, keys: Int, own: Int) -> [AttentionPart] {
    runs.flatMap { run -> [AttentionPart] in
      let slots = max(first, run.slots.lowerBound)..<max(first, run.slots.upperBound)
      guard !slots.isEmpty else { return [] }
      let reach: AttentionPart.Reach = run.isOneSegment ? .all : .ownBlock(of: run.size)
      let itself = AttentionPart(rows: slots.shifted(by: rows), keys: slots.shifted(by: own), reach: reach)
      // The rows of the second segment look at the keys of the first, and so on.
      let later = slots.dropFirst(run.size)
      let earlier = slots.dropLast(run.size)
      return [itself] + before(slots, keys: 0..<(run.isOneSegment ? run.slots : slots).lowerBound, rows, keys)
        + triangle(later, earlier, block: run.size, rows, keys)
    }
  }

  private func before(_ slots: Range<Int>, keys: Range<Int>, _ rowShift: Int, _ keyShift: Int) -> [AttentionPart] {
    keys.isEmpty ? [] : [AttentionPart(rows: slots.shifted(by: rowShift), keys: keys.shifted(by: keyShift))]
  }

  /// Block-causal attention of as many slots as keys. Where blocks are longer than one slot it needs a mask, so it is
  /// made of pieces whose mask is small, each with a plain rectangle for the keys before.
  private func triangle(
    _ slots: Range<Int>, _ keys: Range<Int>, block: Int, _ rowShift: Int, _ keyShift: Int
  ) -> [AttentionPart] {
    let piece = block == 1 ? slots.count : block * max(1, 256 / block)
    return stride(from: 0, to: slots.count, by: max(1, piece)).flatMap { start in
      let inside = start..<min(start + piece, slots.count)
      let rows = inside.shifted(by: slots.lowerBound)
      let diagonal = AttentionPart(
        rows: rows.shifted(by: rowShift), keys: inside.shifted(by: keys.lowerBound + keyShift),
        reach: inside.count <= block ? .all : .upToBlock(of: block))
      return before(rows, keys: keys.lowerBound..<keys.lowerBound + start, rowShift, keyShift) + [diagonal]
    }
  }
}

extension Range<Int> {
  func shifted(by offset: Int) -> Range<Int> { lowerBound + offset..<upperBound + offset }
}
