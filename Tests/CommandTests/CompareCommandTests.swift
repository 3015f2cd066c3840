import CommandSupport
import Foundation
import Testing

@Suite("esolm compare")
struct CompareCommandTests {
  private struct Results: Decodable, Equatable {
    struct Entry: Decodable, Equatable {
      struct Estimate: Decodable, Equatable {
        var nats: Double
      }
      var name: String
      var nelbo: Estimate
      var exact: Estimate?
    }
    var steps: Int
    var entries: [Entry]
  }

  private struct Configuration: Decodable {
    struct Model: Decodable {
      var hiddenSize: Int
      var numBlocks: Int
      var dropout: Double
    }
    var model: Model
  }

  @discardableResult
  private func compare(_ arguments: [String], data: String, out: String) async throws -> CommandOutput {
    try await Esolm.succeed(
      [
        "compare", "--steps", "2", "--batch", "2", "--length", "8", "--samples", "2", "--time-steps", "2,4", "--orders",
        "1", "--data", data, "--out", out,
      ] + arguments)
  }

  @Test func tablesAPageAndJSONSayTheSame() async throws {
    let (data, out) = (try Scratch.file(Esolm.text.utf8), "\(try Scratch.folder())/compared")
    let arguments = ["--methods", "ar,mdlm,esolm-b:0.5", "--hidden-size", "16", "--blocks", "1", "--heads", "2"]
    let table = try await compare(arguments, data: data, out: out).output
    let page = try String(contentsOfFile: "\(out)/report.html", encoding: .utf8)
    // A comparison that is done is not done again.
    let first = try await compare(arguments + ["--json"], data: data, out: out)
    let second = try await compare(arguments + ["--json"], data: data, out: out)
    #expect(!second.error.contains("tokens/s"))
    let results = try JSONDecoder().decode(Results.self, from: Data(first.output.utf8))
    #expect(try JSONDecoder().decode(Results.self, from: Data(second.output.utf8)) == results)
    #expect(results.steps == 2)
    #expect(results.entries.map(\.name) == ["ar", "mdlm", "esolm-b:0.5"])
    #expect(results.entries.map { $0.exact == nil } == [false, true, false])
    for entry in results.entries {
      let perplexity = String(format: "%.3f", exp(entry.nelbo.nats))
      #expect(table.contains(perplexity) && page.contains(perplexity))
    }
    #expect(page.hasPrefix("<!DOCTYPE html>") && page.contains("<svg"))
  }

  /// One option more does not change the others' defaults.
  @Test(
    arguments: [
      ([], 128, 4, 0), (["--dropout", "0.25"], 128, 4, 0.25), (["--hidden-size", "64"], 64, 4, 0),
      (["--model", "tiny"], 256, 8, 0),
    ])
  func sizesHaveDefaultsOfTheirOwn(options: [String], hiddenSize: Int, blocks: Int, dropout: Double) async throws {
    let out = "\(try Scratch.folder())/compared"
    try await compare(options + ["--methods", "ar"], data: Scratch.file(Esolm.text.utf8), out: out)
    let file = URL(fileURLWithPath: "\(out)/ar/config.json")
    let model = try JSONDecoder().decode(Configuration.self, from: Data(contentsOf: file)).model
    #expect(model.hiddenSize == hiddenSize && model.numBlocks == blocks && model.dropout == dropout)
  }
}
