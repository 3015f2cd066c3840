import EsoLM
import Files
import Foundation
import Reports

// The page: both plots of the paper beside the tables.
extension ComparisonResults {
  /// Writes a self-contained HTML page.
  public func writePage(to path: String) throws {
    try AtomicFile.write(Data(page.html.utf8), to: path)
  }

  var page: HTMLPage {
    var page = HTMLPage("Methods compared")
    page.add(facts: [
      ("data", isToyLanguage ? "the toy language" : "text"),
      ("budget of each method", "\(steps) steps of \(batchSize) × \(length) tokens"), ("seed", "\(seed)"),
    ])
    page.add(figures: [perplexityChart, qualityChart])
    func number(_ value: Double?) -> String { value.map { String(format: "%.3f", $0) } ?? "–" }
    let truth = trueNats.map { [["the language itself", number(exp($0)), "", "", ""]] } ?? []
    page.add(
      table: ["method", "exact PPL", "NELBO PPL", "± nats", "parameters"],
      rows: entries.map { entry in
        [
          entry.title, number(entry.exact?.perplexity), number(entry.nelbo.perplexity),
          entry.nelbo.standardError.map { String(format: "%.4f", $0) } ?? "–", "\(entry.parameters)",
        ]
      } + truth, title: "Perplexity per token")
    page.add(
      table: ["method", "NFE", "ms/sequence"]
        + (isToyLanguage ? ["grammatical", "PPL of sentences"] : ["PPL under the judge"]),
      rows: entries.flatMap { entry in
        entry.samplings.map { sampling in
          let share = sampling.grammaticalShare.map { String(format: "%.1f %%", 100 * $0) } ?? "–"
          return [entry.title, "\(sampling.networkCalls)", number(1000 * sampling.secondsPerSequence)]
            + (isToyLanguage ? [share] : []) + [number(sampling.perplexity)]
        }
      }, title: "Samples")
    return page
  }

  /// Perplexity over α₀: a curve for each bound of Eso-LM, and a line for each other method.
  private var perplexityChart: LineChart {
    func curve(_ entries: [Entry], _ bound: String, _ value: (Entry) -> Double?) -> LineChart.Series? {
      let points = entries.compactMap { entry in
        value(entry).map {
          LineChart.Point(x: entry.alpha0!, y: $0, note: "\(entry.title): \(String(format: "%.3f", $0))")
        }
      }
      guard let name = entries.first?.title.prefix(while: { $0 != "," }), !points.isEmpty else { return nil }
      return LineChart.Series("\(name), \(bound)", points.sorted { $0.x < $1.x })
    }
    let curves = Algorithm.all.filter { $0.options.contains(.alpha0) }.flatMap { algorithm in
      let own = entries.filter { $0.algorithm == algorithm.rawValue }
      return [curve(own, "NELBO") { $0.nelbo.perplexity }, curve(own, "exact") { $0.exact?.perplexity }]
    }.compactMap { $0 }
    let others = entries.filter { $0.alpha0 == nil }.map { entry in
      let value = entry.exact?.perplexity ?? entry.nelbo.perplexity
      return LineChart.Series(entry.title, [.init(x: 0, y: value), .init(x: 1, y: value)], isDashed: true)
    }
    return LineChart("Perplexity over α₀", xLabel: "α₀", yLabel: "perplexity per token", series: curves + others)
  }

  /// Quality of samples over seconds, and the front that nothing beats.
  private var qualityChart: LineChart {
    func point(_ entry: Entry, _ sampling: Sampling) -> LineChart.Point? {
      quality(sampling).map {
        LineChart.Point(
          x: sampling.secondsPerSequence, y: isToyLanguage ? 100 * $0 : $0,
          note: "\(entry.title), NFE \(sampling.networkCalls)")
      }
    }
    let methods = entries.map { entry in
      LineChart.Series(entry.title, entry.samplings.compactMap { point(entry, $0) }.sorted { $0.x < $1.x })
    }
    let front = LineChart.Series(
      "Pareto front", paretoFront.compactMap { point($0.entry, $0.sampling) }, isDashed: true)
    return LineChart(
      "Quality of samples over time", xLabel: "seconds per sequence",
      yLabel: isToyLanguage ? "grammatical sentences, %" : "perplexity under the judge", series: methods + [front],
      logarithmic: true)
  }
}
