import CommandSupport
import Foundation
import Testing

@Suite("esolm sudoku, esolm eval sudoku")
struct SudokuCommandTests {
  /// A run of a few steps on grids of side 4. It is shared: read it.
  private static let training = Task {
    let folder = try Scratch.folder()
    let grids = try await Esolm.succeed(["sudoku", "grids", "--side", "4", "--count", "288"]).output
    try grids.write(toFile: "\(folder)/grids.txt", atomically: false, encoding: .utf8)
    try await Esolm.succeed(
      [
        "train", "--data", "\(folder)/grids.txt", "--tokenizer", "sudoku", "--documents", "line", "--no-end-of-text",
        "--alpha0", "1", "--out", "\(folder)/run", "--steps", "5", "--validation-fraction", "0.3334",
      ] + Esolm.tiny)
    return "\(folder)/run"
  }

  // MARK: Grids and puzzles

  @Test func gridsArePrinted() async throws {
    let all = try await Esolm.succeed(["sudoku", "grids", "--side", "4", "--count", "288"]).output.split(
      separator: "\n")
    #expect(Set(all).count == 288 && all.allSatisfy { $0.wholeMatch(of: #/[1-4]{16}/#) != nil })
    let large = try await Esolm.succeed(["sudoku", "grids", "--count", "3", "--seed", "4"]).output
    #expect(large.split(separator: "\n").allSatisfy { $0.wholeMatch(of: #/[1-9]{81}/#) != nil })
    let path = "\(try Scratch.folder())/grids.txt"
    #expect(try await Esolm.succeed(["sudoku", "grids", "--count", "3", "--seed", "4", "--out", path]).output == "")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == large)
  }

  @Test func puzzlesArePrintedAndSolved() async throws {
    let puzzles = try await Esolm.succeed(
      ["sudoku", "puzzles", "--side", "4", "--count", "5", "--clues", "5", "--seed", "7"]
    ).output
    #expect(puzzles.split(separator: "\n").count == 5)
    #expect(puzzles.split(separator: "\n").allSatisfy { $0.count { $0 != "0" } == 5 })
    let solved = try await Esolm.succeed(["sudoku", "solve", try Scratch.file(puzzles.utf8)]).output
    let grids = try await Esolm.succeed(["sudoku", "grids", "--side", "4", "--count", "5", "--seed", "7"]).output
    #expect(solved == grids)
    let again = try await Esolm.succeed(["sudoku", "grids", "--from", try Scratch.file(puzzles.utf8), "--count", "2"])
    #expect(again.output.split(separator: "\n") == Array(grids.split(separator: "\n").prefix(2)))
  }

  @Test(arguments: [
    (
      "1234341221434320\n12x4000000000000\n",
      ", line 2: row 1, column 3 is \"x\", expected a digit from 1 to 4, or 0 or . for an empty cell"
    ),
    ("123\n", ", line 1: 3 cells, expected 16 or 81"),
    ("1200000000000000\n", ", line 1: the puzzle has several solutions (2 clues), expected exactly one"),
    ("\n1230000400000000\n", ", line 2: the puzzle has no solution, expected exactly one"),
    (
      "1000100000000000\n",
      ", line 1: 1 stands in row 1, column 1 and again in row 2, column 1, expected it once in a row, a column and a box"
    ),
  ])
  func puzzlesThatCannotBeSolvedAreNamed(text: String, message: String) async throws {
    let path = try Scratch.file(text.utf8)
    let result = try await Esolm.run(["sudoku", "solve", path])
    #expect(result.status == 1)
    #expect(result.error == "esolm: error: \(path)\(message)\n")
  }

