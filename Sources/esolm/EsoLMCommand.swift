import ArgumentParser
import Tool
import Torch

/// The command line tool. Commands are thin: they read options, call the library and print.
@main
package struct EsoLMCommand: ParsableCommand {
  package init() {}

  package static let configuration = CommandConfiguration(
    commandName: "esolm",
    abstract: "Train, evaluate and sample Eso-LMs: part masked diffusion, part left to right.",
    version: "\(release) (libtorch \(Torch.version))",
    subcommands: [
      Train.self, Sample.self, Serve.self, Evaluate.self, Compare.self, Tokenize.self, Detokenize.self,
      TokenizerCommand.self,
      ListDataSets.self, Sudoku.self, Inspect.self, Convert.self, Plot.self, Bench.self, Verify.self, Demo.self,
    ])

  static let release = "0.1.0"

  package static func main() { runAsTool() }
}
