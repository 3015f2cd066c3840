import ArgumentParser
import EsoLM
import Reports
import Runs
import Tool

/// Of which run a likelihood is measured, and how: what the measures of given text have in common.
struct LikelihoodOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @OptionGroup var algorithm: AlgorithmOptions

  @Option(name: .customLong("alpha0"), help: "Eso-LM: share that diffusion writes. (default: the run's)")
  var alpha0: Double?

  @Option(help: "Sequences of one network pass.")
  var batch = 16

  @Option(help: "The seed of noise and orders.")
  var seed: UInt64 = 0

  @OptionGroup var weights: WeightOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("alpha0", alpha0, in: 0...1)
    try require("batch", batch, in: 1...(1 << 16))
  }

  /// Opens the run on the device that is asked for.
  func open() throws -> (run: RunFolder, likelihood: Likelihood) {
    try device.apply()
    let run = try RunFolder(opening: folder)
    return (
      run, try run.likelihood(weights, method: algorithm.method(of: run, alpha0: alpha0), device: device.device)
    )
  }

  /// How what is measured of the run on some data is made again.
  func recipe(data: String, of run: RunFolder) throws -> Recipe {
    Recipe(data: data, seed: seed, checkpoint: try weights.checkpoint(of: run), device: device.device)
  }
}

/// What of a text perplexity is computed of, and how closely.
struct BoundOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Compute exact perplexity too, with this many orders a sequence.", valueName: "K"))
  var orders: Int?

  @Option(help: ArgumentHelp("Use only the first sequences, of each set if there are several.", valueName: "count"))
  var maxSequences: Int?

  func validate() throws {
    try require("orders", orders, in: 1...(1 << 20))
    try require("max-sequences", maxSequences, in: 1...)
  }
}
