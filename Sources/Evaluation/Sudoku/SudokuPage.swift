import Corpora
import Foundation
import Reports

/// The page of an evaluation: its table, and puzzles that fill in call by call, with what the model thought of each digit.
public struct SudokuPage: Encodable {
  /// An answer, step by step.
  public struct Trace: Encodable, Sendable, Equatable {
    /// What one network call wrote.
    public struct Step: Encodable, Sendable, Equatable {
      /// Cells, counted row by row from 0.
      public let cells: [Int]
      /// The digit of each.
      public let digits: [Int]
      /// For each cell the model's probability of 1, 2 and so on.
      public let chances: [[Double]]
    }

    /// The plan's name.
    public let plan: String
    /// Digits row by row, 0 where a cell is empty.
    public let puzzle: [Int]
    /// The right digits.
    public let solution: [Int]
    /// In the order of writing.
    public let steps: [Step]

    /// - Parameters:
    ///   - answer: what was written.
    ///   - plan: the plan's name.
    public init(_ answer: SudokuEvaluation.Answer, plan: String) {
      let side = answer.puzzle.puzzle.side
      self.plan = plan
      puzzle = answer.puzzle.puzzle.cells
      solution = answer.puzzle.solution.cells
      steps = zip(answer.generation.history, answer.writtenCells).map { written, cells in
        Step(
          cells: cells, digits: written.tokens.map(Int.init),
          chances: written.alternatives.map { alternatives in
            var chances = [Double](repeating: 0, count: side)
            for (token, logProbability) in alternatives where (1...side).contains(Int(token)) {
              // As many digits as anyone can see.
              chances[Int(token) - 1] = (exp(logProbability) * 1e4).rounded() / 1e4
            }
            return chances
          })
      }
    }
  }

  /// How each plan did.
  public let outcomes: [SudokuEvaluation.Outcome]
  /// Some answers, several plans to one puzzle one after another.
  public let traces: [Trace]

  /// A page by its parts.
  ///
  /// - Parameters:
  ///   - outcomes: how each plan did.
  ///   - traces: some answers.
  public init(outcomes: [SudokuEvaluation.Outcome], traces: [Trace]) {
    self.outcomes = outcomes
    self.traces = traces
  }

  /// The page, which needs nothing else.
  ///
  /// - Parameters:
  ///   - title: what it is about.
  ///   - recipe: how it is made again.
  public func html(title: String, recipe: Recipe) -> String {
    var page = HTMLPage(title)
    page.add(
      part: String(decoding: PackageResources.player_html, as: UTF8.self),
      style: String(decoding: PackageResources.player_css, as: UTF8.self),
      script: String(decoding: PackageResources.player_js, as: UTF8.self))
    page.add(
      table: Self.headings, rows: outcomes.map(\.row), title: "Solved, by plan and number of clues")
    page.add(recipe: recipe)
    page.add(data: self)
    return page.html
  }

  /// What the columns of ``SudokuEvaluation/Outcome/row`` are.
  public static let headings = ["plan", "clues", "puzzles", "solved", "±", "cells right", "calls", "ms"]
}

extension SudokuEvaluation.Outcome {
  /// As tables show it: calls and milliseconds are those of a puzzle.
  public var row: [String] {
    func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }
    return [
      plan, "\(clues)", "\(puzzles)", percent(solved), percent(solvedError), percent(cellsRight),
      String(format: "%.1f", callsPerPuzzle), String(format: "%.1f", 1000 * secondsPerPuzzle),
    ]
  }
}
