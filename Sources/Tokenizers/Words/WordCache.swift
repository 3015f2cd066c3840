/// The tokens of the words that were met before. A text's words repeat: most need no work but this look-up.
///
/// It holds up to a fixed number of short words and begins anew when it is full, so that its memory is bounded whatever
/// the text is.
struct WordCache {
  /// Longer words are rare and take their time anyway.
  private static let longestWord = 64
  private static let maximumCount = 1 << 17

  private var words = WordTable()
  /// The tokens of all words, one after another, and where each word's begin and the last word's end.
  private var tokens: [Int32] = []
  private var starts: [Int32] = [0]

  /// Appends the tokens of a word to `result`, made by `encode` if the word is new.
  @inline(__always)
  mutating func append(
    _ word: UnsafeBufferPointer<UInt8>, to result: inout [Int32],
    encode: (UnsafeBufferPointer<UInt8>, inout [Int32]) -> Void
  ) {
    guard word.count <= Self.longestWord else { return encode(word, &result) }
    let index = words.index(of: word)
    if index + 1 < starts.count {
      let (start, end) = (Int(starts[index]), Int(starts[index + 1]))
      if end == start + 1 { return result.append(tokens[start]) }
      return result.append(contentsOf: tokens[start..<end])
    }
    let start = result.count
    encode(word, &result)
    tokens.append(contentsOf: result[start...])
    starts.append(Int32(tokens.count))
    if words.count == Self.maximumCount { self = WordCache() }
  }
}
