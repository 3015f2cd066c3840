import CommandSupport
import Corpora
import Files
import Foundation
import Randomness
import Testing
import TestSupport

@Suite("Sudoku")
struct SudokuTests {
  /// All solved grids of side 4 by trying all rows, without the solver.
  private static let bruteForce: Set<[Int]> = {
    let rows = permutations(of: 4).map { $0.map { $0 + 1 } }
    func fits(_ cells: [Int]) -> Bool {
      cells.indices.allSatisfy { first in
        cells.indices.allSatisfy { second in
          let (a, b) = ((first / 4, first % 4), (second / 4, second % 4))
          let sees = a.0 == b.0 || a.1 == b.1 || (a.0 / 2 == b.0 / 2 && a.1 / 2 == b.1 / 2)
          return first == second || !sees || cells[first] != cells[second]
        }
      }
    }
    var grids: [[Int]] = [[]]
    for _ in 0..<4 { grids = grids.flatMap { grid in rows.map { grid + $0 }.filter(fits) } }
    return Set(grids)
  }()

  // MARK: Grids

  @Test func thereAre288GridsOfSide4() {
    #expect(SudokuGrid.all.count == 288)
    #expect(Set(SudokuGrid.all.map(\.cells)) == Self.bruteForce)
    #expect(SudokuGrid.all.allSatisfy { $0.isSolved })
  }

  @Test func textAndCellsAreTheSame() throws {
    let grid = try SudokuGrid("12.434..0143.321")
    #expect(grid.side == 4 && grid.clueCount == 11)
    #expect(grid.text == "1204340001430321")
    #expect(try SudokuGrid(cells: grid.cells) == grid)
    #expect(!grid.isSolved)
    var solved = try SudokuGrid("1234341221434321")
    #expect(solved.isSolved)
    solved[0] = 2
    #expect(!solved.isSolved)
  }

  @Test(arguments: [
    ("", "0 cells, expected 16 or 81"),
    ("123", "3 cells, expected 16 or 81"),
    ("12343412214343211", "17 cells, expected 16 or 81"),
    ("1234341a21434321", "row 2, column 4 is \"a\", expected a digit from 1 to 4, or 0 or . for an empty cell"),
    ("1234341521434321", "row 2, column 4 is \"5\", expected a digit from 1 to 4, or 0 or . for an empty cell"),
    ("123434１221434321", "row 2, column 3 is \"１\", expected a digit from 1 to 4, or 0 or . for an empty cell"),
  ])
  func whatIsNoGridIsNamedWithItsPlace(text: String, message: String) {
    #expect("\(#expect(throws: SudokuError.self) { try SudokuGrid(text) }!)" == message)
  }

  // MARK: The solver

  @Test func theSolverAgreesWithBruteForce() throws {
    var generator = CounterGenerator(seed: 1, stream: .sudoku)
    let all = Self.bruteForce.map(\.self)
    var counts: [Int: Int] = [:]
    for number in 0..<10_000 {
      // Clues of a solved grid, one of which may be wrong.
      var cells = SudokuGrid.all[generator.integer(below: 288)].cells
      for cell in cells.indices where generator.uniform() < 0.75 { cells[cell] = 0 }
      if number % 3 == 0 { cells[generator.integer(below: 16)] = 1 + generator.integer(below: 4) }
      let expected = all.filter { grid in zip(grid, cells).allSatisfy { $1 == 0 || $0 == $1 } }
      let found = try SudokuGrid(cells: cells).solutions(limit: .max)
      #expect(Set(found.map(\.cells)) == Set(expected) && found.count == expected.count, "\(cells)")
      #expect(try SudokuGrid(cells: cells).solutions(limit: 2).count == min(2, expected.count))
      counts[min(2, expected.count), default: 0] += 1
    }
    #expect((0...2).allSatisfy { counts[$0, default: 0] > 300 }, "\(counts)")
  }

  /// Inkala's puzzle of 2010 and one with 17 clues of Royle's collection.
  @Test(arguments: [
    (
      "..53.....8......2..7..1.5..4....53...1..7...6..32...8..6.5....9..4....3......97..",
      "145327698839654127672918543496185372218473956753296481367542819984761235521839764"
    ),
    (
      "000000010400000000020000000000050407008000300001090000300400200050100000000806000",
      "693784512487512936125963874932651487568247391741398625319475268856129743274836159"
    ),
  ])
  func publishedHardPuzzlesAreSolved(puzzle: String, solution: String) throws {
    #expect(try SudokuGrid(puzzle).solution().text == solution)
  }

