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
    page.add(
      figures: figures.map { figure in
        LineChart(
          figure.title, xLabel: figure.xLabel, yLabel: figure.yLabel,
          series: figure.series.map { series in
            LineChart.Series(series.name, series.points.map { LineChart.Point(x: $0.x, y: $0.y) })
          })
      })
    page.add(texts: samples, title: "What it writes")
    return page.html
  }
}
