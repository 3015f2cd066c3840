import Faults

/// Rows under headings, in columns as wide as they need: the first to the left, the others to the right.
struct Table {
  private let headings: [String]
  private var rows: [[String]] = []

  init(_ headings: [String]) { self.headings = headings }

  mutating func add(_ row: [String]) {
    trap(unless: row.count == headings.count, "a row of \(row.count) under \(headings.count) headings")
    rows.append(row)
  }

  var text: String {
    let widths = headings.indices.map { column in ([headings] + rows).map { $0[column].count }.max()! }
    func line(_ cells: [String]) -> String {
      let padded = zip(cells, widths).enumerated().map { column, cell in
        let space = String(repeating: " ", count: cell.1 - cell.0.count)
        return column == 0 ? cell.0 + space : space + cell.0
      }
      return "  " + padded.joined(separator: "  ")
    }
    let rule = "  " + widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
    return ([line(headings), rule] + rows.map(line)).joined(separator: "\n")
  }
}