  @Test(arguments: [
    (["grids", "--side", "5"], "--side is 5, expected 4 or 9"),
    (["grids", "--side", "4", "--count", "289"], "--count is 289, expected at most 288, all grids of side 4"),
    (["grids", "--count", "0"], "--count is 0, expected 1 to 268435456"),
    (["puzzles", "--clues", "16"], "--clues is 16, expected 17 to 80"),
    (["puzzles", "--side", "4", "--clues", "16"], "--clues is 16, expected 4 to 15"),
    (["puzzles", "--from", "x", "--clues", "16"], "--clues and --from exclude each other"),
    (["grids", "--from", "x", "--side", "4"], "--side and --from exclude each other"),
  ])
  func optionsThatDoNotFitAreRefused(arguments: [String], message: String) async throws {
    let result = try await Esolm.run(["sudoku"] + arguments)
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("esolm: error: \(message)"), "\(result.error)")
  }

  // MARK: Evaluation

  @Test func everyPlanIsMeasured() async throws {
    let run = try await Self.training.value
    let page = "\(try Scratch.folder())/sudoku.html"
    let arguments = ["eval", "sudoku", run, "--clues", "6,12", "--count", "4", "--best-of", "2"]
    let table = try await Esolm.succeed(arguments + ["--out", page]).output
    for plan in ["random order ", "left to right", "surest by entropy", "surest by margin", "best of 2"] {
      #expect(table.split(separator: "\n").count { $0.contains(plan) } == 2, "\(plan)")
    }
    #expect(try String(contentsOfFile: page, encoding: .utf8).contains("\"traces\""))

    struct Report: Decodable {
      struct Outcome: Decodable {
        let plan: String
        let clues: Int
        let puzzles: Int
        let solved: Double
        let callsPerPuzzle: Double
      }
      let outcomes: [Outcome]
    }
    let json = try await Esolm.succeed(arguments + ["--json"]).output
    let outcomes = try JSONDecoder().decode(Report.self, from: Data(json.utf8)).outcomes
    #expect(outcomes.count == 12 && outcomes.allSatisfy { $0.puzzles == 4 && (0...1).contains($0.solved) })
    #expect(outcomes.filter { $0.clues == 12 }.map(\.callsPerPuzzle) == [4, 4, 4, 4, 4, 8])
  }

  /// Grids between [BOS] and [EOS], two tokens more than cells.
  @Test func framedGridsAreSolvedToo() async throws {
    let folder = try Scratch.folder()
    let grids = "\(folder)/grids.txt"
    try await Esolm.succeed(["sudoku", "grids", "--side", "4", "--count", "30", "--out", grids])
    try await Esolm.succeed(
      [
        "train", "--data", grids, "--tokenizer", "sudoku", "--packing", "framed", "--alpha0", "1", "--out",
        "\(folder)/run", "--steps", "2", "--documents", "line", "--no-end-of-text",
      ] + Esolm.tiny + ["--length", "18"])
    let table = try await Esolm.succeed(["eval", "sudoku", "\(folder)/run", "--clues", "12", "--count", "2"]).output
    #expect(table.contains("surest by margin          12        2"))
  }

  @Test func anyScheduleOfSampleIsTaken() async throws {
    let run = try await Self.training.value
    let puzzles = try Scratch.file("1230000000000002\n0230410000000002\n".utf8)
    for options in [
      ["--schedule", "block", "--steps", "3"], ["--schedule", "adaptive", "--choose", "margin", "--calls", "5"],
    ] {
      let solved = try await Esolm.run(["eval", "sudoku", run, "--puzzles", puzzles] + options)
      // The first puzzle has several solutions.
      #expect(solved.status == 1 && solved.error.contains("line 1"), "\(solved.error)")
      let table = try await Esolm.succeed(["eval", "sudoku", run, "--clues", "8", "--count", "2"] + options).output
      #expect(table.split(separator: "\n").count == 4)
    }
  }

  @Test func whatIsNoSudokuIsRefused() async throws {
    let other = try await Esolm.trained()
    let result = try await Esolm.run(["eval", "sudoku", other])
    #expect(result.status == 1)
    #expect(result.error == "esolm: error: \(other) was not trained on Sudokus: expected a run of --tokenizer sudoku\n")
    let run = try await Self.training.value
    for (arguments, status, message) in [
      (["--puzzles", try Scratch.file(String(repeating: "0", count: 81).utf8)], 1, "a puzzle of side 9, expected 4"),
      (["--puzzles", try Scratch.file("1234341221434321".utf8)], 1, "no cell is empty, expected a puzzle"),
      (["--clues", "3"], 2, "--clues is '3', expected numbers from 4 to 80 with commas between"),
      (["--clues", "20"], 2, "--clues is '20', expected numbers from 4 to 15 with commas between"),
      (["--cells", "0"], 2, "--cells is '0', expected numbers from 1 to 80"),
      (["--clues", "6", "--puzzles", "x"], 2, "--clues and --puzzles exclude each other"),
      (["--schedule", "block", "--best-of", "3"], 2, "--schedule names one plan, --best-of is for the usual ones"),
      (["--length", "16"], 2, "Unknown option '--length'"),
    ] as [([String], Int32, String)] {
      let result = try await Esolm.run(["eval", "sudoku", run] + arguments)
      #expect(result.status == status && result.error.contains(message), "\(result.error)")
    }
  }
}
