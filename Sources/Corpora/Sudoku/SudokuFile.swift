import Files
import Foundation

/// Sudokus in a file: text with one a line, or NumPy's array as the data set of Shah et al. (2024) has them, which the
/// authors train on.
///
/// The array has a row for each puzzle: how many clues it has, and then four numbers for each cell, clues first: its row
/// and its column, counted from 0, its digit in the solution, and by which rule it can be found, which is not read here.
public enum SudokuFile {
  /// A Sudoku of a file.
  public struct Entry: Sendable {
    /// Where it stands, for messages.
    public let place: String
    /// The clues.
    public let puzzle: SudokuGrid
    /// The solved grid, where the file has it.
    public let solution: SudokuGrid?
  }

  /// Reads all Sudokus of a file, one after another.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - body: called with each.
  /// - Throws: `FileError`, `TextFileError`, or whatever `body` throws.
  public static func read(_ path: String, _ body: (Entry) throws -> Void) throws {
    if FileKind(ofFile: path) == .numpy { return try readArray(path, body) }
    var count = 0
    for (index, line) in try TextFile.read(path).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated()
    {
      let text = line.trimmingCharacters(in: .whitespaces)
      guard !text.isEmpty else { continue }
      let place = "\(path), line \(index + 1)"
      try body(
        Entry(place: place, puzzle: try named(place) { () throws(SudokuError) in try SudokuGrid(text) }, solution: nil))
      count += 1
    }
    guard count > 0 else { throw FileError("\(path) holds no Sudoku, expected a line of \(SudokuGrid.sizes) digits") }
  }

  /// Runs code whose errors do not know what they are about.
  ///
  /// - Parameters:
  ///   - place: where the Sudoku stands.
  ///   - body: the code.
  /// - Returns: what the code does.
  /// - Throws: `FileError` that names the place.
  public static func named<Result>(_ place: String, _ body: () throws(SudokuError) -> Result) throws -> Result {
    do { return try body() } catch { throw FileError("\(place): \(error)") }
  }

  private static func readArray(_ path: String, _ body: (Entry) throws -> Void) throws {
    let array = try IntegerArray(path)
    guard let side = SudokuGrid.sides.first(where: { 1 + 4 * $0 * $0 == array.columns }) else {
      let known = SudokuGrid.sides.map { "\(1 + 4 * $0 * $0)" }.joined(separator: " or ")
      throw FileError("\(path): rows of \(array.columns) numbers, expected \(known)")
    }
    guard array.rows > 0 else { throw FileError("\(path) holds no Sudoku, expected a row of numbers for each") }
    for index in 0..<array.rows {
      let place = "\(path), row \(index + 1)"
      let numbers = array.row(index)
      guard (0...side * side).contains(numbers[0]) else {
        throw FileError("\(place): \(numbers[0]) clues, expected 0 to \(side * side)")
      }
      var (puzzle, solution) = (SudokuGrid(emptyOf: side), SudokuGrid(emptyOf: side))
      for cell in 0..<side * side {
        let (row, column, digit) = (numbers[4 * cell + 1], numbers[4 * cell + 2], numbers[4 * cell + 3])
        guard (0..<side).contains(row), (0..<side).contains(column) else {
          throw FileError("\(place): row \(row), column \(column), expected 0 to \(side - 1)")
        }
        guard (1...side).contains(digit), solution[row * side + column] == 0 else {
          throw FileError(
            "\(place): row \(row), column \(column) is \(digit), expected a digit from 1 to \(side), each cell once")
        }
        solution[row * side + column] = digit
        if cell < numbers[0] { puzzle[row * side + column] = digit }
      }
      if let (first, second) = solution.conflict {
        let error = SudokuError.conflict(
          solution[first], solution.place(of: first), solution.place(of: second))
        throw FileError("\(place): \(error)")
      }
      try body(Entry(place: place, puzzle: puzzle, solution: solution))
    }
  }
}

/// A matrix of whole numbers in NumPy's format (`.npy`, versions 1 to 3), mapped into memory.
struct IntegerArray {
  let rows: Int
  let columns: Int
  private let data: Data
  private let start: Int
  private let width: Int
  private let isSigned: Bool
  private let isBigEndian: Bool

  /// - Throws: `FileError`, which names what is no such matrix.
  init(_ path: String) throws {
    func unreadable(_ found: String, _ expected: String) -> FileError {
      FileError("\(path): \(found), expected \(expected)")
    }
    let data = try MappedFile.read(path)
    guard data.count >= 12, data.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw unreadable("no header of a NumPy array", "a file that numpy.save wrote")
    }
    let lengthBytes = data[6] == 1 ? 2 : 4
    let length = (0..<lengthBytes).reduce(0) { $0 | Int(data[8 + $1]) << (8 * $1) }
    let start = 8 + lengthBytes + length
    guard (1...3).contains(data[6]), length < 1 << 16, start <= data.count else {
      throw unreadable("a header of version \(data[6]) and \(length) bytes", "a whole one of versions 1 to 3")
    }
    let header = String(decoding: data[8 + lengthBytes..<start], as: UTF8.self)
    guard let type = header.firstMatch(of: #/'descr': *'([<>|=])([iu])([1248])'/#)?.output else {
      throw unreadable("an array of other values (\(header.prefix(80)))", "whole numbers")
    }
    guard header.contains(#/'fortran_order': *False/#) else {
      throw unreadable("numbers column by column", "row by row; numpy.ascontiguousarray turns them")
    }
    guard let shape = header.firstMatch(of: #/'shape': *\(([0-9]+), *([0-9]+),? *\)/#)?.output,
      let rows = Int(shape.1), let columns = Int(shape.2)
    else { throw unreadable("an array of another shape (\(header.prefix(80)))", "two dimensions") }
    let width = Int(type.3)!
    let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard !overflow, count <= (data.count - start) / width else {
      throw unreadable("\(data.count - start) bytes of numbers", "\(rows) rows of \(columns) of \(width) bytes")
    }
    (self.data, self.rows, self.columns, self.width, self.start) = (data, rows, columns, width, start)
    (isSigned, isBigEndian) = (type.2 == "i", type.1 == ">")
  }

  /// The numbers of a row; those that no Int holds are its largest.
  func row(_ index: Int) -> [Int] {
    data.withUnsafeBytes { bytes in
      (index * columns..<(index + 1) * columns).map { (place: Int) -> Int in
        var number: UInt64 = 0
        for byte in 0..<width {
          let source = start + place * width + (isBigEndian ? width - 1 - byte : byte)
          number |= UInt64(bytes[source]) << (8 * byte)
        }
        guard isSigned else { return Int(clamping: number) }
        let unused = 64 - 8 * width
        return Int(Int64(bitPattern: number << unused) >> unused)
      }
    }
  }
}
