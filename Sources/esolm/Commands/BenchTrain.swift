import ArgumentParser
import Comparison
import EsoLM
import Foundation
import Runs
import Tool
import Torch
import Training

struct BenchTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Measure what a training step costs, stage by stage, against what it must cost at least.",
    discussion: """
      Weights and tokens are random. The floor of the products is their operations at the machine's matrix rate, which is \
      measured between the steps: 6 for each weight of a block and each row, 6 for each weight of the output layer and each \
      row that predicts something, 12 · width for each query and each key that it sees. The floor of the update is reading \
      and writing 10 numbers for each weight at the measured bandwidth. The last line is JSON.
      """)

  @Option(help: ArgumentHelp("The method, as in esolm-b:0.25, ar, mdlm or bd3lm:16.", valueName: "name"))
  var method = "esolm-b:0.25"

  @Option(name: .customLong("model"), help: "The network's size: tiny, small or medium.")
  var size: TransformerConfiguration.Size = .small

  @Option(help: ArgumentHelp("Width of the network.", valueName: "d"))
  var hiddenSize: Int?

  @Option(help: ArgumentHelp("Transformer blocks.", valueName: "count"))
  var blocks: Int?

  @Option(help: ArgumentHelp("Attention heads.", valueName: "count"))
  var heads: Int?

  @Option(help: "Tokens of the vocabulary, the mask included.")
  var vocabulary = 50258

  @Option(help: ArgumentHelp("Chance of dropout. (default: the size's)", valueName: "share"))
  var dropout: Double?

  @Option(help: "Tokens of a sequence.")
  var length = 512

  @Option(help: "Sequences of a step.")
  var batch = 4

  @Option(help: ArgumentHelp("Sequences that are computed at a time. (default: all)", valueName: "count"))
  var microBatch: Int?

  @Flag(name: .customLong("bf16"), help: "Compute matrix products in bfloat16.")
  var bfloat16 = false

  @Flag(help: "Compute blocks anew for the backward pass.")
  var recompute = false

  @Option(help: "Steps that are timed.")
  var steps = 3

  @OptionGroup var device: DeviceOptions

  private func contestant() throws -> Contestant {
    guard let contestant = Contestant(method) else {
      throw ValidationError("--method is \(method), expected one of \(Contestant.forms.joined(separator: ", "))")
    }
    return contestant
  }

  private var model: TransformerConfiguration {
    var model = TransformerConfiguration(size, vocabularySize: vocabulary)
    if let hiddenSize { model.hiddenSize = hiddenSize }
    if let blocks { model.numBlocks = blocks }
    if let heads { model.numHeads = heads }
    if let dropout { model.dropout = dropout }
    return model
  }

  private var training: TrainingConfiguration {
    var training = TrainingConfiguration()
    training.batchSize = batch
    training.microBatchSize = microBatch
    training.bfloat16 = bfloat16
    training.recomputes = recompute
    training.warmupSteps = 0
    return training
  }

  func validate() throws {
    try require("vocabulary", vocabulary, in: 2...(1 << 20))
    try require("length", length, in: 2...(1 << 20))
    try require("steps", steps, in: 1...10_000)
    try asUsage { try configuration.validate() }
  }

  private var configuration: RunConfiguration {
    get throws {
      RunConfiguration(
        method: try contestant().configuration(length: length), model: model,
        data: DataConfiguration(source: .toyLanguage(sequences: 2, seed: 0)), training: training)
    }
  }

  private struct Output: Encodable {
    let result: TrainingBenchmark.Result
    let peakBytes: Int
    let bfloat16: Bool
    let recompute: Bool

    func encode(to encoder: any Encoder) throws {
      try result.encode(to: encoder)
      var fields = encoder.container(keyedBy: Keys.self)
      try fields.encode(peakBytes, forKey: .peakBytes)
      try fields.encode(bfloat16, forKey: .bfloat16)
      try fields.encode(recompute, forKey: .recompute)
    }

    private enum Keys: CodingKey { case peakBytes, bfloat16, recompute }
  }

  func run() throws {
    try device.apply()
    if device.device == .cpu { try MemoryShortage.check(configuration) }
    Torch.keepMemory()
    var line = ShareLine()
    let benchmark = TrainingBenchmark(
      model: model, contestant: try contestant(), length: length, training: training, device: device.device)
    let result = try benchmark.measure(steps: steps) { line.show("training", $0, "\(steps) steps") }
    line.clear()
    var table = Table(["stage", "ms", "floor, ms", "of floor"])
    for stage in result.stages {
      table.add([
        stage.name, Format.number(1000 * stage.seconds, digits: 1),
        stage.floorSeconds.map { Format.number(1000 * $0, digits: 1) } ?? "–",
        stage.floorSeconds.map { Format.number(stage.seconds / $0, digits: 2) + "×" } ?? "–",
      ])
    }
    try printOutput(
      """
      \(try contestant().title), batch \(batch), L = \(length), \(device.device.place): \
      \(Format.number(1000 * result.secondsPerStep, digits: 0)) ms a step, \
      \(Format.number(result.tokensPerSecond, digits: 1)) tokens/s, \
      \(Format.number(result.operations / 1e12, digits: 3)) TFLOP a step at \
      \(Format.number(result.operations / result.secondsPerStep / 1e9, digits: 0)) of \
      \(Format.number(result.matrixRate / 1e9, digits: 0)) GFLOP/s (\(Format.percent(result.shareOfMatrixRate))), \
      at most \(Format.number(Double(ProcessMemory.peak) / 1e9)) GB of memory

      \(table.text)
      """)
    try printJSON(
      Output(result: result, peakBytes: ProcessMemory.peak, bfloat16: bfloat16, recompute: recompute), onOneLine: true)
  }
}
