import Faults

// A Sudoku as an exact cover: a row of the matrix is a digit in a cell. It holds four columns: that the cell is filled,
// and that its row, its column and its box have the digit.

extension SudokuGrid {
  /// The matrices of empty grids, by side.
  private static let covers = Dictionary(uniqueKeysWithValues: sides.map { ($0, cover(side: $0)) })

  private static func cover(side: Int) -> ExactCover {
    let grid = SudokuGrid(emptyOf: side)
    let area = side * side
    let rows = grid.cells.indices.flatMap { cell in
      (0..<side).map { digit in
        let units = grid.units(of: cell)
        return [
          cell, area + units.row * side + digit, 2 * area + units.column * side + digit,
          3 * area + units.box * side + digit,
        ]
      }
    }
    return ExactCover(columns: 4 * area, rows: rows)
  }

  /// Visits every solved grid that has this one's digits.
  ///
  /// - Parameters:
  ///   - order: the order in which choices are tried, each a number that stands for a digit in a cell.
  ///   - visit: called with each; false ends the search.
  func search(order: ([Int]) -> [Int] = { $0 }, _ visit: (SudokuGrid) -> Bool) {
    guard conflict == nil else { return }
    var cover = Self.covers[side]!
    for (cell, digit) in cells.enumerated() where digit != 0 { cover.choose(cell * side + digit - 1) }
    cover.search(order: order) { rows in
      var solution = self
      for row in rows { solution[row / side] = row % side + 1 }
      return visit(solution)
    }
  }

  /// Solved grids that have this one's digits.
  ///
  /// - Parameter limit: at most so many; two tell whether there is one.
  /// - Precondition: `limit` is at least 1.
  public func solutions(limit: Int = 2) -> [SudokuGrid] {
    trap(unless: limit >= 1, "\(limit) solutions")
    var found: [SudokuGrid] = []
    search {
      found.append($0)
      return found.count < limit
    }
    return found
  }

  /// The one solved grid that has this one's digits.
  ///
  /// - Throws: `SudokuError` if there is none, or more than one, with the reason.
  public func solution() throws(SudokuError) -> SudokuGrid {
    if let (first, second) = conflict { throw .conflict(cells[first], place(of: first), place(of: second)) }
    let found = solutions(limit: 2)
    guard let solution = found.first else { throw .noSolution }
    guard found.count == 1 else { throw .severalSolutions(clues: clueCount) }
    return solution
  }
}
