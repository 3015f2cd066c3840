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
///
/// It is Eso-LM (A), in which every cell sees all others, of a width that learnt with every seed tried (the article on Sudokus).
struct SudokuDemo {
  /// The run folder to make; the grids are written beside it.
  let out: String
  let steps: Int
  let seed: UInt64
  let device: Device

  private static let side = 4
  private static let clues = 6
  private static let frame = SudokuEvaluation.Frame.textEnds

  /// Its run and its grids, beside another run.
  static func paths(beside run: String) -> [String] { ["\(run)-sudoku", "\(run)-sudoku.txt"] }

  /// Makes what is to be trained.
  func trainer() throws -> Trainer {
    let path = "\(out).txt"
    let grids = try SudokuGrid.drawn(SudokuGrid.all.count, side: Self.side, seed: seed)
    _ = try Folder.make(Folder.split(path).folder)
    try AtomicFile.write(Data(grids.map { $0.text + "\n" }.joined().utf8), to: path)
    let tokenizer = SudokuTokenizer()
    let description = CorpusConfiguration(
      source: CorpusSource(paths: [try absolutePath(path)], format: .text(documents: .line)),
      validation: .share(1.0 / 3),
      packing: .framed, appendsEndOfText: false)
    let length = Self.side * Self.side + 2 * Self.frame.width
    let corpus = try Corpus(description, length: length, tokenizer: tokenizer, seed: seed)
    var training = TrainingConfiguration()
    training.steps = steps
    training.batchSize = 128
    training.seed = seed
    training.learningRates = LearningRateSchedule(peak: 2e-3, warmupSteps: min(50, steps / 10))
    training.learningRates.decay = .cosine
    training.learningRates.finalShare = 0.05
    training.emaDecay = 0.99
    // Without it, and without dropout, so few grids are learnt by heart.
    training.weightDecay = 0.3
    training.validationInterval = max(1, steps / 5)
    training.validationSequences = corpus.validation.count
    training.saveInterval = steps
    let configuration = RunConfiguration(
      method: MethodConfiguration(algorithm: .esolmA, alpha0: 1, length: length),
      model: TransformerConfiguration(
        vocabularySize: tokenizer.modelVocabularySize, maskToken: tokenizer.modelMaskToken, hiddenSize: 128,
        numBlocks: 3, numHeads: 4, dropout: 0.1),
      data: DataConfiguration(
        source: .corpus(description, fingerprint: corpus.fingerprint), validationFraction: 1.0 / 3),
      training: training)
    return try Trainer(creating: out, configuration: configuration, tokenizer: tokenizer, data: corpus, device: device)
  }

  /// What came of training, in words.
  func report(_ trainer: Trainer) throws -> String {
    let unseen = try trainer.data.validation.map { try SudokuGrid(cells: Self.frame.cells(of: $0)) }
    let puzzles = try SudokuGrid.puzzles(of: unseen, clues: Self.clues, seed: seed).map {
      try SudokuEvaluation.Puzzle($0)
    }
    let evaluation = SudokuEvaluation(
      CachedTransformer(trainer.learner.average.transformer()), method: trainer.run.method, frame: Self.frame, batch: 32
    )
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

  /// A puzzle beside its answer and the calls that wrote it; wrong digits are marked.
  private static func text(_ answer: SudokuEvaluation.Answer) -> String {
    let (puzzle, solution) = (answer.puzzle.puzzle, answer.puzzle.solution)
    var calls = [Int](repeating: 0, count: puzzle.cells.count)
    for (call, cells) in answer.writtenCells.enumerated() {
      for cell in cells { calls[cell] = call + 1 }
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
            let digit = answer.cells[$0]
            return digit == solution[$0] ? "\(digit)" : "✗\(digit)"
          },
          line { calls[$0] == 0 ? "" : "\(calls[$0])" },
        ].joined(separator: "      ")
    }.joined(separator: "\n")
  }
}
