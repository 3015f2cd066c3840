import Foundation

/// A figure drawn as SVG: axes with round numbers, a line and dots for each series.
struct LineChart {
  private let figure: EvaluationReport.Figure
  private let series: [(name: String, points: [DivergenceCurve.Point])]
  private let xRange: ClosedRange<Double>
  private let yRange: ClosedRange<Double>

  private static let size = (width: 480.0, height: 300.0)
  private static let margin = (left: 60.0, right: 12.0, top: 12.0, bottom: 62.0)

  init(_ figure: EvaluationReport.Figure) {
    self.figure = figure
    series = figure.series.map { series in (series.name, series.points.filter { $0.x.isFinite && $0.y.isFinite }) }
    let points = series.flatMap(\.points)
    xRange = Self.range(points.map(\.x))
    yRange = Self.range(points.map(\.y))
  }

  private static func range(_ values: [Double]) -> ClosedRange<Double> {
    guard let low = values.min(), let high = values.max() else { return 0...1 }
    let room = high > low ? 0.04 * (high - low) : max(1e-3, abs(low) * 0.1)
    return low - room...high + room
  }

  /// Round numbers in a range, about five.
  static func ticks(_ range: ClosedRange<Double>) -> [Double] {
    let rough = (range.upperBound - range.lowerBound) / 5
    let power = pow(10, floor(log10(rough)))
    let step = power * ([1, 2, 5].first { power * $0 >= rough } ?? 10)
    let first = Int((range.lowerBound / step).rounded(.up))
    let last = Int((range.upperBound / step).rounded(.down))
    return first > last ? [] : (first...last).map { Double($0) * step }
  }

  private func x(_ value: Double) -> Double {
    let share = (value - xRange.lowerBound) / (xRange.upperBound - xRange.lowerBound)
    return Self.margin.left + share * (Self.size.width - Self.margin.left - Self.margin.right)
  }

  private func y(_ value: Double) -> Double {
    let share = (value - yRange.lowerBound) / (yRange.upperBound - yRange.lowerBound)
    return Self.size.height - Self.margin.bottom - share * (Self.size.height - Self.margin.top - Self.margin.bottom)
  }

  var svg: String {
    let (width, height) = Self.size
    let (left, right, bottom) = (Self.margin.left, width - Self.margin.right, height - Self.margin.bottom)
    func number(_ value: Double) -> String { String(format: "%.1f", value) }
    func label(_ value: Double) -> String { String(format: "%.6g", value) }
    var parts = [
      "<svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\" aria-label=\"\(escaped(figure.title))\">"
    ]
    for tick in Self.ticks(yRange) {
      parts.append(
        "<line x1=\"\(number(left))\" x2=\"\(number(right))\" y1=\"\(number(y(tick)))\" y2=\"\(number(y(tick)))\" "
          + "stroke=\"var(--line)\"/><text x=\"\(number(left - 6))\" y=\"\(number(y(tick) + 4))\" "
          + "text-anchor=\"end\">\(label(tick))</text>")
    }
    for tick in Self.ticks(xRange) {
      parts.append(
        "<text x=\"\(number(x(tick)))\" y=\"\(number(bottom + 16))\" text-anchor=\"middle\">\(label(tick))</text>")
    }
    parts.append(
      "<text x=\"\(number((left + right) / 2))\" y=\"\(number(bottom + 32))\" text-anchor=\"middle\">"
        + "\(escaped(figure.xLabel))</text><text transform=\"translate(12 \(number(bottom / 2))) rotate(-90)\" "
        + "text-anchor=\"middle\">\(escaped(figure.yLabel))</text>")
    var legend = left
    for (index, series) in series.enumerated() {
      let colour = "var(--s\(index % 4))"
      let path = series.points.map { "\(number(x($0.x))),\(number(y($0.y)))" }.joined(separator: " ")
      parts.append("<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>")
      if series.points.count <= 32 {
        parts += series.points.map {
          "<circle cx=\"\(number(x($0.x)))\" cy=\"\(number(y($0.y)))\" r=\"3\" fill=\"\(colour)\"/>"
        }
      }
      parts.append(
        "<circle cx=\"\(number(legend + 5))\" cy=\"\(number(height - 10))\" r=\"4\" fill=\"\(colour)\"/>"
          + "<text x=\"\(number(legend + 14))\" y=\"\(number(height - 6))\">\(escaped(series.name))</text>")
      legend += 26 + 7 * Double(series.name.count)
    }
    return (parts + ["</svg>"]).joined(separator: "\n")
  }
}
