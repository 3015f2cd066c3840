import Corpora
import EsoLM
import Evaluation
import Foundation
import Reports
import TestSupport
import Testing

@Suite("Solving Sudokus")
struct SudokuEvaluationTests {
  private static let configuration = TransformerConfiguration(
    vocabularySize: 12, maskToken: 0, hiddenSize: 16, numBlocks: 2, numHeads: 2, conditioningSize: 8, dropout: 0)
  private let network = CachedTransformer(TransformerWeights.random(Self.configuration).transformer())

  private static let methods: [any GenerationMethod] = [
    try! EsotericMethod(alpha0: 1), try! EsotericMethod(alpha0: 1, orders: .init(clean: .leftToRight)),
    try! EsotericMethod(alpha0: 1, orders: .init(masks: .leftToRight)), try! EsotericMethod(.a, alpha0: 1),
    MaskedDiffusionMethod(),
  ]

  private func puzzles(_ count: Int, clues: Int) throws -> [SudokuEvaluation.Puzzle] {
    let grids = try SudokuGrid.drawn(count, side: 4, seed: 1)
    return try SudokuGrid.puzzles(of: grids, clues: clues, seed: 2).map { try SudokuEvaluation.Puzzle($0) }
  }

  private func plans(_ cells: [Int] = [1, 3], attempts: Int = 2, temperature: Double = 1) throws
    -> [SudokuEvaluation.Plan]
  {
    SudokuEvaluation.Plan.usual(
      cells: cells, attempts: attempts, picker: try TokenPicker(temperature: temperature), seed: 3)
  }

