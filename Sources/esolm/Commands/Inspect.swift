import ArgumentParser
import Checkpoints
import Foundation
import Tool

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds and what of it would load.",
    discussion: """
      Reads Lightning checkpoints (.ckpt), files of torch.save, Hugging Face folders, safetensors files and runs. \
      Nothing in a file is executed, whatever it claims to be.

        esolm inspect last.ckpt
        esolm inspect --from-hub OWNER/NAME --json
      """)

  @Argument(help: ArgumentHelp("The file or folder.", valueName: "file"))
  var path: String?

  @OptionGroup var checkpoint: CheckpointOptions
  @OptionGroup(title: "What the file leaves unsaid") var settings: SettingsOptions

  @Flag(help: "Print everything as JSON.")
  var json = false

  func run() throws {
    guard (path == nil) != (checkpoint.fromHub == nil) else {
      throw ValidationError("name a file or folder, or a repository with --from-hub, one of the two")
    }
    let path = try checkpoint.path(path)
    var line = ShareLine()
    line.show("opening \(path)", nil)
    defer { line.clear() }
    let input = try Checkpoint(opening: path, field: checkpoint.stateDict)
    line.clear()
    let summary = CheckpointSummary(input, given: settings.settings)
    if json { try printJSON(summary) } else { try printOutput(text(summary)) }
  }

  private func text(_ summary: CheckpointSummary) -> String {
    var lines = ["\(summary.path): \(summary.form.name)" + (summary.step.map { ", step \($0)" } ?? "")]
    lines.append(
      "  weights: \(summary.tensors.count) tensors, \(summary.parameters) parameters"
        + (summary.precision.map { ", in \($0.rawValue), for sampling and evaluation" } ?? ""))
    if summary.hasAverage {
      lines.append(
        "  moving average of the weights" + (summary.averageDecay.map { ", decay \($0)" } ?? "")
          + (summary.averageUpdates.map { ", \($0) updates" } ?? ""))
    }
    if let network = summary.network, let method = summary.method {
      let conditioning = network.conditioningSize.map { "conditioning \($0)" } ?? "no modulation"
      lines.append(
        "  loads as \(method.algorithm.rawValue)" + (method.alpha0.map { ", alpha0 \($0)" } ?? "")
          + (method.prepend.map { ", prepend \($0.rawValue)" } ?? "")
          + (method.blockSize.map { ", blocks of \($0)" } ?? "")
          + (method.noiseRange.map { ", times \($0)" } ?? "")
          + (method.keepsFirstToken == true ? ", first token given" : "")
          + ", length \(method.length): width \(network.hiddenSize), \(network.numBlocks) blocks, "
          + "\(network.numHeads) heads, \(conditioning), vocabulary \(network.vocabularySize), "
          + "mask \(network.maskToken)")
    } else {
      lines.append("  does not load:")
      lines += summary.problems.map { "    \($0.oneLine)" }
    }
    if let note = summary.note { lines.append("  note: \(note)") }
    var table = Table(["tensor", "type", "shape"])
    for tensor in summary.tensors + summary.buffers {
      table.add([tensor.name.oneLine, tensor.dtype, tensor.shape.map(String.init).joined(separator: " × ")])
    }
    lines += ["", table.text]
    let leaves = summary.hyperParameters.leaves.filter { !$0.path.isEmpty }
    if !leaves.isEmpty {
      lines += ["", "  hyper-parameters"]
      lines += leaves.map { "    \($0.path.oneLine): \($0.value.description.oneLine)" }
    }
    return lines.joined(separator: "\n")
  }
}

extension Checkpoint.Form {
  fileprivate var name: String {
    switch self {
    case .run: "run folder"
    case .huggingFace: "Hugging Face folder"
    case .lightning: "Lightning checkpoint"
    case .stateDictionary: "state dictionary of torch.save"
    case .safetensors: "safetensors file"
    }
  }
}

extension String {
  /// On one line and not too long: it comes from a file and may be anything.
  fileprivate var oneLine: String {
    let limit = 400
    let shown = unicodeScalars.prefix(limit).map { $0.properties.generalCategory == .control ? " " : Character($0) }
    return String(shown) + (unicodeScalars.dropFirst(limit).isEmpty ? "" : "…")
  }
}
