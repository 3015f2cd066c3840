import CommandSupport
import Comparison
import Corpora
import EsoLM
import Runs
import TestSupport
import Testing

@Suite("Bad values")
struct BadValueTests {
  @Test(arguments: badCounts) func comparisons(count: Int) throws {
    let changes: [(String, (inout MethodComparison) -> Void)] = [
      ("orders", { $0.orders = count }), ("draws", { $0.draws = count }), ("samples", { $0.samples = count }),
      ("measuredSequences", { $0.measuredSequences = count }), ("timeSteps", { $0.timeSteps = [4, count] }),
      ("top-p", { $0.topP = Double(count) }), ("contestants", { $0.contestants = [] }),
      ("length", { $0.length = count }),
    ]
    let folder = try Scratch.folder()
    for (field, change) in changes {
      var comparison = MethodComparison(
        contestants: [Contestant("mdlm")!], model: .small(),
        data: DataConfiguration(source: .toyLanguage(sequences: 4, seed: 0)), training: TrainingConfiguration(),
        length: 8, tokenizer: ToyLanguage.tokenizer, folder: folder)
      change(&comparison)
      #expect(refusedField { try comparison.run() } == field)
    }
  }

  @Test func benchmarks() {
    func field(batch: Int = 1, budget: Double = 0.01, length: Int = 8, calls: Int = 8) -> String? {
      let benchmark = SamplingBenchmark(model: .small(), batch: batch, budget: budget)
      return refusedField {
        try benchmark.measure(
          Contestant("mdlm")!, length: length, calls: calls, networks: SamplingBenchmark.Networks(benchmark)) as Any
      }
    }
    for count in badCounts {
      #expect(field(batch: count) == "batch" && field(calls: count) == "calls" && field(length: count) == "length")
    }
    for seconds in [0, -1, .nan, .infinity] { #expect(field(budget: seconds) == "budget") }
  }

  @Test(arguments: ["", ":", "mdlm:1", "bd3lm:0", "bd3lm:-4", "esolm-b:nan", "esolm-b:2", "esolm-b:0.5:1", "+adaln"])
  func contestants(name: String) { #expect(Contestant(name) == nil) }
}
