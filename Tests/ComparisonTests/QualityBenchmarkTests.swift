import Comparison
import Corpora
import EsoLM
import Foundation
import Reports
import TestSupport
import Testing

@Suite("The quality benchmark")
struct QualityBenchmarkTests {
  private func benchmark(_ method: any GenerationMethod) -> QualityBenchmark {
    var benchmark = QualityBenchmark(
      Likelihood(TransformerWeights.random().transformer(), method: method), length: 16)
    benchmark.samples = 6
    benchmark.batch = 4
    benchmark.timeSteps = [2, 4, 32]
    return benchmark
  }

  private func results(_ measurements: [QualityBenchmark.Measurement], _ title: String) -> QualityResults {
    QualityResults(
      entries: [.init(run: "runs/a", title: title, measurements: measurements)],
      recipe: Recipe(command: "esolm", data: "none", seed: 0, program: "this", machine: "here"))
  }

  @Test func everyWayIsMeasured() throws {
    var benchmark = benchmark(try EsotericMethod(alpha0: 1))
    benchmark.drafts = 3
    var shares: [Double] = []
    let found = try benchmark.measure { shares.append($1) }
    #expect(shares.allSatisfy { $0 > 0 && $0 <= 1 } && shares.contains(1))
    // Steps beyond the tokens of a text are left out.
    #expect(found.count { $0.way == "the paper's plan" } == 2 && found.count { $0.way == "block plan" } == 2)
    for row in found {
      #expect(abs(row.tokensPerCall * row.calls - 16) < 1e-9 && row.secondsPerText > 0)
      #expect(try #require(row.nats) > 0 && row.entropy > 0 && row.perplexity == nil)
      #expect(row.grammaticalShare == nil)
      if row.way == "block plan" { #expect("S = \(Int(row.calls))" == row.setting) }
      if row.way.hasPrefix("adaptive") { #expect("\(Int(row.calls)) calls" == row.setting) }
      if row.way.hasPrefix("one at a time") {
        #expect(row.calls == 16 && abs(row.natsLost ?? 1) < 1e-9 && row.accepted == 0)
      }
      if row.way.hasPrefix("drafts") {
        #expect(row.calls < 16 && abs(row.natsLost ?? 1) < 1e-9 && row.setting == "3 a call")
        #expect(try (1...#require(row.drafted)).contains(#require(row.accepted)))
      }
    }
    // Writing at once loses: a divergence from 0, but for chance.
    for row in found where row.calls < 8 && row.way == "the paper's plan" {
      #expect(try #require(row.natsLost) > -3 * #require(row.natsLostError))
    }
    let results = results(found, "Eso-LM")
    #expect(results.rows(of: results.entries[0]).allSatisfy { $0.count == QualityResults.headings.count })
    #expect(results.charts.count == 2)
    let page = results.page.html
    #expect(page.contains("<svg") && page.contains("drafts, farthest first") && page.contains("adaptive, by margin"))
    #expect(page.contains("adaptive, by entropy, farthest first"))
  }

  @Test func withoutExactProbabilitiesAJudgeTells() throws {
    var benchmark = benchmark(MaskedDiffusionMethod())
    benchmark.grammar = { texts in
      #expect(texts.count == 6)
      return ToyLanguage.quality(of: ["the dogs run. the girl waits.", "dogs dogs. girl run the."])
    }
    benchmark.judge = { texts in
      #expect(texts.count == 6 && texts.allSatisfy(\.isFinished))
      return (7, 0.5)
    }
    let found = try benchmark.measure()
    #expect(found.allSatisfy { $0.natsLost == nil && $0.nats == nil && $0.perplexity == 7 && $0.drafted == nil })
    #expect(found.contains { $0.way.hasPrefix("adaptive") })
    #expect(found.allSatisfy { $0.grammaticalShare == 0.5 && $0.grammaticalError == 0.25 })
    let results = results(found, "MDLM")
    #expect(results.charts.count == 4)
    #expect(results.rows(of: results.entries[0]).allSatisfy { $0.last == "50.0 ± 25.0 %" })
  }

  @Test func countsBelowOneAreRefused() throws {
    var benchmark = benchmark(MaskedDiffusionMethod())
    benchmark.samples = 0
    #expect(refusedField { try benchmark.measure() } == "numSamples")
  }
}
