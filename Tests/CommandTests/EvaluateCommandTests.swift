import CommandSupport
import Foundation
import Testing

@Suite("esolm eval")
struct EvaluateCommandTests {
  private struct Report: Decodable {
    struct Result: Decodable {
      var name: String
      var orders: Int?
      var perplexity: Double
      var natsPerToken: Double
      var standardError: Double?
      var monteCarloError: Double?
      var bitsPerToken: Double
      var bitsPerCharacter: Double
    }

    struct Recipe: Decodable {
      var command: String
      var data: String
      var seed: UInt64
      var checkpoint: String
    }

    var run: String
    var recipe: Recipe
    var alpha0: Double
    var sequences: Int
    var length: Int
    var tokens: Int
    var characters: Int
    var results: [Result]
  }

  private func report(_ options: [String]) async throws -> Report {
    let result = try await Esolm.succeed(["eval", try await Esolm.trained(), "--json"] + options)
    return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
  }

  @Test func theReportHasTheBoundAndTheExactValues() async throws {
    let report = try await report(["--orders", "4"])
    #expect(try await report.run == Esolm.trained())
    #expect(report.results.map(\.name) == ["nelbo", "exact, K = 1", "exact, K = 2", "exact, K = 4", "imdce, α₀ = 1"])
    #expect(report.results.map(\.orders) == [nil, 1, 2, 4, nil])
    #expect((report.alpha0, report.length) == (0.5, 16))
    #expect(report.tokens == report.sequences * 16 && report.sequences > 1)
    for result in report.results {
      #expect(abs(log(result.perplexity) - result.natsPerToken) < 1e-9)
      #expect(abs(result.bitsPerToken * log(2) - result.natsPerToken) < 1e-9)
      #expect(
        abs(result.bitsPerCharacter * Double(report.characters) - result.bitsPerToken * Double(report.tokens)) < 1e-6)
      #expect(try #require(result.standardError) > 0)
      #expect((result.monteCarloError != nil) == (result.orders == nil))
    }
  }

  @Test func theRecipeGivesTheSameNumbersAgain() async throws {
    let first = try await report(["--draws", "3", "--seed", "5"])
    #expect(first.recipe.seed == 5 && first.recipe.data.hasPrefix("what the run kept for validation of "))
    let run = try await Esolm.trained()
    #expect(
      first.recipe.checkpoint.wholeMatch(of: /step \d+ of .*, the moving average of weights/) != nil
        && first.recipe.checkpoint.contains(" of \(run), "), "\(first.recipe.checkpoint)")
    let words = first.recipe.command.split(separator: " ").map(String.init)
    #expect(words.first == "esolm")
    let again = try await Esolm.succeed(words.dropFirst() + ["--json"])
    let second = try JSONDecoder().decode(Report.self, from: Data(again.output.utf8))
    #expect(second.results.map(\.natsPerToken) == first.results.map(\.natsPerToken))
    #expect(try await report([]).results.map(\.natsPerToken) != first.results.map(\.natsPerToken))
  }

  @Test func theTableShowsTheReportsNumbers() async throws {
    let run = try await Esolm.trained()
    let output = try await Esolm.succeed(["eval", run, "--orders", "4"]).output
    let lines = output.split(separator: "\n")
    let report = try await report(["--orders", "4"])
    #expect(lines.first == "\(report.sequences) sequences of 16 tokens, α₀ = 0.5")
    #expect(lines.count == 3 + report.results.count)
    for (line, result) in zip(lines.dropFirst(3), report.results) {
      let numbers = [
        String(format: "%.3f", result.perplexity), String(format: "%.4f", result.natsPerToken),
        String(format: "%.4f", result.standardError!),
        result.monteCarloError.map { String(format: "%.4f", $0) } ?? "–", String(format: "%.4f", result.bitsPerToken),
        String(format: "%.4f", result.bitsPerCharacter),
      ]
      #expect(line.hasPrefix("  \(result.name) "))
      #expect(line.split(separator: " ").suffix(6).map(String.init) == numbers)
    }
  }

  @Test func perplexityIsWhatEvalMeasuresUnlessToldOtherwise() async throws {
    let run = try await Esolm.trained()
    let short = try await Esolm.succeed(["eval", run, "--exact"]).output
    #expect(try await Esolm.succeed(["eval", "ppl", run, "--exact"]).output == short)
    #expect(try await Esolm.succeed(["eval", run, "--orders", "8"]).output == short)
  }

  @Test func aGivenTextIsMeasuredInstead() async throws {
    let data = try Scratch.file(Esolm.text.prefix(100).utf8)
    let report = try await report(["--data", data, "--max-sequences", "3", "--alpha0", "0"])
    #expect((report.sequences, report.tokens, report.alpha0) == (3, 48, 0))
    let foreign = try await self.report(["--data", try Scratch.file(Esolm.text.reversed().map(\.asciiValue!))])
    let own = try await self.report([])
    #expect(foreign.results[0].perplexity > own.results[0].perplexity)
  }

  @Test func seedAndBatchDoWhatTheySay() async throws {
    var nats: [Double] = []
    for options in [["--batch", "1"], ["--batch", "16"], ["--seed", "1"]] {
      nats.append(try await report(options).results[0].natsPerToken)
    }
    #expect(abs(nats[0] - nats[1]) < 1e-5)
    #expect(nats[0] != nats[2])
  }

  @Test func theAverageAndTheRawWeightsDiffer() async throws {
    let (average, raw) = (try await report([]), try await report(["--raw-weights"]))
    #expect(average.results[0].natsPerToken != raw.results[0].natsPerToken)
  }
}
