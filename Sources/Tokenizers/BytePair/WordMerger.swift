import HeapModule

/// Byte pair encoding of one word: of all pairs of neighbours that the table has, the one of lowest rank is merged, the
/// leftmost of equals first, until there is none.
struct WordMerger {
  private let table: MergeTable

  /// Up to this many tokens, looking through all pairs each time is faster than keeping them in order.
  private static let shortWord = 48

  init(_ table: MergeTable) { self.table = table }

  /// Merges the tokens of `result` from `start` on, which are those of a word's bytes.
  func merge(_ result: inout [Int32], from start: Int) {
    if result.count - start <= Self.shortWord {
      mergeShort(&result, from: start)
    } else {
      var word = LongWord(result[start...], table)
      word.merge()
      result.removeSubrange(start...)
      word.append(to: &result)
    }
  }

  private func mergeShort(_ result: inout [Int32], from start: Int) {
    var count = result.count - start
    guard count > 1 else { return }
    withUnsafeTemporaryAllocation(of: MergeTable.Merge.self, capacity: count) { merges in
      let none = MergeTable.Merge(rank: .max, result: 0)
      result.withUnsafeMutableBufferPointer { all in
        let tokens = UnsafeMutableBufferPointer(rebasing: all[start...])
        for index in 0..<count - 1 { merges[index] = table[tokens[index], tokens[index + 1]] ?? none }
        while count > 1 {
          var best = 0
          for index in 1..<max(1, count - 1) where merges[index].rank < merges[best].rank { best = index }
          guard merges[best].rank < .max else { break }
          tokens[best] = merges[best].result
          count -= 1
          for index in best + 1..<max(best + 1, count) { tokens[index] = tokens[index + 1] }
          for index in best..<max(best, count - 1) { merges[index] = merges[index + 1] }
          if best > 0 { merges[best - 1] = table[tokens[best - 1], tokens[best]] ?? none }
          if best < count - 1 { merges[best] = table[tokens[best], tokens[best + 1]] ?? none }
        }
      }
    }
    result.removeLast(result.count - start - count)
  }
}

/// A word of many tokens, as a linked list with its pairs sorted into buckets by rank.
///
/// A heap holds the ranks that occur, of which there are few even in a word of ten million bytes; all places of one rank
/// are then worked off in a row. So the time is linear in the word's length, but for the sorting of places that were
/// found out of order.
private struct LongWord {
  /// What stands at a place: together, since a long word does not fit into the processor's caches.
  private struct Link {
    /// −1 where it was merged into the token on its left.
    var token: Int32
    var previous: Int32
    var next: Int32
  }

  private let table: MergeTable
  private var links: [Link]
  private var ranks = Heap<Int32>()
  /// By rank, the places where pairs of that rank begin.
  private var places: [Int32: [Int32]] = [:]

  init(_ word: ArraySlice<Int32>, _ table: MergeTable) {
    self.table = table
    links = word.enumerated().map { Link(token: $1, previous: Int32($0) - 1, next: Int32($0) + 1) }
    for place in links.indices.dropLast() { _ = note(Int32(place)) }
  }

  func append(to result: inout [Int32]) {
    result.append(contentsOf: links.lazy.map(\.token).filter { $0 >= 0 })
  }

  /// What merges the token at a place with the one after it.
  private func merge(at place: Int32) -> MergeTable.Merge? {
    let link = links[Int(place)]
    guard link.token >= 0, Int(link.next) < links.count else { return nil }
    return table[link.token, links[Int(link.next)].token]
  }

  /// Files the pair that begins at a place under its rank.
  private mutating func note(_ place: Int32) -> Int32 {
    guard let rank = merge(at: place)?.rank else { return .max }
    if places[rank]?.append(place) == nil {
      places[rank] = [place]
      ranks.insert(rank)
    }
    return rank
  }

  mutating func merge() {
    while let rank = ranks.popMin() {
      guard var bucket = places.removeValue(forKey: rank) else { continue }
      if zip(bucket, bucket.dropFirst()).contains(where: >) { bucket.sort() }
      for (index, place) in bucket.enumerated() {
        // What was noted may since have changed.
        guard let merge = merge(at: place), merge.rank == rank else { continue }
        if note(afterMerging: place, into: merge.result) < rank, index + 1 < bucket.count {
          // A vocabulary may order its merges so that a new pair comes before the rest of this rank.
          places[rank, default: []] += bucket[(index + 1)...]
          ranks.insert(rank)
          break
        }
      }
    }
  }

  /// Merges a pair and files the two new ones. Returns the lower of their ranks.
  private mutating func note(afterMerging place: Int32, into token: Int32) -> Int32 {
    let right = Int(links[Int(place)].next)
    let following = links[right].next
    links[right].token = -1
    links[Int(place)].token = token
    links[Int(place)].next = following
    if Int(following) < links.count { links[Int(following)].previous = place }
    let before = links[Int(place)].previous
    let left = before >= 0 ? note(before) : .max
    return min(left, note(place))
  }
}
