import ArgumentParser
import Evaluation
import Foundation
import Tool

struct EvaluateEntropy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "entropy",
    abstract: "Measure how varied samples are: entropy, distinct n-grams, self-repetition.",
    discussion: """
      Entropy is that of a sample's histogram of tokens, in nats, averaged over samples. distinct-n is the share of \
      different n-grams among all n-grams of all samples. Self-repetition is the share of a sample's 4-grams that \
      occurred in it before, averaged over samples. All in the run's own tokens.
      """)

  @OptionGroup var samples: SampleOptions

  @Flag(help: "Print results as JSON.")
  var json = false

  func run() throws {
    let set = try samples.load()
    let summary = SampleSummary(set.tokens)
    if json { return try printJSON(Rebuildable(summary, try samples.recipe(of: set))) }
    var table = Table(["measure", "value"])
    for measure in Measure.of(summary) { table.add([measure.name, measure.text]) }
    try printOutput("\(set.origin)\n\(table.text)")
  }
}
