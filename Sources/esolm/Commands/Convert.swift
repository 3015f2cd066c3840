import ArgumentParser
import Checkpoints
import EsoLM
import Foundation
import Runs
import Tokenizers
import Tool
import Torch

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn a checkpoint of the field into a run, or a run into a form of the field.",
    discussion: """
      Reads what `esolm inspect` reads. Writes a run folder, which `sample`, `eval` and `train --init-from` take; a \
      Hugging Face folder (config.json and model.safetensors under the names of the published classes); or one \
      safetensors file. Tensors that are missing, unknown or of another shape are listed all at once.

        esolm convert last.ckpt runs/theirs
        esolm convert runs/mine mine-hf --to hugging-face
        esolm convert --from-hub OWNER/NAME runs/theirs
        esolm convert runs/mine runs/mine-int8 --precision int8

      With --precision, a run's weights are rounded as sampling with that precision would: a folder for `sample` \
      and `eval` in which matrices take half (bf16) or a quarter (int8) of the space, and which is read without a copy.
      """)

  @Argument(
    help: ArgumentHelp("The file or folder to read (not with --from-hub), and what to write.", valueName: "in out"))
  var paths: [String]

  @Option(help: "What to write: run, hugging-face or safetensors. (default: safetensors if OUT ends so, else run)")
  var to: Conversion.Target?

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup(title: "What the file leaves unsaid") var settings: SettingsOptions

  @Option(
    help: ArgumentHelp(
      "The files of a tokenizer for the run, or their folder. (default: the one beside the weights, else tokens are written as numbers)",
      valueName: "file"))
  var tokenizer: String?

  @Flag(name: .customLong("raw-weights"), help: "Write the last step's weights instead of their moving average.")
  var rawWeights = false

  @Option(help: "Write a run's weights rounded, for sampling and evaluation: bf16 or int8.")
  var precision: Precision?

  @Flag(help: "Print what was written as JSON.")
  var json = false

  private var output: String { paths.last! }

  func run() throws {
    let expected = checkpoint.fromHub == nil ? 2 : 1
    guard paths.count == expected else {
      throw ValidationError(
        expected == 2
          ? "\(paths.count) paths are given, expected two: what to read and what to write"
          : "\(paths.count) paths are given, expected one with --from-hub: what to write")
    }
    if let precision { return try round(to: precision) }
    let target = to ?? (output.hasSuffix(".safetensors") ? .safetensors : .run)
    let tokenizer = try tokenizer.map { try TokenizerFile.tokenizer(at: $0) }
    let path = try checkpoint.path(checkpoint.fromHub == nil ? paths[0] : nil)
    var line = ShareLine()
    defer { line.clear() }
    line.show("opening \(path)", nil)
    let input = try Checkpoint(opening: path, field: checkpoint.stateDict)
    line.clear()
    let conversion = try Conversion(input, given: settings.settings, tokenizer: tokenizer)
    try conversion.write(to: output, as: target, weights: rawWeights ? .model : .average) { line.show("writing", $0) }
    line.clear()
    let report = Report(
      input: input.path, output: output, form: target, algorithm: conversion.method.algorithm.rawValue,
      step: input.step, parameters: input.parameterCount,
      weights: input.average == nil ? .only : target == .run ? .both : rawWeights ? .lastStep : .average,
      hasTokenizer: target == .run || target == .huggingFace && conversion.tokenizer != nil)
    if json { try printJSON(report) } else { try printOutput(report.text) }
    guard target != .safetensors else { return }
    if let note = conversion.note { printError("esolm: note: \(note)") }
    if target == .run, conversion.tokenizer == nil {
      let reason = conversion.note == nil ? "no tokenizer was found, so " : ""
      printError("esolm: note: \(reason)text is token ids as numbers (--tokenizer)")
    }
  }

  private func round(to precision: Precision) throws {
    guard precision != .float32 else { throw ValidationError("--precision is float32, expected bf16 or int8") }
    guard checkpoint.fromHub == nil, to == nil || to == .run, tokenizer == nil, !output.hasSuffix(".safetensors") else {
      throw ValidationError("--precision rounds a run to a run folder: convert to a run first, then round that")
    }
    let run = try RunFolder(opening: paths[0])
    try run.write(rawWeights ? .model : .average, in: precision, to: output)
    let report = Report(
      input: paths[0], output: output, form: .run, algorithm: run.configuration.method.algorithm.rawValue,
      step: try run.savedStep(), parameters: ParameterLayout(run.configuration.model).count,
      weights: rawWeights ? .lastStep : .average, hasTokenizer: true, precision: precision)
    if json { try printJSON(report) } else { try printOutput(report.text) }
  }

  /// Which of the input's weights were written.
  private enum Weights: String, Encodable {
    case only = "the only ones"
    case both = "the last step's and their moving average"
    case lastStep = "the last step's"
    case average = "their moving average"
  }

  private struct Report: Encodable {
    var input: String
    var output: String
    var form: Conversion.Target
    var algorithm: String
    var step: Int?
    var parameters: Int
    var weights: Weights
    var hasTokenizer: Bool
    var precision: Precision?

    var text: String {
      let step = step.map { ", step \($0)" } ?? ""
      return "wrote \(output) (\(form.rawValue)): \(algorithm)\(step), \(parameters) parameters, "
        + "weights: \(weights.rawValue)" + (precision.map { ", in \($0.rawValue)" } ?? "")
    }
  }
}

extension Conversion.Target: ExpressibleByArgument {}
