/// A figure: for each series a line, dots, and bars for the standard error of what was measured.
///
/// Colours are the page's, one for each method wherever it is drawn; series of one method differ in the shape of their
/// dots. What a dot stands for is told when it is pointed at.
public struct LineChart: Sendable {
  /// A point of a line.
  public struct Point: Sendable, Equatable {
    /// Where it is along the horizontal axis.
    public let x: Double
    /// Where it is along the vertical axis.
    public let y: Double
    /// The standard error of `y`; nil where it is not known.
    public let error: Double?
    /// What else is told of the point.
    public let note: String?

    /// A point by its parts; an error that is no number from 0 is not drawn.
    public init(x: Double, y: Double, error: Double? = nil, note: String? = nil) {
      self.x = x
      self.y = y
      self.error = error.flatMap { $0 >= 0 && $0.isFinite ? $0 : nil }
      self.note = note
    }

    /// What the y axis must reach.
    fileprivate var extent: [Double] { [y - (error ?? 0), y, y + (error ?? 0)] }
  }

  /// A line.
  public struct Series: Sendable {
    /// What the legend calls it.
    public let name: String
    /// Whose colour it has; nil for what is no method, such as a front of several.
    public let method: String?
    /// Its points, in the order in which they are joined.
    public let points: [Point]
    /// Dashed lines are for what something else is held against.
    public let isDashed: Bool

    /// A line by its parts.
    public init(_ name: String, method: String?, _ points: [Point], isDashed: Bool = false) {
      self.name = name
      self.method = method
      self.points = points
      self.isDashed = isDashed
    }
  }

  /// What stands above it.
  public let title: String
  let series: [Series]
  let x: ChartAxis
  let y: ChartAxis

  /// Points that are not finite, beyond ±1e300 or that an axis does not show are left out.
  public init(_ title: String, x: ChartAxis, y: ChartAxis, series: [Series]) {
    self.title = title
    self.series = series.map { series in
      Series(
        series.name, method: series.method, series.points.filter { x.shows($0.x) && y.shows($0.y) },
        isDashed: series.isDashed)
    }
    let points = self.series.flatMap(\.points)
    self.x = x.fitted(to: points.map(\.x))
    self.y = y.fitted(to: points.flatMap(\.extent).filter(y.shows))
  }

  /// Whether no line has a point.
  public var isEmpty: Bool { series.allSatisfy(\.points.isEmpty) }

  /// The methods that are drawn, in the order in which they come first.
  var methods: [String] {
    var found: [String] = []
    for case let method? in series.map(\.method) where !found.contains(method) { found.append(method) }
    return found
  }
}