  @Test(arguments: [
    (
      "1100000000000000",
      "1 stands in row 1, column 1 and again in row 1, column 2, expected it once in a row, a column and a box"
    ),
    (
      "1000000010000000",
      "1 stands in row 1, column 1 and again in row 3, column 1, expected it once in a row, a column and a box"
    ),
    (
      "1000010000000000",
      "1 stands in row 1, column 1 and again in row 2, column 2, expected it once in a row, a column and a box"
    ),
    ("1230000400000000", "the puzzle has no solution, expected exactly one"),
    ("1200000000000000", "the puzzle has several solutions (2 clues), expected exactly one"),
  ])
  func puzzlesWithoutOneSolutionAreRefused(puzzle: String, message: String) throws {
    let grid = try SudokuGrid(puzzle)
    #expect("\(#expect(throws: SudokuError.self) { try grid.solution() }!)" == message)
  }

  // MARK: Drawing

  @Test func gridsOfSide4AreDrawnUniformlyWithoutRepeats() throws {
    let all = try SudokuGrid.drawn(288, side: 4, seed: 3)
    #expect(Set(all) == Set(SudokuGrid.all))
    #expect(try SudokuGrid.drawn(40, side: 4, seed: 3, startingAt: 100) == Array(all[100..<140]))
    #expect(try SudokuGrid.drawn(288, side: 4, seed: 4) != all)
    // The first grid of each seed: χ² of 287 degrees of freedom, whose 99.99 % quantile is 381.
    var counts: [SudokuGrid: Double] = [:]
    for seed in 0..<5760 { counts[try SudokuGrid.drawn(1, side: 4, seed: UInt64(seed))[0], default: 0] += 1 }
    let squares = SudokuGrid.all.reduce(0) { sum, grid in
      let difference = counts[grid, default: 0] - 20
      return sum + difference * difference / 20
    }
    #expect(squares < 381)
  }

  @Test func gridsOfSide9AreSolvedAndDifferent() throws {
    let grids = try SudokuGrid.drawn(60, side: 9, seed: 1)
    #expect(grids.allSatisfy { $0.isSolved } && Set(grids).count == 60)
    #expect(try SudokuGrid.drawn(5, side: 9, seed: 1, startingAt: 20) == Array(grids[20..<25]))
    #expect(try SudokuGrid.drawn(1, side: 9, seed: 2)[0] != grids[0])
  }

  /// Each digit is as likely in each cell: χ² of 8 degrees of freedom, whose 99.9999 % quantile is 42.7, in 81 cells.
  @Test func digitsOfSide9AreUniformInEachCell() throws {
    let grids = try SudokuGrid.drawn(450, side: 9, seed: 5)
    let worst = (0..<81).map { cell in
      (1...9).reduce(0.0) { sum, digit in
        let difference = Double(grids.count { $0[cell] == digit }) - 50
        return sum + difference * difference / 50
      }
    }.max()!
    #expect(worst < 42.7)
  }

  @Test func tooManyGridsAreRefused() {
    #expect(throws: SudokuError.count(289)) { try SudokuGrid.drawn(289, side: 4, seed: 0) }
    #expect(throws: SudokuError.count(290)) { try SudokuGrid.drawn(10, side: 4, seed: 0, startingAt: 280) }
  }

  // MARK: Puzzles

