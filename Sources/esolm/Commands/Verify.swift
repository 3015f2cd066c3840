import ArgumentParser
import Foundation
import Parity
import Runs
import Tool
import Torch

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Run recorded parity cases through the code that trains and samples.",
    discussion: """
      Prints a line per expected tensor: name, largest absolute error, tolerance, pass or fail. For cases about text \
      it is a line per set, and the number of texts that come out otherwise. Exit code 1 if any fails or a folder \
      cannot be read.

      Kinds of cases (the part of a folder's name before the first dot): \(Parity.kinds.joined(separator: ", ")).
      """)

  @Argument(help: "Folders, each with config.json, inputs and expected.safetensors, or cases.json.")
  var folders: [String] = []

  @Option(
    help: ArgumentHelp(
      "Write 64 sequences with this run's network together and each alone, on one thread and on all, and compare.",
      valueName: "run"))
  var batchInvariance: String?

  @Option(
    help: ArgumentHelp(
      "Holds the vocabularies gpt2 and bert-base-uncased; without it they are looked for beside the cases.",
      valueName: "folder"))
  var vocabularies: String?

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup(title: "With --batch-invariance") var weights: WeightOptions
  @OptionGroup(title: "With --batch-invariance") var cache: CacheOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    if folders.isEmpty == (batchInvariance == nil) {
      throw ValidationError("expected folders of cases, or --batch-invariance with a run")
    }
    if batchInvariance == nil,
      let option = (weights.given + (cache.cachePrecision == .float32 ? [] : ["cache-precision"])).first
    {
      throw ValidationError("--\(option) goes with --batch-invariance: cases are computed in float32")
    }
  }

  func run() throws {
    try device.apply()
    if let batchInvariance { return try verifyBatches(RunFolder(opening: batchInvariance)) }
    var line = ShareLine()
    var results: [ParityResult] = []
    var unreadable = 0
    for (place, folder) in folders.enumerated() {
      line.show("verifying", Double(place) / Double(folders.count), folder)
      let found: [ParityResult]
      do {
        found = try Parity.verify(folder: folder, vocabularies: vocabularies, device: device.device)
        line.clear()
      } catch {
        line.clear()
        printError("esolm: error: \(error)")
        unreadable += 1
        continue
      }
      results += found
      if !json { try printOutput(table(found, folder: folder)) }
    }
    if json { try printJSON(results) }
    let failed = results.count(where: \.failed)
    let skipped = results.count { $0.skipped != nil }
    if !json {
      let rest = (skipped > 0 ? ", \(skipped) skipped" : "") + (unreadable > 0 ? ", \(unreadable) unreadable" : "")
      try printOutput("\(results.count - failed - skipped) passed, \(failed) failed\(rest)")
    }
    if failed + unreadable > 0 { throw ExitCode.failure }
  }

  private func verifyBatches(_ run: RunFolder) throws {
    var line = ShareLine()
    let report = try BatchInvariance(
      try weights.network(of: run, device: device.device), cachePrecision: cache.cachePrecision, method: run.method,
      length: run.configuration.method.length
    ).check { line.show("each alone", $0) }
    line.clear()
    if json {
      try printJSON(report)
    } else {
      let bits = report.promisesBits ? "" : " (not promised on this machine)"
      try printOutput(
        "\(report.sequences) sequences together and alone, threads \(report.threads.map(String.init).joined(separator: ", ")): "
          + "\(report.otherTokens) with other tokens, \(report.otherBits) with other bits\(bits): "
          + (report.passed ? "pass" : "FAIL"))
    }
    if !report.passed { throw ExitCode.failure }
  }

  private func table(_ results: [ParityResult], folder: String) -> String {
    var table = Table(["tensor", "largest error", "tolerance", "result"])
    for result in results {
      table.add([
        result.tensor, String(format: "%.3g", result.error), String(format: "%.3g", result.tolerance),
        result.skipped.map { "skipped: \($0)" } ?? (result.passed ? "pass" : "FAIL"),
      ])
    }
    return "\(folder)\n\(table.text)\n"
  }
}
