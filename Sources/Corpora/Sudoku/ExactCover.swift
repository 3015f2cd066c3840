/// Chooses rows of a 0/1 matrix so that every column has exactly one 1 among them: the problem that a Sudoku is, and
/// Knuth's algorithm for it ("Dancing links", 2000).
///
/// The rows that hold a column are a linked ring; so are the columns that no chosen row holds yet. The search takes the
/// column that the fewest rows can still fill. To choose one of them takes its columns out of the ring, and all rows that
/// share one with it; taking back puts them in again, in reverse order, each where it was, which it still knows.
///
/// It knows nothing of Sudoku.
struct ExactCover: Sendable {
  // Node 0 is the head of the columns' ring, 1 … columns are the columns; behind them each row's nodes stand together.
  private var left: [Int]
  private var right: [Int]
  private var up: [Int]
  private var down: [Int]
  /// The column of each node.
  private var column: [Int]
  /// The row of each node; −1 for a column's own.
  private var row: [Int]
  /// The nodes of each row.
  private var nodes: [Range<Int>] = []
  /// How many rows of each column are left.
  private var counts: [Int]

  /// - Parameter rows: the columns of each row, counted from 0.
  init(columns: Int, rows: [[Int]]) {
    left = (0...columns).map { $0 == 0 ? columns : $0 - 1 }
    right = (0...columns).map { $0 == columns ? 0 : $0 + 1 }
    up = Array(0...columns)
    down = Array(0...columns)
    column = Array(0...columns)
    row = Array(repeating: -1, count: columns + 1)
    counts = Array(repeating: 0, count: columns + 1)
    for (number, columns) in rows.enumerated() {
      nodes.append(up.count..<up.count + columns.count)
      for header in columns.map({ $0 + 1 }) {
        let node = up.count
        up.append(up[header])
        down.append(header)
        down[up[header]] = node
        up[header] = node
        column.append(header)
        row.append(number)
        counts[header] += 1
      }
    }
  }

  private mutating func cover(_ header: Int) {
    right[left[header]] = right[header]
    left[right[header]] = left[header]
    var node = down[header]
    while node != header {
      for other in nodes[row[node]] where other != node {
        down[up[other]] = down[other]
        up[down[other]] = up[other]
        counts[column[other]] -= 1
      }
      node = down[node]
    }
  }

  private mutating func uncover(_ header: Int) {
    var node = up[header]
    while node != header {
      for other in nodes[row[node]].reversed() where other != node {
        counts[column[other]] += 1
        down[up[other]] = other
        up[down[other]] = other
      }
      node = up[node]
    }
    right[left[header]] = header
    left[right[header]] = header
  }

  /// Chooses a row beforehand. It shares no column with one that was chosen.
  mutating func choose(_ row: Int) {
    for node in nodes[row] { cover(column[node]) }
  }

  /// Visits every solution: the rows chosen beside those that were chosen beforehand.
  ///
  /// - Parameters:
  ///   - order: the order in which the rows that could fill a column are tried.
  ///   - visit: called with each solution; false ends the search.
  func search(order: ([Int]) -> [Int] = { $0 }, _ visit: ([Int]) -> Bool) {
    var copy = self
    var chosen: [Int] = []
    _ = copy.search(&chosen, order, visit)
  }

  private mutating func search(
    _ chosen: inout [Int], _ order: ([Int]) -> [Int], _ visit: ([Int]) -> Bool
  ) -> Bool {
    guard right[0] != 0 else { return visit(chosen) }
    var best = right[0]
    var header = right[best]
    while header != 0 {
      if counts[header] < counts[best] { best = header }
      header = right[header]
    }
    guard counts[best] > 0 else { return true }
    cover(best)
    defer { uncover(best) }
    var rows: [Int] = []
    var node = down[best]
    while node != best {
      rows.append(row[node])
      node = down[node]
    }
    for row in order(rows) {
      let others = nodes[row].map { column[$0] }.filter { $0 != best }
      for header in others { cover(header) }
      chosen.append(row)
      let goesOn = search(&chosen, order, visit)
      chosen.removeLast()
      for header in others.reversed() { uncover(header) }
      guard goesOn else { return false }
    }
    return true
  }
}
