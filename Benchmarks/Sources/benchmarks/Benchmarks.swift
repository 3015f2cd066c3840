import Foundation

/// Measures training and sampling and prints each as a share of what this machine can do; the last line is the same as
/// JSON. Medians of several runs. With --check it fails where a share is lower than what is on file here.
@main
struct Benchmarks {
  struct Report: Codable {
    let machine: Machine
    var measurements: [Measurement]
  }

  /// The least shares of the machine's best, about two thirds of what two cores with AVX-512 reached: ratios, so that
  /// they hold on any machine with oneDNN.
  private static var least: [(model: Model, what: String, share: KeyPath<Measurement, Double?>, least: Double)] {
    [
      (.small, "train", \.shareOfProducts, 0.4), (.small, "sample a call, batch 1,", \.shareOfBandwidth, 0.55),
      (.small, "sample a call, batch 16,", \.shareOfProducts, 0.35),
    ]
  }

  static func main() throws {
    let machine = Machine()
    print(
      "\(machine.threads) threads, matrix products \(format(machine.flopsPerSecond / 1e9)) GFLOP/s (float32), "
        + "reading \(format(machine.bytesPerSecond / 1e9)) GB/s\n")
    print(row("model", "what", "seconds", "tokens/s", "of GFLOP/s", "of GB/s"))
    var report = Report(machine: machine, measurements: [])
    for model in [Model.character, .small] {
      let measure = [model.training] + [1, 16].map { batch in { try model.sampling(batch: batch, on: $0) } }
      for measurement in measure {
        let result = try measurement(machine)
        print(
          row(
            result.model, result.what, String(format: "%.5f", result.seconds), format(result.tokensPerSecond),
            percent(result.shareOfFlops), result.shareOfBandwidth.map(percent) ?? "–"))
        report.measurements.append(result)
      }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
    guard CommandLine.arguments.contains("--check") else { return }
    let missed = least.filter { check in
      let found = report.measurements.first { $0.model == check.model.name && $0.what.hasPrefix(check.what) }!
      return found[keyPath: check.share]! < check.least
    }
    for check in missed { print("\(check.model.name), \(check.what) is below \(percent(check.least))") }
    guard missed.isEmpty else { exit(1) }
  }

  private static func format(_ value: Double) -> String { String(format: value < 100 ? "%.1f" : "%.0f", value) }

  private static func percent(_ share: Double) -> String { String(format: "%.0f %%", 100 * share) }

  private static func row(_ cells: String...) -> String {
    zip(cells, [30, 32, 10, 10, 11, 9]).enumerated().map { column, cell in
      let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
      return column < 2 ? cell.0 + space : space + cell.0
    }.joined(separator: " ")
  }
}
