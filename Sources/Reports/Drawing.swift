import Foundation

/// Figures as one picture, for papers and slides: SVG that needs nothing else, on white.
public struct Drawing: Sendable {
  private let charts: [LineChart]
  private let columns: Int

  /// - Parameters:
  ///   - charts: row by row.
  ///   - columns: how many stand side by side.
  public init(_ charts: [LineChart], columns: Int) {
    self.charts = charts
    self.columns = max(1, columns)
  }

  /// The picture.
  public var svg: String {
    var methods: [String] = []
    for method in charts.flatMap(\.methods) where !methods.contains(method) { methods.append(method) }
    let colours = Dictionary(uniqueKeysWithValues: methods.enumerated().map { ($1, $0) })
    let (width, gap, title) = (LineChart.width, 16.0, 24.0)
    var (parts, top, rowHeight) = ([String](), 0.0, 0.0)
    for (number, chart) in charts.enumerated() {
      if number > 0, number.isMultiple(of: columns) { (top, rowHeight) = (top + rowHeight + gap, 0) }
      let left = Double(number % columns) * (width + gap)
      parts.append(
        "<text class=\"title\" x=\"\(left + 8)\" y=\"\(top + 16)\">\(escaped(chart.title))</text>"
          + "<g transform=\"translate(\(left) \(top + title))\">\n"
          + chart.parts(colours: colours).joined(separator: "\n") + "\n</g>")
      rowHeight = max(rowHeight, title + chart.height)
    }
    let size = (width: Double(columns) * (width + gap) - gap, height: top + rowHeight)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" class="chart" width="\(Int(size.width))" height="\(Int(size.height))" \
      viewBox="0 0 \(Int(size.width)) \(Int(size.height))">
      <style>
      \(HTMLPage.plain(HTMLPage.chartStyle))
      .chart .title { font-weight: 600; font-size: 14px; }
      </style>
      <rect width="100%" height="100%" fill="#fff"/>
      \(HTMLPage.plain(parts.joined(separator: "\n")))
      </svg>

      """
  }
}
