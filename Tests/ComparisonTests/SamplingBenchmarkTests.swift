import Comparison
import EsoLM
import TestSupport
import Testing

@Suite("The sampling benchmark")
struct SamplingBenchmarkTests {
  private func benchmark(budget: Double, batch: Int = 2) -> SamplingBenchmark {
    SamplingBenchmark(model: .small(), batch: batch, budget: budget)
  }

  private static let names = ["esolm-b", "esolm-a", "ar", "mdlm", "bd3lm:4", "bd3lm:16", "esolm-b:0.5"]

  /// What is counted does not depend on how much is timed: calls that are passed over count as if they were made.
  @Test(arguments: names, [1.0, 0.25])
  func countsAreTheSameHoweverMuchIsTimed(name: String, share: Double) throws {
    let contestant = try #require(Contestant(name))
    let calls = Int(64 * share)
    let found = try [1e-9, 60].map { budget in
      let benchmark = benchmark(budget: budget)
      return try benchmark.measure(contestant, length: 64, calls: calls, networks: .init(benchmark))
    }
    guard let part = found[0], let whole = found[1] else {
      // α₀ = 0.5 writes a half of the tokens one at a time, in more calls than a quarter.
      #expect(found[0] == nil && found[1] == nil && ["ar", "esolm-b:0.5"].contains(name) && share < 1)
      return
    }
    #expect(whole.measuredCalls == whole.calls && !whole.isInferred)
    #expect(part.measuredCalls < part.calls && part.measuredCalls >= 3 && part.isInferred)
    #expect(part.calls == whole.calls && part.slotsPerToken == whole.slotsPerToken)
    #expect(part.cacheBytesPerSequence == whole.cacheBytesPerSequence)
    #expect(part.secondsPerSequence > 0 && whole.secondsPerSequence > 0)
    #expect(abs(part.secondsPerSequence - part.secondsPerCall * Double(part.calls) / 2) < 1e-9)
    #expect(part.callsPerToken == Double(part.calls) / 64)
  }

  /// Given tokens are fed in calls of their own, in pieces, which are no calls that write.
  @Test func givenTokensAreNoCalls() throws {
    var benchmark = SamplingBenchmark(model: .small(), budget: 60)
    benchmark.prompt = 600
    for calls in [8, 1] {
      let found = try #require(
        try benchmark.measure(Contestant("esolm-b:1")!, length: 608, calls: calls, networks: .init(benchmark)))
      #expect(found.calls == calls && found.measuredCalls == calls)
      #expect(found.secondsPerCall > 0 && found.secondsToFirstToken > found.secondsPerCall / 2)
      #expect(found.secondsPerSequence >= found.secondsPerCall)
    }
  }

  @Test func rowsAndMemoryAreAsOnPaper() throws {
    let benchmark = benchmark(budget: 1e-9)
    let networks = SamplingBenchmark.Networks(benchmark)
    func measured(_ name: String) throws -> SamplingBenchmark.Measurement {
      try #require(try benchmark.measure(Contestant(name)!, length: 256, calls: 256, networks: networks))
    }
    // Key and value of 2 blocks, 16 wide, in float32.
    let bytes = 2 * 2 * 16 * 256 * 4
    for (name, slots) in [("esolm-b", 2.0), ("bd3lm:4", 5), ("bd3lm:16", 17)] {
      let found = try measured(name)
      #expect(abs(found.slotsPerToken - slots) < 0.07)
      #expect(found.cacheBytesPerSequence == bytes)
    }
    #expect(try measured("ar").slotsPerToken == 1)
    #expect(try measured("ar").cacheBytesPerSequence == bytes)
    #expect(try measured("mdlm").slotsPerToken == 256)
    #expect(try measured("mdlm").cacheBytesPerSequence == 0)
    // Each call of Eso-LM (A)'s diffusion recomputes what is clean: 1 + 2 + … + 256 rows.
    #expect(try measured("esolm-a").slotsPerToken == 257.0 / 2)
  }

  @Test func ratiosAreToEsoLMOfTheSameLength() {
    func measurement(_ name: String, length: Int, calls: Int, seconds: Double) -> SamplingBenchmark.Measurement {
      .init(
        method: name, title: name, length: length, batch: 1, calls: calls, measuredCalls: calls,
        secondsPerSequence: seconds, secondsPerCall: 0, slotsPerToken: 0, callsPerToken: 0, cacheBytesPerSequence: 0)
    }
    let ratios = SamplingBenchmark.ratios([
      measurement("esolm-b:1", length: 8, calls: 8, seconds: 2), measurement("mdlm", length: 8, calls: 8, seconds: 50),
      measurement("mdlm", length: 8, calls: 2, seconds: 1), measurement("mdlm", length: 16, calls: 16, seconds: 1),
    ])
    #expect(ratios.map(\.ratio) == [25])
  }
}
