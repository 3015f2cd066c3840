import ArgumentParser
import Corpora
import Files
import Foundation
import Tool

/// Sudokus as text: a grid a line, which `train` learns and `eval sudoku` solves.
struct Sudoku: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sudoku",
    abstract: "Draw Sudokus, make puzzles of them, solve them by exact cover.",
    discussion: """
      Each is a line: digits row by row, 0 where a cell is empty; 16 for grids of side 4, 81 for side 9.

      Examples:
        esolm sudoku grids --side 4 --count 288 --out grids.txt
        esolm train configs/sudoku-cpu.yaml --data grids.txt --length 18 --validation-fraction 0.3 --alpha0 1 --out RUN
        esolm eval sudoku RUN
        esolm sudoku grids --from sudoku-train-data.npy --out grids.txt
      """,
    subcommands: [Grids.self, Puzzles.self, Solve.self])

  /// Whole lines, many at a time.
  struct Lines {
    private let writer: FileWriter
    private var text = ""

    fileprivate init(_ writer: FileWriter) { self.writer = writer }

    mutating func add(_ line: String) throws {
      text += line + "\n"
      if text.utf8.count > 1 << 16 { try flush() }
    }

    mutating func flush() throws {
      guard !text.isEmpty else { return }
      try writer.write(Data(text.utf8))
      text = ""
    }
  }

  /// Where Sudokus go.
  struct OutputOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Write them into this file. (default: standard output)", valueName: "file"))
    var out: String?

    /// Writes the lines that `body` adds; a file is there when all are.
    func write(_ body: (inout Lines) throws -> Void) throws {
      func writeLines(to writer: FileWriter) throws {
        var lines = Lines(writer)
        try body(&lines)
        try lines.flush()
      }
      if let out { try AtomicFile.write(to: out, writeLines) } else { try writeLines(to: .standardOutput) }
    }
  }

  /// Which grids.
  struct GridOptions: ParsableArguments {
    @Option(help: "Cells of a row: 4 or 9. (default: 9)")
    var side: Int?

    @Option(help: "How many. (default: 100)")
    var count: Int?

    @Option(help: "The seed.")
    var seed: UInt64 = 0

    @Option(
      help: ArgumentHelp(
        """
        Take those of a file instead of drawing them: text with one a line, or the array of Shah et al. (.npy), which has \
        clues and solutions.
        """, valueName: "file"))
    var from: String?

    func validate() throws {
      if let side, !SudokuGrid.sides.contains(side) { throw ValidationError("--side is \(side), expected 4 or 9") }
      try require("count", count, in: 1...(1 << 28))
      if from != nil, side != nil { throw ValidationError("--side and --from exclude each other: the file says it") }
    }

    /// Calls `body` with the grids that were drawn, some at a time, so that output begins soon.
    func draw(_ body: ([SudokuGrid]) throws -> Void) throws {
      let (side, count, part) = (side ?? 9, count ?? 100, 1000)
      do {
        for first in stride(from: 0, to: count, by: part) {
          try body(try SudokuGrid.drawn(min(part, count - first), side: side, seed: seed, startingAt: first))
        }
      } catch SudokuError.count {
        throw ValidationError("--count is \(count), expected at most \(SudokuGrid.all.count), all grids of side 4")
      }
    }

    /// Calls `body` with the Sudokus of the file.
    func read(_ path: String, _ body: (SudokuFile.Entry) throws -> Void) throws {
      var left = count ?? .max
      struct Enough: Error {}
      do {
        try SudokuFile.read(path) {
          try body($0)
          left -= 1
          if left == 0 { throw Enough() }
        }
      } catch is Enough {}
    }
  }

  struct Grids: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "grids",
      abstract: "Print solved grids.",
      discussion: """
        Of side 4 there are 288, each as likely as any other and none twice. Of side 9 each is drawn by a random \
        filling, eight rounds of a Markov chain that leaves all grids equally likely, and a random symmetry.
        """)

    @OptionGroup var grids: GridOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      try output.write { lines in
        if let path = grids.from {
          try grids.read(path) { entry in
            let grid = try entry.solution ?? SudokuFile.named(entry.place, entry.puzzle.solution)
            try lines.add(grid.text)
          }
        } else {
          try grids.draw {
            for grid in $0 { try lines.add(grid.text) }
            try lines.flush()
          }
        }
      }
    }
  }

  struct Puzzles: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "puzzles",
      abstract: "Print puzzles with exactly one solution.",
      discussion: """
        Cells of a solved grid are emptied in random order, each if the puzzle still has one solution then, until the \
        clues are as many as wanted. Of an array the clues are printed as they are there.
        """)

    @OptionGroup var grids: GridOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "Clues of each: 4 to 15 of side 4, 17 to 80 of side 9. (default: 6 of side 4, 30 of side 9)")
    var clues: Int?

    func validate() throws {
      let range = SudokuGrid.clueCounts(grids.side ?? 9)
      if let clues, grids.from == nil, !range.contains(clues) {
        throw ValidationError("--clues is \(clues), expected \(range.lowerBound) to \(range.upperBound)")
      }
      if grids.from != nil, clues != nil {
        throw ValidationError("--clues and --from exclude each other: a file has them")
      }
    }

    func run() throws {
      try output.write { lines in
        if let path = grids.from { return try grids.read(path) { try lines.add($0.puzzle.text) } }
        let clues = clues ?? SudokuGrid.usualClues(grids.side ?? 9)
        var first = 0
        try grids.draw {
          for puzzle in try SudokuGrid.puzzles(of: $0, clues: clues, seed: grids.seed, startingAt: first) {
            try lines.add(puzzle.text)
          }
          first += $0.count
          try lines.flush()
        }
      }
    }
  }

  struct Solve: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "solve",
      abstract: "Print the solution of each puzzle of a file, and refuse what has none, or several.")

    @Argument(help: ArgumentHelp("Puzzles: text with one a line, or an array (.npy).", valueName: "file"))
    var file: String

    @OptionGroup var output: OutputOptions

    func run() throws {
      try output.write { lines in
        try SudokuFile.read(file) { entry in
          try lines.add(try SudokuFile.named(entry.place, entry.puzzle.solution).text)
        }
      }
    }
  }
}
