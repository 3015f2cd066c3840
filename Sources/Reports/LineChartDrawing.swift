import Foundation

// The figure as SVG. It is never shown smaller than it is drawn, so that its text keeps its size.
extension LineChart {
  static let width = 480.0
  private static let plotHeight = 300.0
  private static let margin = (left: 60.0, right: 14.0, top: 12.0, bottom: 44.0)
  /// Lines with more points have no dots, but still tell their values.
  private static let mostDots = 40
  /// So many points of a line tell their values, spread over it.
  private static let mostValues = 400

  /// - Parameter colours: the number of each method's colour on the page.
  func svg(colours: [String: Int]) -> String {
    let size = "viewBox=\"0 0 \(Int(Self.width)) \(Int(height))\""
    return
      (["<svg class=\"chart\" \(size) role=\"img\" aria-label=\"\(escaped(title))\">"] + parts(colours: colours)
      + ["</svg>"]).joined(separator: "\n")
  }

  /// How high it is drawn.
  var height: Double { Self.plotHeight + legend([:]).height }

  /// What is drawn, below each other.
  func parts(colours: [String: Int]) -> [String] {
    // What others are held against lies below them.
    let lines = [true, false].flatMap { isDashed in
      zip(series, variants).filter { $0.0.isDashed == isDashed }
        .flatMap { drawn($0, Self.colour(of: $0, colours), variant: $1) }
    }
    return axes + lines + legend(colours).parts
  }

  private static func colour(of series: Series, _ colours: [String: Int]) -> String {
    series.method.flatMap { colours[$0] }.map { "var(--s\($0 % HTMLPage.colourCount))" } ?? "var(--faint)"
  }

  /// Which of its method's series each one is.
  private var variants: [Int] {
    series.indices.map { index in series[..<index].count { $0.method == series[index].method } }
  }

  // MARK: Axes

  private func place(x value: Double) -> Double {
    Self.margin.left + x.position(value) * (Self.width - Self.margin.left - Self.margin.right)
  }

  private func place(y value: Double) -> Double {
    let bottom = Self.plotHeight - Self.margin.bottom
    return bottom - y.position(value) * (bottom - Self.margin.top)
  }

  private var axes: [String] {
    let (left, right) = (Self.margin.left, Self.width - Self.margin.right)
    let bottom = Self.plotHeight - Self.margin.bottom
    let horizontal = y.ticks.map { tick in
      let height = place(y: tick)
      return "<path class=\"grid\" d=\"M\(text(left)),\(text(height))H\(text(right))\"/>"
        + "<text x=\"\(text(left - 6))\" y=\"\(text(height + 4))\" text-anchor=\"end\">\(y.text(tick))</text>"
    }
    let vertical = x.ticks.map { tick in
      "<text x=\"\(text(place(x: tick)))\" y=\"\(text(bottom + 16))\" text-anchor=\"middle\">\(x.text(tick))</text>"
    }
    let names =
      "<text x=\"\(text((left + right) / 2))\" y=\"\(text(bottom + 36))\" text-anchor=\"middle\">"
      + "\(escaped(x.label))</text><text transform=\"translate(12 \(text((Self.margin.top + bottom) / 2))) rotate(-90)\" "
      + "text-anchor=\"middle\">\(escaped(y.label))</text>"
    return horizontal + vertical + [names]
  }

  // MARK: Series

  private func drawn(_ series: Series, _ colour: String, variant: Int) -> [String] {
    guard !series.points.isEmpty else { return [] }
    let path = series.points.map { "\(text(place(x: $0.x))),\(text(place(y: $0.y)))" }.joined(separator: " ")
    let dash = series.isDashed ? " stroke-dasharray=\"5 4\"" : ""
    let line = "<polyline points=\"\(path)\" stroke=\"\(colour)\"\(dash)/>"
    let step = max(1, (series.points.count + Self.mostValues - 1) / Self.mostValues)
    return [line]
      + series.points.indices.filter { $0.isMultiple(of: step) }.map { index in
        // Of a line that something is held against, one dot tells the shape.
        let hasDot = series.points.count <= Self.mostDots && (!series.isDashed || index == series.points.count - 1)
        return dot(series.points[index], of: series, colour, shape: hasDot ? variant : nil)
      }
  }

  /// A point that tells what it stands for, whether it is seen or not.
  private func dot(_ point: Point, of series: Series, _ colour: String, shape: Int?) -> String {
    let (x, y) = (place(x: point.x), place(y: point.y))
    var parts = "<g class=\"point\"><title>\(escaped(told(point, of: series)))</title>"
    if let shape {
      if let error = point.error {
        let (high, low) = (text(place(y: point.y + error)), text(place(y: point.y - error)))
        parts +=
          "<path class=\"error\" stroke=\"\(colour)\" d=\"M\(text(x)),\(low)V\(high)"
          + "M\(text(x - 4)),\(low)h8M\(text(x - 4)),\(high)h8\"/>"
      }
      parts += Self.dot(shape, x: x, y: y, colour)
    }
    return parts + "<circle cx=\"\(text(x))\" cy=\"\(text(y))\" r=\"9\"/></g>"
  }

  private func told(_ point: Point, of series: Series) -> String {
    let error = point.error.map { " ± \(y.text($0, digits: 2))" } ?? ""
    return
      (["\(series.name): \(y.text(point.y, digits: 4))\(error)", "\(x.label): \(x.text(point.x, digits: 4))"]
      + [point.note].compactMap(\.self)).joined(separator: "\n")
  }

  /// Shapes that tell the series of a method apart.
  private static func dot(_ shape: Int, x: Double, y: Double, _ colour: String) -> String {
    let outline = [
      "m-3.5,0a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z", "m-3.2,-3.2h6.4v6.4h-6.4z",
      "m0,-4.6l4.6,4.6l-4.6,4.6l-4.6,-4.6z", "m0,-4.4l4.4,7.6h-8.8z", "m0,4.4l4.4,-7.6h-8.8z",
      "m-4,-1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z",
    ]
    return "<path class=\"dot\" fill=\"\(colour)\" d=\"M\(text(x)),\(text(y))\(outline[shape % outline.count])\"/>"
  }

  // MARK: Legend

  /// Names beside a piece of their lines, in as many columns as the longest leaves room for.
  private func legend(_ colours: [String: Int]) -> (parts: [String], height: Double) {
    let longest = series.map(\.name.count).max() ?? 0
    let room = Self.width - Self.margin.left
    // A character of 12 px is about 7 wide.
    let columns = max(1, min(3, Int(room / (36 + 7 * Double(longest)))))
    let rows = (series.count + columns - 1) / columns
    let parts = zip(series, variants).enumerated().map { index, entry in
      let (series, variant) = entry
      let left = Self.margin.left + Double(index / max(1, rows)) * room / Double(columns)
      let height = Self.plotHeight + 12 + 20 * Double(index % max(1, rows))
      let colour = Self.colour(of: series, colours)
      let dash = series.isDashed ? " stroke-dasharray=\"5 4\"" : ""
      let isDotted = series.points.count <= Self.mostDots
      return "<path d=\"M\(text(left)),\(text(height - 4))h22\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash)/>"
        + (isDotted ? Self.dot(variant, x: left + 11, y: height - 4, colour) : "")
        + "<text x=\"\(text(left + 28))\" y=\"\(text(height))\">\(escaped(series.name))</text>"
    }
    return (parts, 20 * Double(rows) + 6)
  }
}

/// A length of a drawing.
private func text(_ value: Double) -> String { String(format: "%.1f", value) }
