/// Rows that look at keys: one part of an attention.
///
/// A row that it shows no key, as `ownBlock` does where there are more blocks of rows than of keys, has no share in it.
public struct AttentionPart: Sendable, Equatable {
  /// Which of the keys a row looks at.
  public enum Reach: Sendable, Equatable {
    /// All of them.
    case all
    /// Rows and keys are cut into blocks: row block i looks at the key blocks 0 ... i.
    case upToBlock(of: Int)
    /// Row block i looks at key block i alone.
    case ownBlock(of: Int)

    var code: Int {
      switch self {
      case .all: 0
      case .upToBlock(let size): size
      case .ownBlock(let size): -size
      }
    }
  }

  /// The rows that look.
  public let rows: Range<Int>
  /// The keys that they look at.
  public let keys: Range<Int>
  /// Which row sees which of the keys.
  public let reach: Reach

  /// A part of an attention.
  public init(rows: Range<Int>, keys: Range<Int>, reach: Reach = .all) {
    self.rows = rows
    self.keys = keys
    self.reach = reach
  }
}

// Whether parts make up an attention. They are many and attention is called in every layer, so parts are compared by
// their ranges, and row by row only where those leave it open.
extension AttentionPart {
  /// What is wrong with the parts of an attention of `rows` queries to `keys` keys, in words; nil if nothing is.
  package static func fault(in parts: [AttentionPart], rows: Int, keys: Int) -> String? {
    for part in parts {
      guard 0 <= part.rows.lowerBound, part.rows.upperBound <= rows, 0 <= part.keys.lowerBound,
        part.keys.upperBound <= keys
      else {
        return "\(part) reaches beyond the \(rows) rows or the \(keys) keys"
      }
      if part.reach != .all, part.blockSize < 1 {
        return "\(part) has blocks of \(part.blockSize), expected at least 1"
      }
    }
    var covered = 0
    var open: [AttentionPart] = []
    for part in parts.sorted(by: { $0.rows.lowerBound < $1.rows.lowerBound }) where !part.seeingRows.isEmpty {
      guard part.rows.lowerBound <= covered else { break }
      covered = max(covered, part.seeingRows.upperBound)
      open.removeAll { $0.seeingRows.upperBound <= part.rows.lowerBound }
      for other in open {
        if let (row, key) = part.firstShared(with: other) {
          return "row \(row) sees key \(key) twice, in \(other) and in \(part)"
        }
      }
      open.append(part)
    }
    return covered == rows ? nil : "no part shows row \(covered) a key"
  }

  private var blockSize: Int {
    switch reach {
    case .all: max(1, rows.count)
    case .upToBlock(let size), .ownBlock(let size): size
    }
  }

  /// The rows that see a key.
  private var seeingRows: Range<Int> {
    guard !keys.isEmpty else { return rows.prefix(0) }
    guard case .ownBlock(let size) = reach else { return rows }
    let blocks = (keys.count - 1) / size + 1
    return blocks < (rows.count - 1) / size + 1 ? rows.prefix(blocks * size) : rows
  }

  /// What a row sees.
  private func keys(of row: Int) -> Range<Int> {
    let block = (row - rows.lowerBound) / blockSize
    let first = min(keys.lowerBound + block * blockSize, keys.upperBound)
    let end = min(first + blockSize, keys.upperBound)
    return switch reach {
    case .all: keys
    case .upToBlock: keys.lowerBound..<end
    case .ownBlock: first..<end
    }
  }

  /// A row that sees a key in both parts, and that key.
  private func firstShared(with other: AttentionPart) -> (row: Int, key: Int)? {
    let common = seeingRows.clamped(to: other.seeingRows)
    guard !common.isEmpty, keys.overlaps(other.keys) else { return nil }
    // A later row sees all that an earlier one does, but in blocks of its own: those change where a block begins.
    var candidates = [common.upperBound - 1]
    if case .ownBlock = reach { candidates += starts(in: common) + other.starts(in: common) }
    if case .ownBlock = other.reach { candidates += starts(in: common) + other.starts(in: common) }
    for row in candidates {
      let shared = keys(of: row).clamped(to: other.keys(of: row))
      if !shared.isEmpty { return (row, shared.lowerBound) }
    }
    return nil
  }

  /// The rows in a range at which blocks begin, and the first one.
  private func starts(in range: Range<Int>) -> [Int] {
    let offset = (range.lowerBound - rows.lowerBound) % blockSize
    return [range.lowerBound]
      + Array(stride(from: range.lowerBound + blockSize - offset, to: range.upperBound, by: blockSize))
  }
}

extension AttentionPart: CustomStringConvertible {
  public var description: String {
    switch reach {
    case .all: "rows \(rows) × keys \(keys)"
    case .upToBlock(let size): "rows \(rows) × keys \(keys), up to the own block of \(size)"
    case .ownBlock(let size): "rows \(rows) × keys \(keys), in own blocks of \(size)"
    }
  }
}
