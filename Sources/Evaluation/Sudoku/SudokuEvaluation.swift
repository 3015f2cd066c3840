import Corpora
import EsoLM
import Foundation
import Tokenizers

/// How many puzzles a model solves, by the plan that says which cells are written when.
///
/// The clues are given and the other cells written, as the holes of any text are: exactly distributed as the model says.
/// A puzzle has one solution, so an answer is right or wrong, and the plan decides: in random order a model must write
/// digits that nothing determines yet.
public struct SudokuEvaluation {
  /// A puzzle with its one solution.
  public struct Puzzle: Sendable, Equatable {
    /// The clues.
    public let puzzle: SudokuGrid
    /// The solved grid.
    public let solution: SudokuGrid

    /// - Parameter puzzle: the clues.
    /// - Throws: `SudokuError` if there is no solution, or more than one.
    public init(_ puzzle: SudokuGrid) throws(SudokuError) {
      self.puzzle = puzzle
      solution = try puzzle.solution()
    }

    /// What is given, nil where a cell is empty.
    public var template: [Int32?] { puzzle.cells.map { $0 == 0 ? nil : Int32($0) } }
  }

  /// What stands around the cells of a grid in a model's sequences.
  ///
  /// Rotary positions tell how far tokens are from each other, not where they are: whoever sees few cells cannot tell the
  /// neighbour in a row from the end of the row above. Under attention along an order, tokens at known places say it.
  public enum Frame: Sendable, Equatable, CaseIterable {
    /// Nothing, as in the authors' sequences.
    case none
    /// `[BOS]` before them and `[EOS]` behind them.
    case textEnds

    /// The frame, and the side of the grids, of a model's sequences; nil if no grid fits.
    ///
    /// - Parameter length: tokens of a sequence.
    public static func fitting(length: Int) -> (frame: Frame, side: Int)? {
      for frame in allCases {
        if let side = SudokuGrid.sides.first(where: { $0 * $0 + 2 * frame.width == length }) { return (frame, side) }
      }
      return nil
    }

    /// Tokens before the first cell, and behind the last one.
    public var width: Int { self == .none ? 0 : 1 }

    /// The sequence of a grid.
    ///
    /// - Parameter cells: row by row, nil where a cell is empty.
    public func around(_ cells: [Int32?]) -> [Int32?] {
      let tokenizer = SudokuTokenizer()
      return self == .none ? cells : [tokenizer.beginningOfText] + cells + [tokenizer.endOfText]
    }

    /// The cells of a sequence.
    public func cells(of tokens: some Collection<Int32>) -> [Int] {
      tokens.dropFirst(width).dropLast(width).map(Int.init)
    }
  }

  /// Which cells are written when, and how often.
  public struct Plan {
    /// What it is called in tables.
    public let name: String
    /// How many answers are written to each puzzle: the likeliest of them counts.
    public let attempts: Int
    /// Whether cells are chosen by what the network thinks of them.
    public let isAdaptive: Bool
    /// What is asked of a puzzle's template.
    let request: ([Int32?]) throws -> GenerationRequest

    /// - Parameters:
    ///   - name: what it is called in tables.
    ///   - attempts: how many answers are written to each puzzle, each by draws of its own.
    ///   - isAdaptive: whether cells are chosen by what the network thinks of them.
    ///   - request: what is asked of a puzzle's template.
    public init(
      _ name: String, attempts: Int = 1, isAdaptive: Bool = false,
      request: @escaping ([Int32?]) throws -> GenerationRequest
    ) {
      self.name = name
      self.attempts = attempts
      self.isAdaptive = isAdaptive
      self.request = request
    }

    /// The plans that are compared: random order, left to right, and where the network is surest by each measure.
    ///
    /// - Parameters:
    ///   - cells: cells of a network call; each number makes plans of its own.
    ///   - attempts: more than one adds the best of so many answers in random order, by their exact log-probability.
    ///   - picker: how digits are drawn.
    ///   - seed: the seed of all draws.
    public static func usual(cells: [Int], attempts: Int, picker: TokenPicker, seed: UInt64) -> [Plan] {
      func calls(_ template: [Int32?], _ cells: Int) -> Int {
        let holes = template.count { $0 == nil }
        return (holes + cells - 1) / cells
      }
      func fixed(_ schedule: GenerationRequest.Schedule, _ cells: Int) -> ([Int32?]) -> GenerationRequest {
        { template in
          GenerationRequest(
            template: template, steps: calls(template, cells), schedule: schedule, picker: picker, seed: seed)
        }
      }
      let plans = cells.flatMap { count in
        let suffix = count == 1 ? "" : ", \(count) cells a call"
        let adaptive = AdaptiveChoice.Measure.allCases.map { measure in
          Plan("surest by \(measure.rawValue)\(suffix)", isAdaptive: true) { template in
            GenerationRequest(
              template: template, schedule: .adaptive,
              // Every empty cell is a candidate.
              choice: try AdaptiveChoice(measure, calls: calls(template, count), window: template.count),
              picker: picker, seed: seed)
          }
        }
        return [
          Plan("random order\(suffix)", request: fixed(.blockShuffled, count)),
          Plan("left to right\(suffix)", request: fixed(.leftToRight, count)),
        ] + adaptive
      }
      guard attempts > 1 else { return plans }
      return plans + [
        Plan("random order, best of \(attempts)", attempts: attempts, request: fixed(.blockShuffled, 1))
      ]
    }
  }

