/// By pair of token ids, the merge that replaces it: a hash table of fixed contents.
final class MergeTable: @unchecked Sendable {  // Nothing in it changes after `init`.
  struct Merge {
    /// Merges of lower rank come first.
    let rank: Int32
    let result: Int32
  }

  let count: Int
  private let keys: UnsafeMutableBufferPointer<UInt64>
  private let values: UnsafeMutableBufferPointer<Merge>
  private let mask: Int

  /// No pair has this key, as ids are not negative.
  private static let free = UInt64.max

  /// - Parameter merges: in the order of their ranks. Of equal pairs the last counts.
  init(_ merges: [(left: Int32, right: Int32, result: Int32)]) {
    var size = 16
    while size < 2 * merges.count { size *= 2 }
    keys = .allocate(capacity: size)
    keys.initialize(repeating: Self.free)
    values = .allocate(capacity: size)
    values.initialize(repeating: Merge(rank: 0, result: 0))
    mask = size - 1
    count = merges.count
    for (rank, merge) in merges.enumerated() {
      let key = Self.key(merge.left, merge.right)
      let slot = slot(of: key)
      keys[slot] = key
      values[slot] = Merge(rank: Int32(rank), result: merge.result)
    }
  }

  deinit {
    keys.deallocate()
    values.deallocate()
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Where a key is, or where it would be.
  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while keys[slot] != key, keys[slot] != Self.free { slot = (slot + 1) & mask }
    return slot
  }

  @inline(__always)
  subscript(left: Int32, right: Int32) -> Merge? {
    let key = Self.key(left, right)
    let slot = slot(of: key)
    return keys[slot] == key ? values[slot] : nil
  }
}