  @Test func thePlansAreThoseOfTheTable() throws {
    #expect(
      try plans(attempts: 4).map(\.name) == [
        "random order", "left to right", "surest by entropy", "surest by margin", "surest by probability",
        "random order, 3 cells a call", "left to right, 3 cells a call", "surest by entropy, 3 cells a call",
        "surest by margin, 3 cells a call", "surest by probability, 3 cells a call", "random order, best of 4",
      ])
    #expect(try plans([2], attempts: 1).count == 5)
  }

  /// Every plan of every method, the probability of what was written again included.
  @Test(arguments: methods.indices) func cachedAndRecomputedAnswersAreTheSame(index: Int) throws {
    let method = Self.methods[index]
    let puzzles = try puzzles(3, clues: 6)
    let evaluation = SudokuEvaluation(network, method: method, batch: 2)
    for plan in try plans() {
      let answers = try evaluation.answers(to: puzzles, by: plan).answers
      for answer in answers {
        // Written once more by itself, each call from nothing.
        let again = try written(
          [evaluation.generation(answer.puzzle, by: plan, number: answer.generation.number)], by: network,
          usesCache: false)[0]
        #expect(again.tokens == answer.generation.tokens, "\(plan.name)")
        #expect(again.history.map(\.positions) == answer.generation.history.map(\.positions), "\(plan.name)")
        #expect(abs(again.modelLogProbability - answer.generation.modelLogProbability) < 1e-4)
        guard let replayed = try answer.generation.replayedLogProbabilities(under: network) else {
          #expect(index > 2)
          continue
        }
        #expect(abs(replayed.reduce(0) { $0 + $1.model } - answer.generation.modelLogProbability) < 1e-4)
        #expect(abs(replayed.reduce(0) { $0 + $1.drawn } - answer.generation.logProbability) < 1e-4)
      }
    }
  }

  @Test func sequencesHaveTheSizeOfAGridOrTwoTokensMore() {
    let fitting = (1...100).filter { SudokuEvaluation.Frame.fitting(length: $0) != nil }
    #expect(fitting == [16, 18, 81, 83])
    #expect(SudokuEvaluation.Frame.fitting(length: 18)! == (.textEnds, 4))
    #expect(SudokuEvaluation.Frame.fitting(length: 81)! == (.none, 9))
    #expect(SudokuEvaluation.Frame.textEnds.around([1, nil]) == [10, 1, nil, 11])
    #expect(SudokuEvaluation.Frame.textEnds.cells(of: [10, 1, 2, 11]) == [1, 2])
    #expect(SudokuEvaluation.Frame.none.cells(of: [1, 2]) == [1, 2])
  }

  /// A frame is given as clues are, and nothing of it counts or is shown.
  @Test func aFrameStandsAroundTheCells() throws {
    let puzzles = try puzzles(4, clues: 6)
    let evaluation = SudokuEvaluation(network, method: Self.methods[0], frame: .textEnds)
    for plan in try plans() {
      for answer in try evaluation.answers(to: puzzles, by: plan).answers {
        #expect(answer.generation.tokens.count == 18 && answer.cells.count == 16)
        #expect(answer.generation.tokens.first == 10 && answer.generation.tokens.last == 11)
        #expect(zip(answer.puzzle.puzzle.cells, answer.cells).allSatisfy { $0 == 0 || $0 == $1 })
        let empty = answer.puzzle.puzzle.cells.indices.filter { answer.puzzle.puzzle[$0] == 0 }
        #expect(answer.writtenCells.joined().sorted() == empty)
        for step in SudokuPage.Trace(answer, plan: plan.name).steps {
          for (cell, digit) in zip(step.cells, step.digits) { #expect(answer.cells[cell] == digit) }
        }
      }
    }
  }

  @Test func cluesAreKeptAndCallsCounted() throws {
    let puzzles = try puzzles(5, clues: 6)
    let evaluation = SudokuEvaluation(network, method: Self.methods[0])
    for plan in try plans() {
      let (answers, seconds) = try evaluation.answers(to: puzzles, by: plan)
      #expect(answers.map(\.puzzle) == puzzles && seconds > 0)
      let calls = plan.attempts * (plan.name.contains("3 cells") ? 4 : 10)
      for answer in answers {
        #expect(answer.calls == calls, "\(plan.name)")
        #expect(zip(answer.puzzle.template, answer.generation.tokens).allSatisfy { $0 == nil || $0 == $1 })
      }
      let outcome = SudokuEvaluation.Outcome(plan: plan.name, clues: 6, answers, seconds: 10)
      #expect(outcome.puzzles == 5 && outcome.callsPerPuzzle == Double(calls) && outcome.secondsPerPuzzle == 2)
    }
  }

  @Test func rightAnswersAreCounted() throws {
    let puzzles = try puzzles(200, clues: 14)
    let evaluation = SudokuEvaluation(network, method: Self.methods[0])
    let plan = try plans([1], attempts: 1)[0]
    let answers = try evaluation.answers(to: puzzles, by: plan).answers
    // Whoever draws two of eleven tokens at random is right now and then.
    var (right, solved) = (0, 0)
    for (answer, puzzle) in zip(answers, puzzles) {
      let correct = puzzle.solution.cells.indices.count {
        puzzle.puzzle[$0] == 0 && answer.generation.tokens[$0] == Int32(puzzle.solution[$0])
      }
      #expect(answer.rightCount == correct && answer.isSolved == (correct == 2))
      (right, solved) = (right + correct, solved + (correct == 2 ? 1 : 0))
    }
    let outcome = SudokuEvaluation.Outcome(plan: "", clues: 14, answers, seconds: 1)
    #expect(right > 0 && outcome.cellsRight == Double(right) / 400 && outcome.solved == Double(solved) / 200)
    #expect(abs(outcome.solvedError - (outcome.solved * (1 - outcome.solved) / 200).squareRoot()) < 1e-12)
  }

  @Test func ofSeveralAnswersTheLikeliestCounts() throws {
    let puzzles = try puzzles(6, clues: 6)
    let evaluation = SudokuEvaluation(network, method: Self.methods[0])
    let best = try #require(try plans(attempts: 5).last)
    for (index, answer) in try evaluation.answers(to: puzzles, by: best).answers.enumerated() {
      let all = try (0..<5).map {
        try written([evaluation.generation(puzzles[index], by: best, number: 5 * index + $0)], by: network)[0]
      }
      #expect(abs(all.map(\.modelLogProbability).max()! - answer.generation.modelLogProbability) < 1e-9)
      #expect(Set(all.map(\.tokens)).count > 1)
    }
  }

  @Test func puzzlesWithoutOneSolutionAreRefused() throws {
    #expect(throws: SudokuError.severalSolutions(clues: 1)) {
      try SudokuEvaluation.Puzzle(try SudokuGrid("1000000000000000"))
    }
  }

  @Test func plansThatAMethodDoesNotHaveAreRefused() throws {
    let ar = AutoregressiveMethod(start: .init(token: 10, isText: false))
    let evaluation = SudokuEvaluation(network, method: ar)
    let puzzle = try puzzles(1, clues: 6)[0]
    for plan in try plans() { #expect(throws: ConfigurationError.self) { try evaluation.check(plan, on: puzzle) } }
  }

  // MARK: The page

  @Test func thePageHoldsWhatItShows() throws {
    let puzzles = try puzzles(2, clues: 8)
    let evaluation = SudokuEvaluation(network, method: Self.methods[0])
    let plan = try plans()[2]
    let answers = try evaluation.answers(to: puzzles, by: plan).answers
    let traces = answers.map { SudokuPage.Trace($0, plan: plan.name) }
    for (trace, answer) in zip(traces, answers) {
      #expect(trace.steps.flatMap(\.cells) == answer.generation.history.flatMap(\.positions))
      for step in trace.steps {
        #expect(step.chances.count == 1 && step.chances[0].count == 4)
        #expect(step.chances[0].allSatisfy { (0...1).contains($0) })
      }
    }
    let page = SudokuPage(
      outcomes: [.init(plan: "a <plan>", clues: 8, answers, seconds: 1)], traces: traces)
    let html = page.html(
      title: "Sudokus", recipe: Recipe(command: "esolm", data: "grids", seed: 1, program: "p", machine: "m"))
    #expect(html.contains("a &lt;plan&gt;") && !html.contains("<plan>"))
    #expect(html.contains("id=\"player\"") && html.contains("addEventListener(\"keydown\""))
    #expect(!html.contains("http") && !html.contains("src="))
    // The script stands behind the data that it reads.
    let data = try #require(html.range(of: "id=\"data\">")), script = try #require(html.range(of: "const { traces }"))
    #expect(data.upperBound < script.lowerBound)
    struct Contents: Decodable {
      struct Trace: Decodable { let puzzle: [Int] }
      let traces: [Trace]
    }
    let json = html[data.upperBound...].prefix { $0 != "<" }
    let contents = try JSONDecoder().decode(Contents.self, from: Data(json.utf8))
    #expect(contents.traces.map(\.puzzle) == puzzles.map(\.puzzle.cells))
  }
}
