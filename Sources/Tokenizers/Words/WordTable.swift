import Foundation

/// The different words of a text, numbered in the order of their first appearance: a hash table of byte strings.
struct WordTable {
  private struct Entry {
    var hash: UInt64
    /// −1 for a free entry.
    var index: Int32
  }

  private var entries = [Entry](repeating: Entry(hash: 0, index: -1), count: 1 << 10)
  /// All words, one after another, and where each begins and the last ends.
  private var bytes: [UInt8] = []
  private var starts: [Int] = [0]

  var count: Int { starts.count - 1 }

  subscript(index: Int) -> ArraySlice<UInt8> { bytes[starts[index]..<starts[index + 1]] }

  /// The number of a word, which is `count` as it was if the word is new.
  @inline(__always)
  mutating func index(of word: UnsafeBufferPointer<UInt8>) -> Int {
    let hash = Self.hash(word)
    let mask = entries.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while entries[slot].index >= 0 {
      let entry = entries[slot]
      if entry.hash == hash, holds(word, Int(entry.index)) { return Int(entry.index) }
      slot = (slot + 1) & mask
    }
    return insert(word, hash, slot)
  }

  private func holds(_ word: UnsafeBufferPointer<UInt8>, _ index: Int) -> Bool {
    let start = starts[index]
    guard starts[index + 1] - start == word.count else { return false }
    return bytes.withUnsafeBufferPointer { all in
      word.isEmpty || memcmp(all.baseAddress! + start, word.baseAddress!, word.count) == 0
    }
  }

  private mutating func insert(_ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ slot: Int) -> Int {
    let index = count
    entries[slot] = Entry(hash: hash, index: Int32(index))
    bytes.append(contentsOf: word)
    starts.append(bytes.count)
    if 2 * count > entries.count { grow() }
    return index
  }

  private mutating func grow() {
    let old = entries
    entries = [Entry](repeating: Entry(hash: 0, index: -1), count: 2 * old.count)
    let mask = entries.count - 1
    for entry in old where entry.index >= 0 {
      var slot = Int(truncatingIfNeeded: entry.hash) & mask
      while entries[slot].index >= 0 { slot = (slot + 1) & mask }
      entries[slot] = entry
    }
  }

  /// Eight bytes at a time, multiplied and folded.
  @inline(__always)
  private static func hash(_ word: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var state = UInt64(word.count) &* 0x9E37_79B9_7F4A_7C15
    let raw = UnsafeRawBufferPointer(word)
    var place = 0
    while place + 8 <= word.count {
      state = mix(state ^ raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
      place += 8
    }
    var rest: UInt64 = 0
    while place < word.count {
      rest = rest << 8 | UInt64(word[place])
      place += 1
    }
    return mix(state ^ rest)
  }

  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    let (high, low) = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
    return high ^ low
  }
}
