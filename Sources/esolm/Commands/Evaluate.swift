import ArgumentParser

/// The measures of the paper, and the report that holds them all.
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measure a run: perplexity, samples, multiple choice.",
    discussion: """
      `esolm eval RUN` is `esolm eval ppl RUN`. Evaluation uses the moving average of the weights unless --raw-weights \
      is named.
      """,
    subcommands: [
      EvaluatePerplexity.self, EvaluateZeroShot.self, EvaluateGenerativePerplexity.self, EvaluateEntropy.self,
      EvaluateMauve.self, EvaluateChoice.self, EvaluateScore.self, EvaluateSudoku.self, EvaluateReport.self,
    ],
    defaultSubcommand: EvaluatePerplexity.self)
}
