/// What the network reads in one pass: groups of sequences, each with its kind of attention, row after row.
///
/// All rows of all groups go through the same matrix products; only attention looks at the groups. So a batch that
/// trains two terms of an objective is one pass.
public struct NetworkInput: Sendable {
  /// Equally many slots in each of `batch` sequences, seen by one attention pattern.
  public struct Group: Sendable {
    public let batch: Int
    public let length: Int
    public let pattern: AttentionPattern
    /// For each sequence, how many of its last slots have an output.
    public let outputCounts: [Int]

    var outputs: Int { outputCounts.reduce(0, +) }
    /// One row per slot, sequence after sequence; with two streams, then one row per output.
    var rows: Int { batch * length + (pattern == .twoStream ? outputs : 0) }

    /// Where the output rows lie among the group's rows.
    var outputRows: [Int] {
      if pattern == .twoStream { return Array(batch * length..<rows) }
      return outputCounts.enumerated().flatMap { sequence, count in
        ((sequence + 1) * length - count)..<((sequence + 1) * length)
      }
    }
  }

  public private(set) var tokens: [Int64] = []
  public private(set) var positions: [Int64] = []
  public private(set) var groups: [Group] = []

  public init() {}

  var outputRows: [Int] {
    var start = 0
    return groups.flatMap { group in
      defer { start += group.rows }
      return group.outputRows.map { $0 + start }
    }
  }

  /// Adds sequences of one length. What follows the clean slots of an order is masked and has an output.
  ///
  /// - Parameters:
  ///   - sequences: clean tokens in text order, and the order to sort them by.
  ///   - outputsForAll: whether clean slots have an output too, of their own token's row.
  public mutating func append(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], pattern: AttentionPattern, maskToken: Int,
    outputsForAll: Bool = false
  ) {
    guard let length = sequences.first?.order.length else { return }
    precondition(sequences.allSatisfy { $0.order.length == length && $0.tokens.count == length }, "lengths differ")
    let mask = Int64(maskToken)
    var masks: [Int64] = []
    for (sequence, order) in sequences {
      for (slot, position) in order.positions.enumerated() {
        let isMasked = slot >= order.cleanCount
        tokens.append(isMasked && pattern == .causal ? mask : Int64(sequence[position]))
        positions.append(Int64(position))
        if isMasked && pattern == .twoStream { masks.append(Int64(position)) }
      }
    }
    tokens += Array(repeating: mask, count: masks.count)
    positions += masks
    groups.append(
      Group(
        batch: sequences.count, length: length, pattern: pattern,
        outputCounts: sequences.map { outputsForAll ? length : $0.order.maskedCount }))
  }
}
