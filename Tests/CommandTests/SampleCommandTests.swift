import Foundation
import Testing

@Suite("esolm sample")
struct SampleCommandTests {
  private struct Report: Decodable {
    struct Sample: Decodable, Equatable {
      var text: String
      var tokens: [Int]
    }

    var formatVersion: Int
    var run: String
    var alpha0: Double
    var steps: Int
    var length: Int
    var seed: Int
    var topP: Double
    var topK: Int?
    var temperature: Double
    var usesCache: Bool
    var nfe: Int
    var seconds: Double
    var secondsPerSample: Double
    var secondsPerCall: Double
    var cacheBytes: Int
    var samples: [Sample]
  }

  private func report(_ options: [String]) async throws -> Report {
    let result = try await Esolm.succeed(["sample", try await Esolm.trained(), "--json"] + options)
    #expect(result.error == "")
    return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
  }

  @Test func theReportHasAllFields() async throws {
    let options = "--num-samples 3 --steps 4 --alpha0 0.5 --length 24 --seed 9 --top-p 0.8 --top-k 5 --temperature 0.7"
    let report = try await report(options.split(separator: " ").map(String.init))
    #expect(try await report.run == Esolm.trained())
    #expect((report.formatVersion, report.alpha0, report.steps, report.length) == (1, 0.5, 4, 24))
    #expect((report.seed, report.topP, report.topK, report.temperature) == (9, 0.8, 5, 0.7))
    #expect(report.usesCache && report.cacheBytes > 0 && (1...24).contains(report.nfe))
    #expect(report.seconds > 0)
    #expect(abs(report.secondsPerSample * 3 / report.seconds - 1) < 1e-9)
    #expect(abs(report.secondsPerCall * Double(report.nfe) / report.seconds - 1) < 1e-9)
    #expect(report.samples.count == 3)
    #expect(report.samples.allSatisfy { $0.tokens.count == 24 && $0.text.count <= 24 })
  }

  @Test func textIsPrintedPlainly() async throws {
    let run = try await Esolm.trained()
    let one = try await Esolm.succeed(["sample", run])
    let report = try await report([])
    #expect(one.output == report.samples[0].text + "\n")
    #expect(one.error.wholeMatch(of: #/1 × 16 tokens, NFE \d+, [\d.]+ s, [\d.]+ ms a call\n/#) != nil)

    let two = try await Esolm.succeed(["sample", run, "--num-samples", "2"])
    let texts = try await self.report(["--num-samples", "2"]).samples.map(\.text)
    #expect(two.output == "--- sample 1 ---\n\(texts[0])\n--- sample 2 ---\n\(texts[1])\n")
  }

  @Test func theSeedDecidesTheText() async throws {
    let samples = [
      try await report(["--seed", "4"]).samples, try await report(["--seed", "4"]).samples,
      try await report(["--seed", "5"]).samples,
    ]
    #expect(samples[0] == samples[1])
    #expect(samples[0] != samples[2])
  }

  @Test func temperatureZeroTakesTheLikeliestTokenWhateverTheNucleus() async throws {
    let samples = [
      try await report(["--temperature", "0"]).samples,
      try await report(["--temperature", "0", "--top-p", "1", "--top-k", "1"]).samples,
      try await report(["--top-k", "1"]).samples,
    ]
    #expect(samples[0] == samples[1] && samples[0] == samples[2])
  }

  private static let plans =
    ["1", "0.5", "0.125", "0"].flatMap { alpha0 in
      ["1", "5", "1000000"].map { ["--alpha0", alpha0, "--steps", $0] }
    }
    + ["block", "block-shuffled"].flatMap { schedule in
      ["1", "5", "16"].map { ["--schedule", schedule, "--steps", $0] }
    }

  @Test(arguments: plans) func theCacheAndTheBatchDoNotChangeTheText(plan: [String]) async throws {
    let options = plan + ["--num-samples", "8"]
    let cached = try await report(options + ["--batch", "8"])
    let alone = try await report(options + ["--batch", "1"])
    let recomputed = try await report(options + ["--batch", "8", "--no-cache"])
    #expect(cached.samples.count == 8)
    #expect(Set(cached.samples.map(\.text)).count > 1)
    #expect(alone.samples == cached.samples)
    #expect(recomputed.samples == cached.samples)
    #expect((cached.nfe, cached.nfe) == (alone.nfe, recomputed.nfe))
    #expect(cached.usesCache && !recomputed.usesCache && recomputed.cacheBytes == 0)

    let steps = min(16, Int(plan[3])!)
    switch plan[1] {
    case "0": #expect(cached.nfe == 16)  // one token at a time
    case "1": #expect((1...steps).contains(cached.nfe))  // steps that write nothing cost nothing
    case "block", "block-shuffled": #expect(cached.nfe == steps)
    default: #expect((1...16).contains(cached.nfe))
    }
  }

  @Test func watchingShowsEveryCallOnStandardError() async throws {
    let run = try await Esolm.trained()
    let plain = try await Esolm.succeed(["sample", run, "--steps", "5"])
    let watched = try await Esolm.succeed(["sample", run, "--steps", "5", "--watch"])
    #expect(watched.output == plain.output)
    let calls = watched.error.split(separator: "\n").dropLast()
    let masks = try calls.enumerated().map { index, line in
      let match = try #require(line.wholeMatch(of: #/\[call (\d+) of (\d+), (\d+) written\] (.*)/#), "\(line)")
      #expect(Int(match.1) == index + 1 && Int(match.2) == calls.count)
      return (written: Int(match.3)!, left: match.4.count { $0 == "░" })
    }
    var left = 16
    for call in masks {
      left -= call.written
      #expect(call.left == left)
    }
    #expect(left == 0)
    let text = plain.output.dropLast().replacingOccurrences(of: "\n", with: "⏎")
    #expect(calls.last?.hasSuffix("] \(text)") == true)
  }
}
