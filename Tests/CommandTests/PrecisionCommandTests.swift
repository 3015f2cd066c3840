import CommandSupport
import Foundation
import Testing

/// Runs whose weights are rounded, on the fly or once and for all.
@Suite("Precision") struct PrecisionCommandTests {
  private struct Line: Decodable {
    let tokens: [Int32]
    let logProbability: Double
    let precision: String
    let weightBytes: Int
    let peakResidentBytes: Int
  }

  private func samples(_ run: String, _ options: [String] = []) async throws -> [Line] {
    let result = try await Esolm.run(["sample", run, "--num-samples", "4", "--json"] + options)
    #expect(result.status == 0, "\(result.error)")
    return try result.output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
  }

  private func perplexity(_ run: String, _ options: [String] = []) async throws -> Double {
    struct Found: Decodable { let nelboPerplexity: Double }
    let result = try await Esolm.run(["eval", "ppl", run, "--orders", "1", "--json"] + options)
    #expect(result.status == 0, "\(result.error)")
    let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    return try #require(Self.number(object as Any, named: "perplexity"))
  }

  /// The first number of a name, anywhere in it.
  private static func number(_ value: Any, named name: String) -> Double? {
    if let object = value as? [String: Any] {
      for (key, value) in object.sorted(by: { $0.key < $1.key }) {
        if key.lowercased().contains(name), let number = value as? Double { return number }
        if let found = number(value, named: name) { return found }
      }
    }
    if let list = value as? [Any] { return list.lazy.compactMap { number($0, named: name) }.first }
    return nil
  }

  @Test(arguments: ["bf16", "int8"]) func aRoundedRunWritesWhatTheRunDoesInThatPrecision(precision: String) async throws
  {
    let run = try await Scratch.copy(of: Esolm.trained())
    let rounded = "\(run)-\(precision)"
    let converted = try await Esolm.run(["convert", run, rounded, "--precision", precision])
    #expect(converted.status == 0, "\(converted.error)")
    #expect(converted.output.contains("in \(precision)"))

    let (own, onTheFly) = (try await samples(rounded), try await samples(run, ["--precision", precision]))
    #expect(own.count == 4)
    #expect(own.map(\.tokens) == onTheFly.map(\.tokens))
    #expect(own.map(\.logProbability) == onTheFly.map(\.logProbability))
    #expect(own.allSatisfy { $0.precision == precision && $0.peakResidentBytes > $0.weightBytes })
    #expect(own[0].weightBytes < (try await samples(run))[0].weightBytes)

    let exact = try await perplexity(run)
    let found = try await perplexity(rounded)
    #expect(found == (try await perplexity(run, ["--precision", precision])))
    #expect(abs(found / exact - 1) < (precision == "bf16" ? 0.01 : 0.05))
    #expect(found != exact)
  }

  @Test func aRoundedRunIsNotTrained() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let rounded = "\(run)-rounded"
    #expect(try await Esolm.run(["convert", run, rounded, "--precision", "int8"]).status == 0)
    let way =
      "holds weights in int8, for sampling and evaluation; to train or convert, use the run that it was made of, \(run)"
    for command in [
      ["train", "--resume", rounded], ["train", "--init-from", rounded, "--data", "x.txt", "--out", "\(run)-new"],
      ["convert", rounded, "\(run)-other"], ["convert", rounded, "\(run)-other", "--precision", "bf16"],
    ] {
      let result = try await Esolm.run(command)
      #expect(result.status == 1 && result.error.contains(way), "\(command): \(result.error)")
    }
    let shown = try await Esolm.succeed(["inspect", rounded]).output
    #expect(shown.contains(", in int8, for sampling and evaluation\n"), "\(shown)")
    #expect(shown.contains("  loads as esolm-b, alpha0 0.5"), "\(shown)")
    #expect(shown.firstMatch(of: #/blocks\.0\.attn_qkv\.weight +I8 /#) != nil, "\(shown)")
    let parameters = #/tensors, (\d+) parameters/#
    let own = try await Esolm.succeed(["inspect", run]).output
    #expect(shown.firstMatch(of: parameters)?.1 == own.firstMatch(of: parameters)?.1)
    let other = try await Esolm.run(["sample", rounded, "--precision", "bf16"])
    #expect(other.status == 1 && other.error.contains("--precision cannot be bf16"), "\(other.error)")
    let again = try await Esolm.run(["convert", run, rounded, "--precision", "int8"])
    #expect(again.status == 1 && again.error.contains(rounded), "\(again.error)")
  }

  @Test(arguments: [["--precision", "int8"], ["--precision", "bf16", "--cache-precision", "bf16"]])
  func batchesAreInvariant(options: [String]) async throws {
    let result = try await Esolm.run(["verify", "--batch-invariance", Esolm.trained()] + options)
    #expect(result.status == 0 && result.output.hasSuffix("pass\n"), "\(result.output)\(result.error)")
  }

  @Test func unknownPrecisionsAreRefused() async throws {
    let run = try await Esolm.trained()
    for options in [["--precision", "int4"], ["--cache-precision", "int8"]] {
      let result = try await Esolm.run(["sample", run] + options)
      #expect(result.status == 2 && result.output.isEmpty, "\(result.error)")
    }
    let rounding = try await Esolm.run(["convert", run, "\(run)-x", "--precision", "float32"])
    #expect(rounding.status == 2)
  }

  @Test func theMachineIsMeasured() async throws {
    let result = try await Esolm.run(["bench", "machine"])
    #expect(result.status == 0 && result.output.contains("GB/s") && result.output.contains("int8"), "\(result.error)")
  }
}
