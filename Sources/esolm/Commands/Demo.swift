import ArgumentParser
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

/// Trains a small Eso-LM (B) and shows what it can do: how close it comes to the best possible perplexity, what the
/// cache saves, and what writing many tokens at once costs in quality.
struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Train a small Eso-LM in a few minutes and show what it can do.",
    discussion: """
      Without --data it learns a built-in toy language, whose true probabilities are known: so the demo can tell how \
      far the model is from the best possible one, and which share of its sentences is grammatical. A second model \
      learns two thirds of all Sudokus of side 4 and solves puzzles made of the others.
      """)

  @Option(
    help: ArgumentHelp(
      "A text file, or one of JSON lines, to learn from instead of the toy language.", valueName: "file"))
  var data: String?

  @Option(help: ArgumentHelp("The run folder to make. (default: runs/demo, runs/demo-2, …)", valueName: "run"))
  var out: String?

  @Option(help: "Training steps.")
  var steps = 640

  @Option(help: "Training steps of the Sudoku model; 0 leaves it out, as --data does.")
  var sudokuSteps = 1500

  @Option(name: .customLong("alpha0"), help: "Share of tokens that diffusion writes in training.")
  var alpha0 = 0.5

  @Option(help: "The seed.")
  var seed: UInt64 = 1

  @OptionGroup var device: DeviceOptions

  private static let length = 128

  func validate() throws {
    try require("steps", steps, in: 1...)
    try require("sudoku-steps", sudokuSteps, in: 0...)
    try require("alpha0", alpha0, in: 0...1)
  }

  func run() throws {
    try device.apply()
    Torch.keepMemory()
    let out = out ?? freeFolder()
    // Not found out after minutes of training.
    if isSolving, let taken = SudokuDemo.paths(beside: out).first(where: FileManager.default.fileExists) {
      throw FileError("\(taken) exists, where the Sudoku model is to be; name another --out, or give --sudoku-steps 0")
    }
    let trainer = try makeTrainer(out)
    try printOutput(
      "Training Eso-LM (B), \(Format.count(Double(trainer.learner.model.parameterCount))) parameters, α₀ = \(alpha0), "
        + "on \(data ?? "the toy language") (\(steps) steps)\n")
    guard try train(trainer) else { return }
    let report = DemoReport(trainer, isToyLanguage: data == nil, seed: seed)
    try printOutput(try report.perplexities())
    try printOutput(report.sampling())
    try printOutput(report.longSequences())
    let path = trainer.run.path
    try solveSudokus(beside: path)
    try printOutput("The run is in \(path). Try: esolm sample \(path) --watch --alpha0 1 --steps 32")
  }

  private var isSolving: Bool { data == nil && sudokuSteps > 0 }

  /// Trains; false if that was interrupted.
  private func train(_ trainer: Trainer) throws -> Bool {
    var view = TrainingView(device: device.device)
    try Interrupt.shared.noting {
      try trainer.train(shouldStop: { Interrupt.shared.wasRequested }) { view.show($0) }
    }
    view.clear()
    guard Interrupt.shared.wasRequested else { return true }
    printError("stopped at step \(trainer.learner.step), saved; go on with: esolm train --resume \(trainer.run.path)")
    return false
  }

  private func solveSudokus(beside path: String) throws {
    guard isSolving else { return }
    let demo = SudokuDemo(out: SudokuDemo.paths(beside: path)[0], steps: sudokuSteps, seed: seed, device: device.device)
    let trainer = try demo.trainer()
    let grids = trainer.data.training.count
    try printOutput(
      "Training Eso-LM (A), \(Format.count(Double(trainer.learner.model.parameterCount))) parameters, α₀ = 1, on \(grids) of "
        + "the \(grids + trainer.data.validation.count) Sudokus of side 4 (\(sudokuSteps) steps)\n")
    guard try train(trainer) else { return }
    try printOutput(demo.report(trainer))
    try printOutput("Try: esolm eval sudoku \(demo.out) --temperature 0 --out sudoku.html\n")
  }

  private func makeTrainer(_ out: String) throws -> Trainer {
    let share = data == nil ? 0.01 : 0.1
    let description = try data.map { try CorpusConfiguration(file: $0, validationFraction: share) }
    let tokenizer = try description?.tokenizer(nil) ?? ToyLanguage.tokenizer
    let corpus = try description.map {
      try Corpus($0, length: Self.length, tokenizer: tokenizer, seed: seed, progress: TokenizationView.show())
    }
    let source =
      description.map { DataConfiguration.Source.corpus($0, fingerprint: corpus!.fingerprint) }
      ?? .toyLanguage(sequences: 32_000, seed: seed)
    var training = TrainingConfiguration()
    training.steps = steps
    training.seed = seed
    training.learningRate = 2e-3
    training.warmupSteps = min(50, steps / 10)
    training.emaDecay = 0.99
    training.validationInterval = 200
    training.validationSequences = 128
    let configuration = RunConfiguration(
      method: MethodConfiguration(alpha0: alpha0, length: Self.length),
      model: .quick(for: tokenizer),
      data: DataConfiguration(source: source, validationFraction: share),
      training: training)
    let trainer = try Trainer(
      creating: out, configuration: configuration, tokenizer: tokenizer, data: corpus,
      device: device.device)
    try description?.reportReading(into: corpus!.files)
    return trainer
  }

  private func freeFolder() -> String {
    let names = sequence(first: 1) { $0 + 1 }.lazy.map { $0 == 1 ? "runs/demo" : "runs/demo-\($0)" }
    return names.first { name in
      ([name] + SudokuDemo.paths(beside: name)).allSatisfy { !FileManager.default.fileExists(atPath: $0) }
    }!
  }
}