  /// What was written to a puzzle.
  public struct Answer {
    /// The puzzle.
    public let puzzle: Puzzle
    /// How it was written: of several attempts the likeliest.
    public let generation: Generation
    /// Network calls of all attempts.
    public let calls: Int
    /// What stands around the cells.
    public let frame: Frame

    /// What was written, row by row.
    public var cells: [Int] { frame.cells(of: generation.tokens) }

    /// The cells that each call wrote.
    public var writtenCells: [[Int]] { generation.history.map { $0.positions.map { $0 - frame.width } } }

    /// Whether every digit is right.
    public var isSolved: Bool { cells == puzzle.solution.cells }

    /// How many of the empty cells have the right digit.
    public var rightCount: Int {
      zip(puzzle.puzzle.cells, zip(cells, puzzle.solution.cells)).count { $0 == 0 && $1.0 == $1.1 }
    }
  }

  /// How a plan did on puzzles with a number of clues.
  public struct Outcome: Encodable, Sendable, Equatable {
    /// The plan's name.
    public let plan: String
    /// Clues of each puzzle.
    public let clues: Int
    /// How many puzzles.
    public let puzzles: Int
    /// The share that was solved, and its standard error.
    public let solved: Double
    /// The standard error of the share.
    public let solvedError: Double
    /// The share of empty cells that have the right digit.
    public let cellsRight: Double
    /// Network calls of a puzzle, of all attempts.
    public let callsPerPuzzle: Double
    /// Seconds of a puzzle, beside others of its batch.
    public let secondsPerPuzzle: Double

    /// - Parameters:
    ///   - plan: the plan's name.
    ///   - clues: of each puzzle.
    ///   - answers: at least one.
    ///   - seconds: that writing them took.
    public init(plan: String, clues: Int, _ answers: [Answer], seconds: Double) {
      let count = Double(answers.count)
      self.plan = plan
      self.clues = clues
      puzzles = answers.count
      solved = Double(answers.count(where: \.isSolved)) / count
      solvedError = (solved * (1 - solved) / count).squareRoot()
      let cells = answers.reduce(0) { $0 + $1.puzzle.template.count { $0 == nil } }
      cellsRight = Double(answers.reduce(0) { $0 + $1.rightCount }) / Double(cells)
      callsPerPuzzle = Double(answers.reduce(0) { $0 + $1.calls }) / count
      secondsPerPuzzle = seconds / count
    }
  }

  /// What writes.
  public let network: CachedTransformer
  /// How it is asked to.
  public let method: any GenerationMethod
  /// What stands around cells in what it was trained on.
  public let frame: Frame
  /// How many answers are written at a time.
  public let batch: Int

  /// An evaluation of a network under a method.
  ///
  /// - Parameters:
  ///   - network: what writes.
  ///   - method: how it is asked to.
  ///   - frame: what stands around cells in what it was trained on.
  ///   - batch: how many answers are written at a time.
  public init(_ network: CachedTransformer, method: any GenerationMethod, frame: Frame = .none, batch: Int = 8) {
    self.network = network
    self.method = method
    self.frame = frame
    self.batch = batch
  }

  /// Throws an ``EsoLM/ConfigurationError`` if the method has no such plan.
  ///
  /// - Parameters:
  ///   - plan: the plan.
  ///   - puzzle: what it would solve.
  public func check(_ plan: Plan, on puzzle: Puzzle) throws {
    _ = try generation(puzzle, by: plan, number: 0)
  }

  /// An answer before anything is written.
  ///
  /// - Parameters:
  ///   - puzzle: what is to be solved.
  ///   - plan: which cells are written when.
  ///   - number: which answer of the plan's seed it is.
  /// - Throws: ``EsoLM/ConfigurationError`` if the method has no such plan.
  public func generation(_ puzzle: Puzzle, by plan: Plan, number: Int) throws -> Generation {
    var request = try plan.request(frame.around(puzzle.template))
    request.number = number
    request.alternativeCount = puzzle.puzzle.side
    return try method.generation(request, for: network.configuration)
  }

  /// Solves puzzles.
  ///
  /// - Parameters:
  ///   - puzzles: what is to be solved, at least one.
  ///   - plan: which cells are written when.
  ///   - progress: called with the share that is written.
  /// - Returns: the answers in the puzzles' order, and the seconds that writing them took.
  /// - Throws: ``EsoLM/ConfigurationError`` if the method has no such plan, ``EsoLM/LogitsError``.
  public func answers(
    to puzzles: [Puzzle], by plan: Plan, progress: (Double) -> Void = { _ in }
  ) throws -> (answers: [Answer], seconds: Double) {
    let sampler = Sampler(network, places: batch)
    for (index, puzzle) in puzzles.enumerated() {
      for attempt in 0..<plan.attempts {
        sampler.add(try generation(puzzle, by: plan, number: index * plan.attempts + attempt))
      }
    }
    let start = ContinuousClock.now
    var finished = 0
    let generations = try sampler.finish { step in
      guard step.finished != nil else { return }
      finished += 1
      progress(Double(finished) / Double(puzzles.count * plan.attempts))
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let answers = puzzles.enumerated().map { index, puzzle in
      let own = generations[index * plan.attempts..<(index + 1) * plan.attempts]
      return Answer(
        puzzle: puzzle, generation: own.max { $0.modelLogProbability < $1.modelLogProbability }!,
        calls: own.reduce(0) { $0 + $1.networkCalls }, frame: frame)
    }
    return (answers, seconds)
  }
}
