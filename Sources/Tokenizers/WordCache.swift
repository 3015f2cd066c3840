import Foundation

/// The tokens of the words that were met before. A text's words repeat: most need no work but this look-up.
///
/// It holds up to a fixed number of short words and begins anew when it is full, so that its memory is bounded whatever
/// the text is.
struct WordCache {
  /// Longer words are rare and take their time anyway.
  static let longestWord = 64
  private static let maximumCount = 1 << 17

  private struct Entry {
    var hash: UInt64 = 0
    var wordStart: Int32 = 0
    var tokenStart: Int32 = 0
    var wordLength: UInt8 = 0
    /// One more than the number of tokens; 0 for a free entry.
    var tokenMark: UInt8 = 0
  }

  private var entries = [Entry](repeating: Entry(), count: 1 << 10)
  private var count = 0
  private var words: [UInt8] = []
  private var tokens: [Int32] = []

  /// Appends the tokens of a word to `result`, made by `encode` if the word is new.
  ///
  /// - Parameter encode: appends the tokens of the word that it is given, at most one for each byte.
  @inline(__always)
  mutating func append(
    _ word: UnsafeBufferPointer<UInt8>, to result: inout [Int32],
    encode: (UnsafeBufferPointer<UInt8>, inout [Int32]) -> Void
  ) {
    guard word.count <= Self.longestWord else { return encode(word, &result) }
    let hash = Self.hash(word)
    let mask = entries.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while entries[slot].tokenMark != 0 {
      let entry = entries[slot]
      if entry.hash == hash, Int(entry.wordLength) == word.count, holds(word, at: Int(entry.wordStart)) {
        let start = Int(entry.tokenStart)
        if entry.tokenMark == 2 {
          result.append(tokens[start])
        } else {
          result.append(contentsOf: tokens[start..<start + Int(entry.tokenMark) - 1])
        }
        return
      }
      slot = (slot + 1) & mask
    }
    let start = result.count
    encode(word, &result)
    insert(word, hash, result[start...], slot)
  }

  private func holds(_ word: UnsafeBufferPointer<UInt8>, at start: Int) -> Bool {
    words.withUnsafeBufferPointer { memcmp($0.baseAddress! + start, word.baseAddress!, word.count) == 0 }
  }

  private mutating func insert(
    _ word: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ encoded: ArraySlice<Int32>, _ slot: Int
  ) {
    guard count < Self.maximumCount else { return self = WordCache() }
    entries[slot] = Entry(
      hash: hash, wordStart: Int32(words.count), tokenStart: Int32(tokens.count), wordLength: UInt8(word.count),
      tokenMark: UInt8(encoded.count + 1))
    words.append(contentsOf: word)
    tokens.append(contentsOf: encoded)
    count += 1
    if 2 * count > entries.count { grow() }
  }

  private mutating func grow() {
    let old = entries
    entries = [Entry](repeating: Entry(), count: 2 * old.count)
    let mask = entries.count - 1
    for entry in old where entry.tokenMark != 0 {
      var slot = Int(truncatingIfNeeded: entry.hash) & mask
      while entries[slot].tokenMark != 0 { slot = (slot + 1) & mask }
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
