import Dispatch
import Faults
import Randomness

// Solved grids and puzzles at random.
//
// Of the 288 grids of side 4 each is as likely as any other: they are enumerated.
//
// Those of side 9 are too many (6.67 · 10²¹). One is drawn in three steps:
//
// 1. A random filling: the exact cover's search with its choices in random order. It favours some grids.
// 2. Rounds of a Markov chain: of three digits, drawn at random, all cells are emptied, and one of all ways to fill them
//    again is drawn, each as likely. The chance to go from one grid to another is the same as back, so no round leads
//    away from the uniform distribution, and each leads towards it over the grids that rounds can reach.
// 3. A symmetry, drawn uniformly from all: renamed digits, permuted bands, stacks, rows and columns inside them, a
//    transposition. So grids that are alike but for such are exactly equally likely; what the chain leaves uneven is at
//    most between the 5,472,730,538 classes of them.

extension SudokuGrid {
  /// All solved grids of side 4, in the order of their texts.
  public static let all: [SudokuGrid] = SudokuGrid(emptyOf: 4).solutions(limit: .max).sorted { $0.text < $1.text }

  /// Rounds of the Markov chain.
  static let rounds = 8

  /// Solved grids: of side 4 some of the 288, none twice, in random order; of side 9 each drawn on its own, as this
  /// file's head says.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - side: 4 or 9.
  ///   - seed: every seed has its own list.
  ///   - first: where in that list to begin.
  /// - Throws: `SudokuError` for more grids of side 4 than there are.
  /// - Precondition: `side` is one of ``sides``, and no number is negative.
  public static func drawn(_ count: Int, side: Int, seed: UInt64, startingAt first: Int = 0) throws(SudokuError)
    -> [SudokuGrid]
  {
    trap(unless: sides.contains(side) && count >= 0 && first >= 0, "\(count) grids of side \(side) from \(first)")
    guard side == 9 else {
      guard count <= all.count - first else { throw .count(first + count) }
      var generator = CounterGenerator(seed: seed, stream: .sudoku)
      return Array(all.inRandomOrder(using: &generator)[first..<first + count])
    }
    return inParallel(count) { index in
      var generator = CounterGenerator(seed: seed, stream: .sudoku, major: first + index, minor: 1)
      return drawn(side: side, rounds: rounds, using: &generator)
    }
  }

  /// A solved grid of any side, in the three steps.
  static func drawn(side: Int, rounds: Int, using generator: inout CounterGenerator) -> SudokuGrid {
    let empty = SudokuGrid(emptyOf: side)
    var grid = empty
    empty.search(order: { $0.inRandomOrder(using: &generator) }) {
      grid = $0
      return false
    }
    for _ in 0..<rounds { grid.refill(using: &generator) }
    return grid.transformed(using: &generator)
  }

  /// A round of the chain.
  private mutating func refill(using generator: inout CounterGenerator) {
    let digits = Set((1...side).inRandomOrder(using: &generator).prefix(3))
    var emptied = self
    for cell in cells.indices where digits.contains(cells[cell]) { emptied[cell] = 0 }
    // The n-th way takes the place of the one that was kept with chance 1/n: so all are equally likely in the end.
    var (kept, count) = (self, 0)
    emptied.search {
      count += 1
      if generator.integer(below: count) == 0 { kept = $0 }
      return true
    }
    self = kept
  }

  /// The same grid but for a symmetry.
  private func transformed(using generator: inout CounterGenerator) -> SudokuGrid {
    let digits = [0] + (1...side).inRandomOrder(using: &generator)
    func lines() -> [Int] {
      (0..<side / boxSide).inRandomOrder(using: &generator).flatMap { band in
        (0..<boxSide).inRandomOrder(using: &generator).map { band * boxSide + $0 }
      }
    }
    let (rows, columns) = (lines(), lines())
    let isTransposed = generator.integer(below: 2) == 1
    var result = self
    for (row, from) in rows.enumerated() {
      for (column, other) in columns.enumerated() {
        result[row * side + column] = digits[self[isTransposed ? other * side + from : from * side + other]]
      }
    }
    return result
  }

  // MARK: Puzzles

  /// How many clues a puzzle may have: at least so many as any puzzle with one solution is known to need.
  public static func clueCounts(_ side: Int) -> ClosedRange<Int> { (side == 4 ? 4 : 17)...side * side - 1 }

  /// As many as puzzles in newspapers have, about: most can be solved step by step.
  public static func usualClues(_ side: Int) -> Int { side == 4 ? 6 : 30 }

  /// A puzzle that this solved grid is the one solution of: cells are emptied in random order, each if the puzzle still
  /// has one solution then, until the clues are so many.
  ///
  /// - Parameters:
  ///   - clues: how many.
  ///   - generator: draws the order. Where it leads to no such puzzle, others are tried.
  /// - Throws: `SudokuError` if the grid is not solved, the number is none that puzzles have, or no order that was tried
  ///   leads to it.
  public func puzzle(clues: Int, using generator: inout CounterGenerator) throws(SudokuError) -> SudokuGrid {
    if let empty = cells.firstIndex(of: 0) { throw .unsolved(place(of: empty)) }
    if let (first, second) = conflict { throw .conflict(cells[first], place(of: first), place(of: second)) }
    guard Self.clueCounts(side).contains(clues) else { throw .clues(clues, side: side) }
    for _ in 0..<Self.attempts {
      var puzzle = self
      var left = cells.count
      for cell in cells.indices.inRandomOrder(using: &generator) where left > clues {
        puzzle[cell] = 0
        if puzzle.solutions(limit: 2).count == 1 { left -= 1 } else { puzzle[cell] = self[cell] }
      }
      if left == clues { return puzzle }
    }
    throw .tooFewClues(clues, tried: Self.attempts)
  }

  private static let attempts = 200

  /// A puzzle of each of some solved grids.
  ///
  /// - Parameters:
  ///   - grids: one for each puzzle.
  ///   - clues: of each.
  ///   - seed: of what is drawn; a puzzle depends on its grid and that one's place alone.
  ///   - first: the place of the first grid.
  /// - Throws: `SudokuError`, as ``puzzle(clues:using:)``.
  public static func puzzles(
    of grids: [SudokuGrid], clues: Int, seed: UInt64, startingAt first: Int = 0
  ) throws(SudokuError) -> [SudokuGrid] {
    let puzzles: [Result<SudokuGrid, SudokuError>] = inParallel(grids.count) { index in
      var generator = CounterGenerator(seed: seed, stream: .sudoku, major: first + index, minor: 2 + clues)
      return Result { () throws(SudokuError) -> SudokuGrid in try grids[index].puzzle(clues: clues, using: &generator) }
    }
    var result: [SudokuGrid] = []
    for puzzle in puzzles { result.append(try puzzle.get()) }
    return result
  }
}

/// The results of a function of 0 ..< count, computed on all cores.
private func inParallel<Value: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Value) -> [Value] {
  var results = [Value?](repeating: nil, count: count)
  results.withUnsafeMutableBufferPointer { buffer in
    nonisolated(unsafe) let places = buffer
    DispatchQueue.concurrentPerform(iterations: count) { places[$0] = body($0) }
  }
  return results.map { $0! }
}
