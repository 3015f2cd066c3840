import Foundation

/// A figure drawn as SVG: axes with round numbers, a line and dots for each series. Its colours are the page's.
public struct LineChart: Sendable {
  public struct Point: Sendable, Equatable {
    public let x: Double
    public let y: Double
    /// Shown when the point is pointed at.
    public let note: String?

    public init(x: Double, y: Double, note: String? = nil) {
      self.x = x
      self.y = y
      self.note = note
    }
  }

  public struct Series: Sendable {
    public let name: String
    public let points: [Point]
    /// Dashed lines are for what something else is held against.
    public let isDashed: Bool

    public init(_ name: String, _ points: [Point], isDashed: Bool = false) {
      self.name = name
      self.points = points
      self.isDashed = isDashed
    }
  }

  public let title: String
  private let xLabel: String
  private let yLabel: String
  private let series: [Series]
  private let isLogarithmic: Bool
  private let xRange: ClosedRange<Double>
  private let yRange: ClosedRange<Double>

  /// How many colours a page has.
  static let colours = 8
  private static let width = 640.0
  private static let plotHeight = 320.0
  private static let margin = (left: 64.0, right: 16.0, top: 12.0, bottom: 44.0)
  private static let legendColumns = 3

  /// - Parameter logarithmic: whether the x axis is; points at or below 0 are then left out.
  public init(_ title: String, xLabel: String, yLabel: String, series: [Series], logarithmic: Bool = false) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    isLogarithmic = logarithmic
    self.series = series.map { series in
      Series(
        series.name, series.points.filter { $0.x.isFinite && $0.y.isFinite && ($0.x > 0 || !logarithmic) },
        isDashed: series.isDashed)
    }
    let points = self.series.flatMap(\.points)
    xRange = Self.range(points.map { logarithmic ? log10($0.x) : $0.x })
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
    let (first, last) = ((range.lowerBound / step).rounded(.up), (range.upperBound / step).rounded(.down))
    return first > last ? [] : stride(from: first, through: last, by: 1).map { $0 * step }
  }

  /// Where the x axis has numbers: on a logarithmic one 1, 2 and 5 of each power of ten.
  private var xTicks: [Double] {
    guard isLogarithmic else { return Self.ticks(xRange) }
    let powers = Int(xRange.lowerBound.rounded(.down))...Int(xRange.upperBound.rounded(.up))
    return powers.flatMap { power in [1, 2, 5].map { $0 * pow(10, Double(power)) } }
      .filter { xRange.contains(log10($0)) }
  }

  private func x(_ value: Double) -> Double {
    let place = isLogarithmic ? log10(value) : value
    let share = (place - xRange.lowerBound) / (xRange.upperBound - xRange.lowerBound)
    return Self.margin.left + share * (Self.width - Self.margin.left - Self.margin.right)
  }

  private func y(_ value: Double) -> Double {
    let share = (value - yRange.lowerBound) / (yRange.upperBound - yRange.lowerBound)
    return Self.plotHeight - Self.margin.bottom
      - share * (Self.plotHeight - Self.margin.top - Self.margin.bottom)
  }

  public var svg: String {
    let legendRows = (series.count + Self.legendColumns - 1) / Self.legendColumns
    let height = Self.plotHeight + 18 * Double(legendRows) + 6
    return
      (["<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(height))\" role=\"img\" aria-label=\"\(escaped(title))\">"]
      + axes + series.enumerated().flatMap(drawn) + ["</svg>"]).joined(separator: "\n")
  }

  private func number(_ value: Double) -> String { String(format: "%.1f", value) }

  private var axes: [String] {
    let (left, right) = (Self.margin.left, Self.width - Self.margin.right)
    let bottom = Self.plotHeight - Self.margin.bottom
    func label(_ value: Double) -> String { String(format: "%.6g", value) }
    let horizontal = Self.ticks(yRange).map { tick in
      "<line x1=\"\(number(left))\" x2=\"\(number(right))\" y1=\"\(number(y(tick)))\" y2=\"\(number(y(tick)))\" "
        + "stroke=\"var(--line)\"/><text x=\"\(number(left - 6))\" y=\"\(number(y(tick) + 4))\" "
        + "text-anchor=\"end\">\(label(tick))</text>"
    }
    let vertical = xTicks.map { tick in
      "<text x=\"\(number(x(tick)))\" y=\"\(number(bottom + 16))\" text-anchor=\"middle\">\(label(tick))</text>"
    }
    let names =
      "<text x=\"\(number((left + right) / 2))\" y=\"\(number(bottom + 34))\" text-anchor=\"middle\">"
      + "\(escaped(xLabel))</text><text transform=\"translate(12 \(number(bottom / 2))) rotate(-90)\" "
      + "text-anchor=\"middle\">\(escaped(yLabel))</text>"
    return horizontal + vertical + [names]
  }

  private func drawn(_ index: Int, _ series: Series) -> [String] {
    let colour = "var(--s\(index % Self.colours))"
    let path = series.points.map { "\(number(x($0.x))),\(number(y($0.y)))" }.joined(separator: " ")
    let dash = series.isDashed ? " stroke-dasharray=\"5 4\"" : ""
    var parts = ["<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash)/>"]
    if series.points.count <= 32, !series.isDashed {
      parts += series.points.map { point in
        let note = point.note.map { "<title>\(escaped($0))</title>" } ?? ""
        return
          "<circle cx=\"\(number(x(point.x)))\" cy=\"\(number(y(point.y)))\" r=\"3.5\" fill=\"\(colour)\">\(note)</circle>"
      }
    }
    let column = Double(index % Self.legendColumns) * (Self.width - Self.margin.left) / Double(Self.legendColumns)
    let row = Self.plotHeight + 12 + 18 * Double(index / Self.legendColumns)
    parts.append(
      "<line x1=\"\(number(Self.margin.left + column))\" x2=\"\(number(Self.margin.left + column + 18))\" "
        + "y1=\"\(number(row - 4))\" y2=\"\(number(row - 4))\" stroke=\"\(colour)\" stroke-width=\"3\"\(dash)/>"
        + "<text x=\"\(number(Self.margin.left + column + 24))\" y=\"\(number(row))\">\(escaped(series.name))</text>")
    return parts
  }
}
