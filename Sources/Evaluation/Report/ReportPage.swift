import Reports

extension EvaluationReport {
  /// One HTML page that needs nothing else.
  public var html: String {
    var page = HTMLPage(title)
    page.add(facts: facts.map { ($0.name, $0.value) })
    for (name, measures) in groups {
      page.add(
        table: ["measure", "value", "± error", "how"],
        rows: measures.map { [$0.name, $0.text, $0.errorText, $0.note] }, title: name, textColumns: [3])
    }
    page.add(figures: figures.map(\.chart))
    page.add(texts: samples, title: "What it writes")
    if let recipe { page.add(recipe: recipe) }
    page.add(data: self)
    return page.html
  }
}

extension EvaluationReport.Figure {
  fileprivate var chart: LineChart {
    let range = isUnitSquare ? 0.0...1 : nil
    return LineChart(
      title, x: .number(xLabel, in: range), y: .number(yLabel, in: range),
      series: series.map { series in
        // What stands in a run's figures are the ways to measure it.
        LineChart.Series(
          series.name, method: series.name, series.points.map { LineChart.Point(x: $0.x, y: $0.y, error: $0.error) })
      })
  }
}
