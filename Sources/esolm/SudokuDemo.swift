import Corpora
import EsoLM
import Evaluation
import Files
import Foundation
import Runs
import Tokenizers
import Tool
import Torch
import Training

/// The demo's second part: a model learns two thirds of the 288 solved Sudokus of side 4 and solves puzzles made of the
/// others, in one order of writing and another.
struct SudokuDemo {
  /// The run folder to make; the grids are written beside it.
  let out: String
  let steps: Int
  let seed: UInt64
  let device: Device

  private static let side = 4
  private static let clues = 6

  /// Trains, and tells what came out; nil if training was interrupted.
  func run() throws -> String? {
    let path = "\(out).txt"
    let grids = try SudokuGrid.drawn(SudokuGrid.all.count, side: Self.side, seed: seed)
    _ = try Folder.make(Folder.split(path).folder)
    try AtomicFile.write(Data(grids.map { $0.text + "\n" }.joined().utf8), to: path)
    let trainer = try trainer(path)
    let kept = trainer.data.validation
    try printOutput(
      "Training Eso-LM (B), \(Format.count(Double(trainer.learner.model.parameterCount))) parameters, α₀ = 1, on "
        + "\(trainer.data.training.count) of the \(grids.count) Sudokus of side 4 (\(steps) steps)\n")
    try TrainingView().run(trainer)
    guard !Interrupt.shared.wasRequested else { return nil }

    let unseen = try kept.map { try SudokuGrid(cells: $0.map(Int.init)) }
    let puzzles = try SudokuGrid.puzzles(of: unseen, clues: Self.clues, seed: seed).map {
      try SudokuEvaluation.Puzzle($0)
    }
    let evaluation = SudokuEvaluation(
      CachedTransformer(trainer.learner.average.transformer()), method: trainer.run.method, batch: 32)
    // The likeliest digit: a puzzle has one answer.
    let picker = try TokenPicker(temperature: 0)
    var (table, shown) = (Table(SudokuPage.headings), "")
    for plan in SudokuEvaluation.Plan.usual(cells: [1, 3], attempts: 1, picker: picker, seed: seed) {
      let (answers, seconds) = try evaluation.answers(to: puzzles, by: plan)
      table.add(SudokuEvaluation.Outcome(plan: plan.name, clues: Self.clues, answers, seconds: seconds).row)
      if shown.isEmpty, plan.isAdaptive { shown = answers.prefix(3).map(Self.text).joined(separator: "\n\n") }
    }
    return """

      Puzzles with one solution, made of the \(unseen.count) grids that it never saw; calls and ms of a puzzle:
      \(table.text)

      A puzzle, the answer, and in which call each cell was written (where the network was surest by entropy):

      \(shown)

      """
  }

  private func trainer(_ path: String) throws -> Trainer {
    let tokenizer = SudokuTokenizer()
    let source = CorpusSource(paths: [absolutePath(path)], format: .text(documents: .line))
    let description = CorpusConfiguration(
      source: source, validation: .share(1.0 / 3), packing: .continuous, appendsEndOfText: false)
    let length = Self.side * Self.side
    let corpus = try Corpus(description, length: length, tokenizer: tokenizer, seed: seed)
    var training = TrainingConfiguration()
    training.steps = steps
    training.batchSize = 64
    training.seed = seed
    training.learningRate = 2e-3
    training.warmupSteps = min(50, steps / 10)
    training.emaDecay = 0.99
    training.validationInterval = max(1, steps / 3)
    training.validationSequences = corpus.validation.count
    training.saveInterval = steps
    var model = TransformerConfiguration.quick(for: tokenizer)
    // So few grids would be learnt by heart.
    model.dropout = 0.1
    let configuration = RunConfiguration(
      method: MethodConfiguration(alpha0: 1, length: length), model: model,
      data: DataConfiguration(
        source: .corpus(description, fingerprint: corpus.fingerprint), validationFraction: 1.0 / 3),
      training: training)
    return try Trainer(creating: out, configuration: configuration, tokenizer: tokenizer, data: corpus, device: device)
  }

  /// A puzzle beside its answer and the calls that wrote it; wrong digits are marked.
  private static func text(_ answer: SudokuEvaluation.Answer) -> String {
    let (puzzle, solution) = (answer.puzzle.puzzle, answer.puzzle.solution)
    var calls = [Int](repeating: 0, count: puzzle.cells.count)
    for (call, written) in answer.generation.history.enumerated() {
      for cell in written.positions { calls[cell] = call + 1 }
    }
    return (0..<side).map { row in
      let cells = row * side..<(row + 1) * side
      func line(_ text: (Int) -> String) -> String {
        cells.map { cell in
          let padded = String(repeating: " ", count: max(0, 3 - text(cell).count)) + text(cell)
          return padded + (cell % side == 1 ? " │" : "")
        }.joined()
      }
      return "  "
        + [
          line { puzzle[$0] == 0 ? "·" : "\(puzzle[$0])" },
          line {
            let digit = Int(answer.generation.tokens[$0])
            return digit == solution[$0] ? "\(digit)" : "✗\(digit)"
          },
          line { calls[$0] == 0 ? "" : "\(calls[$0])" },
        ].joined(separator: "      ")
    }.joined(separator: "\n")
  }
}
