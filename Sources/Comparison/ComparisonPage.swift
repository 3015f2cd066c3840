import EsoLM
import Evaluation
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
    var page = HTMLPage("Methods compared", methods: Contestant.families)
    page.add(facts: [
      ("data", isToyLanguage ? "the toy language" : "text"),
      ("budget of each method", "\(steps) steps of \(batchSize) × \(length) tokens"), ("seed", "\(seed)"),
    ])
    page.add(figures: [perplexityChart, qualityChart])
    page.add(paragraph: "Bars are standard errors. What a dot stands for is told when it is pointed at.")
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
    if let recipe { page.add(recipe: recipe) }
    page.add(data: self)
    return page
  }

  /// Perplexity over α₀: a curve for each bound of Eso-LM, and a line for each other method.
  private var perplexityChart: LineChart {
    func point(_ x: Double, _ estimate: PerplexityEvaluation.Estimate, _ entry: Entry) -> LineChart.Point {
      LineChart.Point(
        x: x, y: estimate.perplexity, error: estimate.standardError.map { $0 * estimate.perplexity },
        note: entry.title)
    }
    func curve(
      _ entries: [Entry], _ bound: String, _ value: (Entry) -> PerplexityEvaluation.Estimate?
    ) -> LineChart.Series? {
      let points = entries.compactMap { entry in value(entry).map { point(entry.alpha0!, $0, entry) } }
      guard let family = entries.first?.family, !points.isEmpty else { return nil }
      return LineChart.Series("\(family), \(bound)", method: family, points.sorted { $0.x < $1.x })
    }
    // By algorithm, and by what is trained on.
    let families = Algorithm.all.flatMap { algorithm in
      var families: [String] = []
      for entry in entries where entry.algorithm == algorithm.rawValue && entry.alpha0 != nil {
        if !families.contains(entry.family) { families.append(entry.family) }
      }
      return families
    }
    let curves = families.flatMap { family in
      let own = entries.filter { $0.family == family }
      return [curve(own, "NELBO") { $0.nelbo }, curve(own, "exact") { $0.exact }]
    }.compactMap { $0 }
    let others = entries.filter { $0.alpha0 == nil }.map { entry in
      LineChart.Series(
        entry.title, method: entry.family, [0, 1].map { point($0, entry.exact ?? entry.nelbo, entry) }, isDashed: true)
    }
    return LineChart(
      "Perplexity over α₀", x: .number("α₀", in: 0...1), y: .number("perplexity per token"), series: curves + others)
  }

  /// Quality of samples over seconds, and the front that nothing beats.
  private var qualityChart: LineChart {
    func point(_ entry: Entry, _ sampling: Sampling) -> LineChart.Point? {
      quality(sampling).map {
        LineChart.Point(
          x: sampling.secondsPerSequence, y: $0, error: qualityError(sampling),
          note: "\(entry.title), NFE \(sampling.networkCalls)")
      }
    }
    let methods = entries.map { entry in
      LineChart.Series(
        entry.title, method: entry.family, entry.samplings.compactMap { point(entry, $0) }.sorted { $0.x < $1.x })
    }
    let front = LineChart.Series(
      "Pareto front", method: nil, paretoFront.compactMap { point($0.entry, $0.sampling) }, isDashed: true)
    return LineChart(
      "Quality of samples over time", x: .logarithmic("seconds per sequence"),
      y: isToyLanguage ? .share("grammatical sentences") : .number("perplexity under the judge"),
      series: methods + [front])
  }
}
