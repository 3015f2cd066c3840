import Reports

/// Everything that was measured of a run, ready to be shown: as JSON, as one Markdown table, or as one HTML page.
public struct EvaluationReport: Codable, Sendable, Equatable {
  public static let currentFormat = 1

  public var formatVersion = EvaluationReport.currentFormat
  public var title: String
  /// What the run is: names and values.
  public var facts: [Fact] = []
  public var measures: [Measure] = []
  public var figures: [Figure] = []
  public var samples: [String] = []
  /// How all of it is made again.
  public var recipe: Recipe?

  public struct Fact: Codable, Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Lines over a common axis.
  public struct Figure: Codable, Sendable, Equatable {
    public struct Point: Codable, Sendable, Equatable {
      public let x: Double
      public let y: Double
      /// The standard error of `y`, where it is known.
      public let error: Double?

      public init(x: Double, y: Double, error: Double? = nil) {
        self.x = x
        self.y = y
        self.error = error
      }
    }

    public struct Series: Codable, Sendable, Equatable {
      public let name: String
      /// x rising.
      public let points: [Point]

      public init(_ name: String, _ points: [Point]) {
        self.name = name
        self.points = points
      }
    }

    public let title: String
    public let xLabel: String
    public let yLabel: String
    /// Both axes go from 0 to 1, whatever the values are.
    public let isUnitSquare: Bool
    public let series: [Series]

    public init(_ title: String, x: String, y: String, isUnitSquare: Bool = false, _ series: [Series]) {
      self.title = title
      xLabel = x
      yLabel = y
      self.isUnitSquare = isUnitSquare
      self.series = series
    }
  }

  public init(title: String) { self.title = title }

  /// The groups of measures, in their order.
  var groups: [(name: String, measures: [Measure])] {
    var names: [String] = []
    for measure in measures where !names.contains(measure.group) { names.append(measure.group) }
    return names.map { name in (name, measures.filter { $0.group == name }) }
  }

  // MARK: Markdown

  /// One table with all measures, under the title.
  public var markdown: String {
    func cell(_ text: String) -> String {
      text.map { "\\`*_[]<>|".contains($0) ? "\\\($0)" : $0.isNewline ? " " : "\($0)" }.joined()
    }
    func row(_ cells: [String]) -> String { "| \(cells.map(cell).joined(separator: " | ")) |" }
    let facts = facts.map { "\(cell($0.name)): \(cell($0.value))" }.joined(separator: "; ")
    let rows = measures.map { row([$0.group, $0.name, $0.text, $0.errorText, $0.note]) }
    let made = recipe.map { ["", "Made by: \(cell($0.command)) (\(cell($0.program)); seed \($0.seed))"] } ?? []
    return
      (["# \(cell(title))", "", facts, "", row(["", "measure", "value", "± error", "how"]), "|---|---|--:|--:|---|"]
      + rows + made).joined(separator: "\n") + "\n"
  }
}
