import CommandSupport
import Comparison
import Corpora
import EsoLM
import Evaluation
import Foundation
import Runs
import Testing
import TestSupport
import Tokenizers
import Training

@Suite("Comparisons", .serialized)
struct ComparisonTests {
  private func comparison(_ names: [String], text: String? = nil, folder: String) throws -> MethodComparison {
    let tokenizer = text.map { CharacterTokenizer(text: $0) } ?? ToyLanguage.tokenizer
    var training = TrainingConfiguration()
    (training.steps, training.batchSize, training.learningRate) = (4, 4, 1e-2)
    training.warmupSteps = 0
    let source: DataConfiguration.Source =
      try text.map {
        let data = CorpusConfiguration(
          source: CorpusSource(paths: [try Scratch.file($0.utf8)]), tokenFolder: try Scratch.folder())
        return .corpus(data, fingerprint: try Corpus(data, length: 16, tokenizer: tokenizer).fingerprint)
      }
      ?? .toyLanguage(sequences: 40, seed: 1)
    var comparison = MethodComparison(
      contestants: names.map { Contestant($0)! },
      model: .small(vocabulary: tokenizer.vocabularySize + 1), data: DataConfiguration(source: source),
      training: training, length: 16, tokenizer: tokenizer, folder: folder)
    (comparison.orders, comparison.draws, comparison.samples) = (2, 1, 3)
    comparison.timeSteps = [2, 16]
    return comparison
  }

  @Test func everyMethodIsTrainedMeasuredAndSampled() throws {
    let names = ["ar", "ar+adaln", "mdlm", "bd3lm:4", "esolm-a:0.5", "esolm-b:1", "esolm-b:0", "esolm-b:1:any-order"]
    let folder = "\(try Scratch.folder())/compare"
    let comparison = try comparison(names, folder: folder)
    var events = 0
    let results = try #require(try comparison.run(report: { _ in events += 1 }))
    #expect(events > names.count * 4)
    #expect(results.entries.map(\.name) == names)
    #expect(results.trueNats.map { $0 > 0 } == true)
    for entry in results.entries {
      #expect(entry.nelbo.nats.isFinite)
      #expect((entry.exact != nil) == (entry.name.hasPrefix("ar") || entry.name.hasPrefix("esolm-b")))
      #expect(entry.samplings.allSatisfy { $0.secondsPerSequence > 0 && (1...16).contains($0.networkCalls) })
    }
    #expect(results.entries.map(\.samplings.count) == [1, 1, 2, 1, 2, 2, 1, 2])
    // One network serves all, but for the norms of a plain AR.
    #expect(Set(results.entries.dropFirst().map(\.parameters)).count == 1)
    #expect(results.entries[0].parameters < results.entries[1].parameters)

    try results.writePage(to: "\(folder)/report.html")
    let page = try String(contentsOfFile: "\(folder)/report.html", encoding: .utf8)
    for title in [
      "Perplexity over α₀", "Quality of samples over time", "BD3-LM, L′ = 4", "Eso-LM (B) any-order, exact",
      "the language itself",
    ] {
      #expect(page.contains(title))
    }
    let data = try JSONEncoder().encode(results)
    #expect(try JSONDecoder().decode(ComparisonResults.self, from: data).entries.map(\.name) == names)
  }

  @Test func aStoppedComparisonGoesOnAsIfItHadNotStopped() throws {
    let names = ["mdlm", "esolm-b:0.5"]
    let whole = try #require(try comparison(names, folder: "\(Scratch.folder())/a").run())
    let stopped = try comparison(names, folder: "\(Scratch.folder())/b")
    var steps = 0
    let nothing = try stopped.run(shouldStop: { steps >= 6 }) { event in
      if case .training(_, .step) = event { steps += 1 }
    }
    #expect(nothing == nil)
    let resumed = try #require(try stopped.run())
    #expect(resumed.entries.map(\.nelbo.nats) == whole.entries.map(\.nelbo.nats))
    #expect(resumed.entries.map(\.exact?.nats) == whole.entries.map(\.exact?.nats))
  }

  @Test func otherSettingsNeedAnotherFolder() throws {
    let folder = "\(try Scratch.folder())/c"
    _ = try comparison(["ar"], folder: folder).run()
    var other = try comparison(["ar"], folder: folder)
    other.training.seed = 9
    #expect(
      message { try other.run() }
        == "\(folder)/ar is a run with other settings; name a new folder for this comparison")
  }

  @Test func otherTextIsJudgedByAnAutoregressiveModel() throws {
    let text = String(repeating: "the cat sees the dog. ", count: 20)
    let results = try #require(try comparison(["esolm-b:0.5"], text: text, folder: "\(Scratch.folder())/d").run())
    #expect(results.trueNats == nil)
    for sampling in results.entries[0].samplings {
      #expect(sampling.grammaticalShare == nil)
      #expect(sampling.perplexity.map { (1..<100).contains($0) } == true)
    }
  }

  @Test func theFrontIsWhatNothingBeats() throws {
    func sampling(_ seconds: Double, _ share: Double?) -> ComparisonResults.Sampling {
      .init(networkCalls: 1, secondsPerSequence: seconds, grammaticalShare: share)
    }
    var results = try #require(try comparison(["ar"], folder: "\(Scratch.folder())/e").run())
    results.entries[0].samplings = [
      sampling(3, 0.5), sampling(1, 0.2), sampling(2, 0.1), sampling(4, 0.4), sampling(0.5, nil), sampling(5, 0.9),
    ]
    #expect(results.paretoFront.map(\.sampling.secondsPerSequence) == [1, 3, 5])
  }
}
