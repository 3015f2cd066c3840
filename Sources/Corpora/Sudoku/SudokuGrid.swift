/// A Sudoku, solved or not: n² × n² cells in boxes of n × n, each of them empty or holding a digit from 1 to n². It is
/// solved if every row, every column and every box holds each digit once.
///
/// A small task with one right answer, in which the order of writing decides: each digit follows from others, but not in
/// any order. As text a grid is its digits row by row, 0 where a cell is empty: 81 characters, or 16 for n = 2.
public struct SudokuGrid: Hashable, Sendable {
  /// Cells of a row, and the largest digit: 4 or 9.
  public let side: Int
  /// Row by row, 0 where a cell is empty.
  public private(set) var cells: [Int]

  /// The sides that grids have here.
  public static let sides = [4, 9]
  static let sizes = sides.map { "\($0 * $0)" }.joined(separator: " or ")

  /// A grid without digits.
  ///
  /// - Precondition: `side` is one of ``sides``.
  public init(emptyOf side: Int) { try! self.init(cells: Array(repeating: 0, count: side * side)) }

  /// - Parameter cells: row by row, 0 where a cell is empty.
  /// - Throws: `SudokuError` unless they are 16 or 81 of digits that such a grid has.
  public init(cells: [Int]) throws(SudokuError) {
    guard let side = Self.sides.first(where: { $0 * $0 == cells.count }) else { throw .size(cells.count) }
    self.side = side
    self.cells = cells
    for (cell, digit) in cells.enumerated() where !(0...side).contains(digit) {
      throw .digit("\(digit)", place(of: cell), side: side)
    }
  }

  /// - Parameter text: digits row by row, 0 or a full stop where a cell is empty.
  /// - Throws: `SudokuError`, which names the row and the column.
  public init(_ text: some StringProtocol) throws(SudokuError) {
    let characters = Array(text)
    guard let side = Self.sides.first(where: { $0 * $0 == characters.count }) else { throw .size(characters.count) }
    try self.init(emptyOf: side, filledBy: characters)
  }

  private init(emptyOf side: Int, filledBy characters: [Character]) throws(SudokuError) {
    self.init(emptyOf: side)
    for (cell, character) in characters.enumerated() where character != "." {
      guard character.isASCII, let digit = character.wholeNumberValue, digit <= side else {
        throw .digit("\(character)", place(of: cell), side: side)
      }
      cells[cell] = digit
    }
  }

  /// The digits row by row, 0 where a cell is empty.
  public var text: String { cells.map(String.init).joined() }

  /// The digit of a cell, counted row by row from 0; 0 empties it.
  ///
  /// - Precondition: there is such a cell, and such a digit.
  public subscript(cell: Int) -> Int {
    get { cells[cell] }
    set {
      precondition((0...side).contains(newValue), "\(newValue) in a grid of side \(side)")
      cells[cell] = newValue
    }
  }

  /// How many cells hold a digit.
  public var clueCount: Int { cells.count { $0 != 0 } }

  /// Rows and columns of a box.
  var boxSide: Int { side == 4 ? 2 : 3 }

  /// The row, the column and the box of a cell.
  func units(of cell: Int) -> (row: Int, column: Int, box: Int) {
    let (row, column) = (cell / side, cell % side)
    return (row, column, row / boxSide * boxSide + column / boxSide)
  }

  /// Where a cell is, for people: rows and columns are counted from 1.
  func place(of cell: Int) -> SudokuError.Place { .init(row: cell / side + 1, column: cell % side + 1) }

  /// Two cells of one row, column or box with the same digit; nil if there are none.
  var conflict: (first: Int, second: Int)? {
    for second in cells.indices where cells[second] != 0 {
      let own = units(of: second)
      for first in 0..<second where cells[first] == cells[second] {
        let other = units(of: first)
        if own.row == other.row || own.column == other.column || own.box == other.box { return (first, second) }
      }
    }
    return nil
  }

  /// Whether all cells hold digits as the rules want them.
  public var isSolved: Bool { !cells.contains(0) && conflict == nil }
}

/// What is no Sudoku, or none that has one answer.
public enum SudokuError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A cell, its row and column counted from 1.
  public struct Place: Hashable, Sendable, CustomStringConvertible {
    let row: Int
    let column: Int
    public var description: String { "row \(row), column \(column)" }
  }

  /// So many cells.
  case size(Int)
  /// What is no digit of a grid of this side.
  case digit(String, Place, side: Int)
  /// A digit twice in one row, column or box.
  case conflict(Int, Place, Place)
  /// No grid has these digits.
  case noSolution
  /// More than one grid has these digits.
  case severalSolutions(clues: Int)
  /// A grid that is wanted solved and is not.
  case unsolved(Place)
  /// A number of clues that puzzles of this side cannot have.
  case clues(Int, side: Int)
  /// So few clues that none of the puzzles tried has one solution.
  case tooFewClues(Int, tried: Int)
  /// More grids than there are.
  case count(Int)

  public var description: String {
    switch self {
    case .size(let count): "\(count) cells, expected \(SudokuGrid.sizes)"
    case .digit(let found, let place, let side):
      "\(place) is \(found.debugDescription), expected a digit from 1 to \(side), or 0 or . for an empty cell"
    case .conflict(let digit, let first, let second):
      "\(digit) stands in \(first) and again in \(second), expected it once in a row, a column and a box"
    case .noSolution: "the puzzle has no solution, expected exactly one"
    case .severalSolutions(let clues): "the puzzle has several solutions (\(clues) clues), expected exactly one"
    case .unsolved(let place): "\(place) is empty, expected a solved grid"
    case .clues(let count, let side):
      "\(count) clues, expected \(SudokuGrid.clueCounts(side).lowerBound) to \(SudokuGrid.clueCounts(side).upperBound)"
    case .tooFewClues(let count, let tried):
      "\(count) clues: none of \(tried) puzzles tried has one solution with so few, expected more"
    case .count(let count): "\(count) grids of side 4, expected at most \(SudokuGrid.all.count): there are no more"
    }
  }
}