  @Test(arguments: [(4, 4), (4, 5), (4, 8), (4, 15), (9, 26), (9, 30), (9, 60)])
  func puzzlesHaveTheirCluesAndOneSolution(side: Int, clues: Int) throws {
    let grids = try SudokuGrid.drawn(12, side: side, seed: 6)
    let puzzles = try SudokuGrid.puzzles(of: grids, clues: clues, seed: 7)
    for (puzzle, grid) in zip(puzzles, grids) {
      #expect(puzzle.clueCount == clues)
      #expect(puzzle.solutions(limit: 2) == [grid])
    }
    #expect(try SudokuGrid.puzzles(of: grids, clues: clues, seed: 7) == puzzles)
    #expect(
      try SudokuGrid.puzzles(of: Array(grids[3...]), clues: clues, seed: 7, startingAt: 3) == Array(puzzles[3...]))
    let others = try SudokuGrid.puzzles(of: grids, clues: clues, seed: 8)
    #expect(clues == 15 || others != puzzles)
  }

  @Test func cluesThatNoPuzzleHasAreRefused() throws {
    var generator = CounterGenerator(seed: 1, stream: .sudoku)
    let (small, large) = (SudokuGrid.all[0], try SudokuGrid.drawn(1, side: 9, seed: 1)[0])
    func message(_ grid: SudokuGrid, _ clues: Int) -> String? {
      (#expect(throws: SudokuError.self) { try grid.puzzle(clues: clues, using: &generator) })?.description
    }
    #expect(message(small, 3) == "3 clues, expected 4 to 15")
    #expect(message(small, 16) == "16 clues, expected 4 to 15")
    #expect(message(large, 81) == "81 clues, expected 17 to 80")
    #expect(message(large, 17) == "17 clues: none of 200 puzzles tried has one solution with so few, expected more")
    var open = small
    open[5] = 0
    #expect(message(open, 8) == "row 2, column 2 is empty, expected a solved grid")
  }

  // MARK: Files

  private func entries(_ path: String) throws -> [SudokuFile.Entry] {
    var entries: [SudokuFile.Entry] = []
    try SudokuFile.read(path) { entries.append($0) }
    return entries
  }

  @Test func textHasOneALine() throws {
    let path = try Scratch.file("1234341221434321\r\n\n  1...............\n".utf8)
    let entries = try entries(path)
    #expect(entries.map(\.puzzle.text) == ["1234341221434321", "1000000000000000"])
    #expect(entries.map(\.place) == ["\(path), line 1", "\(path), line 3"])
  }

  @Test(arguments: [
    ("1234\n", "line 1: 4 cells, expected 16 or 81"),
    ("1234341221434321\nx234341221434321\n", "line 2: row 1, column 1 is \"x\", expected a digit from 1 to 4, or"),
  ])
  func linesThatAreNoSudokuAreNamed(text: String, message: String) throws {
    let path = try Scratch.file(text.utf8)
    let error = #expect(throws: FileError.self) { try entries(path) }
    #expect(error?.description.hasPrefix("\(path), \(message)") == true, "\(error?.description ?? "")")
    let empty = try Scratch.file("\n\n".utf8)
    #expect(throws: FileError.self) { try entries(empty) }
  }

  /// A NumPy array of 16-bit or other whole numbers.
  private func array(_ rows: [[Int]], type: String = "<i2", shape: String? = nil, order: String = "False") throws
    -> String
  {
    let width = Int(String(type.last!))!
    var header =
      "{'descr': '\(type)', 'fortran_order': \(order), 'shape': \(shape ?? "(\(rows.count), \(rows.first?.count ?? 0))"), }"
    header += String(repeating: " ", count: 63 - (10 + header.count) % 64) + "\n"
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count % 256), UInt8(header.count / 256)]
    bytes += header.utf8
    for number in rows.joined() {
      let little = (0..<width).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      bytes += type.first == ">" ? little.reversed() : little
    }
    return try Scratch.file(bytes)
  }

  /// A row of the array: clues in the order of columns, then the rest.
  private func row(_ grid: SudokuGrid, clues: [Int]) -> [Int] {
    let cells = clues + grid.cells.indices.filter { !clues.contains($0) }
    return [clues.count]
      + cells.flatMap { [$0 / grid.side, $0 % grid.side, grid[$0], clues.contains($0) ? 0 : 3] }
  }

  @Test(arguments: ["<i2", ">i2", "|u1", "|i1", "<i8", "<u4"]) func arraysHaveCluesAndSolutions(type: String) throws {
    let grids = try SudokuGrid.drawn(3, side: 9, seed: 2)
    let path = try array(grids.map { row($0, clues: [80, 4, 17]) }, type: type)
    let entries = try entries(path)
    #expect(entries.map(\.solution) == grids)
    #expect(entries.map(\.puzzle.clueCount) == [3, 3, 3])
    #expect(entries.allSatisfy { $0.puzzle[4] == $0.solution![4] && $0.puzzle[5] == 0 })
    #expect(entries[2].place == "\(path), row 3")
    let small = try self.entries(array([row(SudokuGrid.all[7], clues: [0])], type: type))
    #expect(small.map(\.solution) == [SudokuGrid.all[7]])
  }

  @Test func arraysThatAreNoneAreNamed() throws {
    let grid = SudokuGrid.all[7]
    var (outside, twice, wrong, many) = (
      row(grid, clues: []), row(grid, clues: []), row(grid, clues: []), row(grid, clues: [])
    )
    outside[1] = 4
    twice[5...6] = twice[1...2]
    wrong[3] = grid[1]
    many[0] = 17
    let cases: [(String, String)] = [
      (try array([outside]), ", row 1: row 4, column 0, expected 0 to 3"),
      (try array([row(grid, clues: []), twice]), ", row 2: row 0, column 0 is"),
      (try array([wrong]), ", row 1: \(grid[1]) stands in row 1, column 1 and again in row 1, column 2"),
      (try array([many]), ", row 1: 17 clues, expected 0 to 16"),
      (try array([[1, 2, 3]]), ": rows of 3 numbers, expected 65 or 325"),
      (try array([row(grid, clues: [])], type: "<f4"), ": an array of other values"),
      (try array([row(grid, clues: [])], order: "True"), ": numbers column by column"),
      (try array([row(grid, clues: [])], shape: "(65,)"), ": an array of another shape"),
      (try array([row(grid, clues: [])], shape: "(2, 65)"), ": 130 bytes of numbers, expected 2 rows of 65 of 2 bytes"),
      (try array([], shape: "(0, 65)"), " holds no Sudoku"),
      (try array([], shape: "(9223372036854775807, 65)"), ": 0 bytes of numbers"),
      (try Scratch.file([0x93] + Array("NUMPY".utf8) + [9, 0, 255, 255, 0, 0, 0, 0]), ": a header of version 9"),
    ]
    for (path, message) in cases {
      let error = #expect(throws: FileError.self) { try entries(path) }
      #expect(error?.description.hasPrefix(path + message) == true, "\(error?.description ?? "")")
    }
  }
}
