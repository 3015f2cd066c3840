import ArgumentParser
import Corpora
import EsoLM
import Evaluation
import Files
import Foundation
import Reports
import Runs
import Tokenizers
import Tool
import Torch

struct EvaluateSudoku: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sudoku",
    abstract: "Measure how many Sudokus a run solves, by the order in which it writes cells.",
    discussion: """
      The run was trained on solved grids (see esolm sudoku). A puzzle's clues are given, the other cells written, one \
      a call: in random order, from left to right, or where the network is surest by entropy, margin or the largest \
      probability of a cell's digit. --schedule and what goes with it (as for esolm sample) measure one plan instead. \
      --out writes a page on which puzzles fill in, call by call.

      Examples:
        esolm eval sudoku RUN --clues 4,6,8 --temperature 0
        esolm eval sudoku RUN --puzzles hard.txt --cells 1,2 --best-of 8 --out sudoku.html
        esolm eval sudoku RUN --schedule adaptive --choose margin --threshold 0.9
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(
    help: ArgumentHelp(
      """
      Puzzles: text with one a line, or an array of Shah et al. (.npy). (default: drawn of the grids that the run kept for \
      validation)
      """, valueName: "file"))
  var puzzles: String?

  @Option(
    help: ArgumentHelp("Clues of drawn puzzles. (default: 4,6,8 of side 4, 26,32,40 of side 9)", valueName: "a,b"))
  var clues: String?

  @Option(help: "Puzzles for each number of clues; of a file, at most so many in all.")
  var count = 100

  @Option(help: ArgumentHelp("Cells that a call writes; each number makes plans of its own.", valueName: "a,b"))
  var cells = "1"

  @Option(
    help: ArgumentHelp("Write so many answers in random order too, of which the likeliest counts.", valueName: "n"))
  var bestOf = 1

  @Option(help: ArgumentHelp("Write a page on which puzzles fill in.", valueName: "file"))
  var out: String?

  @OptionGroup(title: "How cells are written") var writing: WritingOptions

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup var weights: WeightOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("count", count, in: 1...(1 << 20))
    try require("best-of", bestOf, in: 1...1000)
    _ = try Self.numbers("cells", cells, in: 1...80)
    _ = try clues.map { try Self.numbers("clues", $0, in: 4...80) }
    if puzzles != nil, clues != nil {
      throw ValidationError("--clues and --puzzles exclude each other: a file has them")
    }
    if !writing.given.isEmpty, cells != "1" || bestOf > 1 {
      throw ValidationError(
        "--\(writing.given[0]) names one plan, --\(bestOf > 1 ? "best-of" : "cells") is for the usual ones")
    }
  }

  private static func numbers(_ option: String, _ text: String, in range: ClosedRange<Int>) throws -> [Int] {
    try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
      guard let number = Int(part), range.contains(number) else {
        throw ValidationError(
          "--\(option) is '\(text)', expected numbers from \(range.lowerBound) to \(range.upperBound) with commas between"
        )
      }
      return number
    }
  }

  func run() throws {
    try device.apply()
    let run = try RunFolder(opening: folder)
    guard run.tokenizer is SudokuTokenizer else {
      throw FileError("\(folder) was not trained on Sudokus: expected a run of --tokenizer sudoku")
    }
    let length = run.configuration.method.length
    guard let (frame, side) = SudokuEvaluation.Frame.fitting(length: length) else {
      throw FileError(
        "\(folder) was trained on texts of \(length) tokens, expected 16 or 81, the cells of a grid, or 2 more")
    }
    let sets = try puzzleSets(run, frame, side: side)
    let method = try algorithm.method(of: run)
    let evaluation = SudokuEvaluation(
      try CachedTransformer(weights.network(of: run, device: device.device), cachePrecision: cache.cachePrecision),
      method: method, frame: frame, batch: writing.batch)
    let plans = try plans(run, evaluation, on: sets[0].puzzles[0])

    var outcomes: [SudokuEvaluation.Outcome] = []
    var traces: [SudokuPage.Trace] = []
    var line = ShareLine()
    for set in sets {
      var shown: [[SudokuPage.Trace]] = []
      for plan in plans {
        let (answers, seconds) = try asUsage {
          try evaluation.answers(to: set.puzzles, by: plan) { line.show("\(plan.name), \(set.clues) clues", $0) }
        }
        outcomes.append(.init(plan: plan.name, clues: set.clues, answers, seconds: seconds))
        shown.append(answers.prefix(Self.shownPuzzles).map { SudokuPage.Trace($0, plan: plan.name) })
      }
      // All plans' answers to one puzzle follow each other.
      traces += shown[0].indices.flatMap { puzzle in shown.map { $0[puzzle] } }
    }
    line.clear()

    let recipe = Recipe(
      data: puzzles ?? "puzzles of \(run.validationText)", seed: writing.seed,
      checkpoint: try weights.checkpoint(of: run), device: device.device)
    if let out {
      let page = SudokuPage(outcomes: outcomes, traces: traces)
      let title = "Sudokus solved by \(method.title)"
      try AtomicFile.write(Data(page.html(title: title, recipe: recipe).utf8), to: out)
    }
    if json {
      try printJSON(
        Rebuildable(
          Report(run: folder, algorithm: run.configuration.method.algorithm.rawValue, outcomes: outcomes), recipe))
    } else {
      var table = Table(SudokuPage.headings)
      for outcome in outcomes { table.add(outcome.row) }
      try printOutput("\(method.title), calls and ms of a puzzle, \(writing.batch) at a time\n\(table.text)")
      if let out { try printOutput("\nwrote \(out)") }
    }
  }

  /// How many puzzles of each number of clues the page shows.
  private static let shownPuzzles = 3

  private struct Report: Encodable {
    let run: String
    let algorithm: String
    let outcomes: [SudokuEvaluation.Outcome]
  }

  /// Puzzles that have equally many clues.
  private typealias PuzzleSet = (clues: Int, puzzles: [SudokuEvaluation.Puzzle])

  private func puzzleSets(_ run: RunFolder, _ frame: SudokuEvaluation.Frame, side: Int) throws -> [PuzzleSet] {
    guard let puzzles else {
      let grids = try grids(run, frame)
      let counts = try clues.map { try Self.numbers("clues", $0, in: SudokuGrid.clueCounts(side)) }
      return try (counts ?? (side == 4 ? [4, 6, 8] : [26, 32, 40])).map { clues in
        let grids = (0..<count).map { grids[$0 % grids.count] }
        return (
          clues,
          try SudokuGrid.puzzles(of: grids, clues: clues, seed: writing.seed).map { try SudokuEvaluation.Puzzle($0) }
        )
      }
    }
    var sets: [Int: [SudokuEvaluation.Puzzle]] = [:]
    var left = count
    try SudokuFile.read(puzzles) { entry in
      guard left > 0 else { return }
      left -= 1
      guard entry.puzzle.side == side else {
        throw FileError(
          "\(entry.place): a puzzle of side \(entry.puzzle.side), expected \(side) as \(folder) was trained on")
      }
      guard entry.puzzle.cells.contains(0) else {
        throw FileError("\(entry.place): no cell is empty, expected a puzzle")
      }
      let puzzle = try SudokuFile.named(entry.place) { () throws(SudokuError) in
        try SudokuEvaluation.Puzzle(entry.puzzle)
      }
      sets[entry.puzzle.clueCount, default: []].append(puzzle)
    }
    return sets.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The grids that the run kept for validation.
  private func grids(_ run: RunFolder, _ frame: SudokuEvaluation.Frame) throws -> [SudokuGrid] {
    let blocks = try EvaluatePerplexity.blocks(of: run, data: nil, maxSequences: count)
    return try blocks.indices.map { index in
      guard let grid = try? SudokuGrid(cells: frame.cells(of: blocks[index])), grid.isSolved else {
        throw FileError(
          "\(folder): sequence \(index + 1) of its validation text is no solved grid; name puzzles by --puzzles")
      }
      return grid
    }
  }

  /// The plan that options name, or of the usual ones those that the method has.
  private func plans(
    _ run: RunFolder, _ evaluation: SudokuEvaluation, on puzzle: SudokuEvaluation.Puzzle
  ) throws -> [SudokuEvaluation.Plan] {
    guard writing.given.isEmpty else {
      let words = [writing.schedule?.rawValue ?? "usual", writing.choose.map { "by \($0.rawValue)" }]
      let plan = SudokuEvaluation.Plan(words.compactMap(\.self).joined(separator: " ")) {
        try writing.request($0, of: run, in: evaluation.network.precision)
      }
      try asUsage { try evaluation.check(plan, on: puzzle) }
      return [plan]
    }
    let all = SudokuEvaluation.Plan.usual(
      cells: try Self.numbers("cells", cells, in: 1...80), attempts: bestOf, picker: try writing.picking.picker(),
      seed: writing.seed)
    let known = all.filter { (try? evaluation.check($0, on: puzzle)) != nil }
    if known.isEmpty { try asUsage { try evaluation.check(all[0], on: puzzle) } }
    return known
  }
}
