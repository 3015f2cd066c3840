/// All arrangements of the numbers 0 ..< count.
public func permutations(of count: Int) -> [[Int]] {
  guard count > 0 else { return [[]] }
  return permutations(of: count - 1).flatMap { shorter in
    (0..<count).map { place in
      var longer = shorter
      longer.insert(count - 1, at: place)
      return longer
    }
  }
}

/// All sequences of `length` of the tokens 0 ..< tokens.
public func sequences(of tokens: Int, length: Int) -> [[Int32]] {
  guard length > 0 else { return [[]] }
  return sequences(of: tokens, length: length - 1).flatMap { start in (0..<tokens).map { start + [Int32($0)] } }
}

/// All subsets of 0 ..< count, each as `count` flags.
public func subsets(of count: Int) -> [[Bool]] {
  (0..<1 << count).map { bits in (0..<count).map { bits >> $0 & 1 == 1 } }
}
