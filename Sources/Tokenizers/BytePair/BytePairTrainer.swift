import HeapModule

/// Learns a byte-level vocabulary from text: again and again the pair of neighbouring tokens that occurs most often
/// becomes a token, of equals the pair of lower ids.
///
/// Words are counted once, as text comes in. Each merge then visits only the words that hold its pair, and a heap knows
/// the next pair; the vocabulary is that of Hugging Face's trainer for the same words.
public struct BytePairTrainer {
  /// Special tokens, which get the first ids; the first of them ends a text.
  public let specialTokens: [String]

  private var words = WordTable()
  private var counts: [Int] = []
  private let finder: AddedTokenFinder

  /// A trainer that has seen no text.
  public init(specialTokens: [String] = ["<|endoftext|>"]) {
    self.specialTokens = specialTokens
    // Equal texts are the same token here, so that none can be mistaken for another.
    finder = try! AddedTokenFinder(specialTokens.map { (AddedToken(id: 0, content: $0), Array($0.utf8)) })
  }

  /// Counts the words of a text.
  public mutating func add(_ text: UnsafeBufferPointer<UInt8>) {
    finder.forEachPart(of: text) { part in
      guard case .text(let range) = part else { return }
      let text = UnsafeBufferPointer(rebasing: text[range])
      var start = 0
      while start < text.count {
        let end = GPT2Words.end(of: start, in: text)
        let index = words.index(of: UnsafeBufferPointer(rebasing: text[start..<end]))
        if index == counts.count { counts.append(0) }
        counts[index] += 1
        start = end
      }
    }
  }

  /// Counts the words of a text.
  public mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add($0) }
  }

  /// The tokenizer of a given size; a smaller one if no pair occurs often enough.
  ///
  /// - Parameters:
  ///   - vocabularySize: its number of ids.
  ///   - minimumCount: pairs that occur less often make no token.
  ///   - progress: called now and then with the number of ids so far.
  /// - Throws: `BytePairTrainingError` if the size has no room for the bytes and the special tokens.
  public func train(
    vocabularySize: Int, minimumCount: Int = 2, progress: (Int) -> Void = { _ in }
  ) throws -> BytePairTokenizer {
    let least = specialTokens.count + 256
    guard (least...Self.maximumSize).contains(vocabularySize) else {
      throw BytePairTrainingError.size(vocabularySize, expected: least...Self.maximumSize)
    }
    // Bytes in the order of their characters, as the files list them.
    let alphabet = (0...255 as ClosedRange<UInt8>).sorted {
      ByteAlphabet.characters[Int($0)].value < ByteAlphabet.characters[Int($1)].value
    }
    var tokens = specialTokens.map { Array($0.utf8) } + alphabet.map { [$0] }
    var ids = Dictionary(tokens.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    var merges: [BytePairTokenizer.Merge] = []
    var pairs = PairCounts(
      (0..<words.count).map { index in (words[index].map { ids[[$0]]! }, counts[index]) })

    while tokens.count < vocabularySize, let (pair, count) = pairs.popMostFrequent(), count >= max(1, minimumCount) {
      let bytes = tokens[Int(pair.left)] + tokens[Int(pair.right)]
      let id = ids[bytes] ?? Int32(tokens.count)
      if id == tokens.count {
        tokens.append(bytes)
        ids[bytes] = id
      }
      merges.append(BytePairTokenizer.Merge(left: pair.left, right: pair.right))
      pairs.replace(pair, by: id)
      if merges.count.isMultiple(of: 64) { progress(tokens.count) }
    }
    let added = specialTokens.enumerated().map { AddedToken(id: Int32($0), content: $1) }
    return try BytePairTokenizer(
      tokens: tokens, merges: merges, addedTokens: added, specialTokens: SpecialTokens(end: specialTokens.first))
  }

  /// More ids than any published vocabulary has.
  public static let maximumSize = 1 << 22
}

/// A size that no byte-level vocabulary can have.
public enum BytePairTrainingError: Error, Hashable, CustomStringConvertible {
  /// A size that a vocabulary cannot have.
  case size(Int, expected: ClosedRange<Int>)

  public var description: String {
    switch self {
    case .size(let size, let expected):
      "vocabulary size is \(size); expected \(expected.lowerBound) to \(expected.upperBound)"
    }
  }
}

/// How often each pair of neighbours occurs in a list of words, kept up to date while pairs are replaced.
private struct PairCounts {
  struct Pair: Hashable, Comparable {
    let left: Int32
    let right: Int32

    static func < (first: Pair, second: Pair) -> Bool {
      (first.left, first.right) < (second.left, second.right)
    }
  }

  private struct Candidate: Comparable {
    let count: Int
    let pair: Pair

    static func < (first: Candidate, second: Candidate) -> Bool {
      first.count != second.count ? first.count < second.count : first.pair > second.pair
    }
  }

  private var words: [(tokens: [Int32], count: Int)]
  private var counts: [Pair: Int] = [:]
  /// The words that a pair was seen in; some may have lost it since.
  private var places: [Pair: [Int32]] = [:]
  /// What a pair's count was when it last rose. It may since have fallen.
  private var candidates: Heap<Candidate>

  init(_ words: [(tokens: [Int32], count: Int)]) {
    self.words = words
    for (index, word) in words.enumerated() {
      for (left, right) in zip(word.tokens, word.tokens.dropFirst()) {
        let pair = Pair(left: left, right: right)
        counts[pair, default: 0] += word.count
        if places[pair]?.last != Int32(index) { places[pair, default: []].append(Int32(index)) }
      }
    }
    candidates = Heap(counts.map { Candidate(count: $1, pair: $0) })
  }

  mutating func popMostFrequent() -> (Pair, Int)? {
    while let candidate = candidates.popMax() {
      let count = counts[candidate.pair] ?? 0
      if count == candidate.count { return (candidate.pair, count) }
      if count > 0, count < candidate.count { candidates.insert(Candidate(count: count, pair: candidate.pair)) }
    }
    return nil
  }

  mutating func replace(_ pair: Pair, by token: Int32) {
    var risen: Set<Pair> = []
    for index in places.removeValue(forKey: pair) ?? [] {
      let (old, count) = words[Int(index)]
      var new: [Int32] = []
      new.reserveCapacity(old.count)
      var place = 0
      while place < old.count {
        if place + 1 < old.count, old[place] == pair.left, old[place + 1] == pair.right {
          new.append(token)
          place += 2
        } else {
          new.append(old[place])
          place += 1
        }
      }
      guard new.count < old.count else { continue }
      for (left, right) in zip(old, old.dropFirst()) { counts[Pair(left: left, right: right)]! -= count }
      for (left, right) in zip(new, new.dropFirst()) {
        let pair = Pair(left: left, right: right)
        counts[pair, default: 0] += count
        guard left == token || right == token else { continue }
        risen.insert(pair)
        if places[pair]?.last != index { places[pair, default: []].append(index) }
      }
      words[Int(index)].tokens = new
    }
    counts[pair] = nil
    for pair in risen { candidates.insert(Candidate(count: counts[pair]!, pair: pair)) }
  }
}
