import Reports

/// Everything that was measured of a run, ready to be shown: as JSON, as one Markdown table, or as one HTML page.
public struct EvaluationReport: Codable, Sendable, Equatable {
  /// The version of the JSON that is written now.
  public static let currentFormat = 1

  /// The version of its JSON.
  public var formatVersion = EvaluationReport.currentFormat
  /// The page's title.
  public var title: String
  /// What the run is: names and values.
  public var facts: [Fact] = []
  /// What was measured.
  public var measures: [Measure] = []
  /// The plots.
  public var figures: [Figure] = []
  /// Texts that the run wrote.
  public var samples: [String] = []
  /// How all of it is made again.
  public var recipe: Recipe?

  /// What is known beforehand: a name and a value.
  public struct Fact: Codable, Sendable, Equatable {
    /// What it is about.
    public let name: String
    /// What is so.
    public let value: String

    /// A fact by its parts.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Lines over a common axis.
  public struct Figure: Codable, Sendable, Equatable {
    /// A point of a line.
    public struct Point: Codable, Sendable, Equatable {
      /// Where it stands on the x axis.
      public let x: Double
      /// Its height.
      public let y: Double
      /// The standard error of `y`, where it is known.
      public let error: Double?

      /// A point by its parts.
      public init(x: Double, y: Double, error: Double? = nil) {
        self.x = x
        self.y = y
        self.error = error
      }
    }

    /// A line of a plot.
    public struct Series: Codable, Sendable, Equatable {
      /// The name in the legend.
      public let name: String
      /// x rising.
      public let points: [Point]

      /// A line through points.
      public init(_ name: String, _ points: [Point]) {
        self.name = name
        self.points = points
      }
    }

    /// What stands above the plot.
    public let title: String
    /// What stands below it.
    public let xLabel: String
    /// What stands beside it.
    public let yLabel: String
    /// Both axes go from 0 to 1, whatever the values are.
    public let isUnitSquare: Bool
    /// Its lines.
    public let series: [Series]

    /// A plot by its parts.
    public init(_ title: String, x: String, y: String, isUnitSquare: Bool = false, _ series: [Series]) {
      self.title = title
      xLabel = x
      yLabel = y
      self.isUnitSquare = isUnitSquare
      self.series = series
    }
  }

  /// A report without contents.
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
    let seed = (recipe?.seed).map { "; seed \($0)" } ?? ""
    let made = recipe.map { ["", "Made by: \(cell($0.command)) (\(cell($0.program))\(seed))"] } ?? []
    return
      (["# \(cell(title))", "", facts, "", row(["", "measure", "value", "± error", "how"]), "|---|---|--:|--:|---|"]
      + rows + made).joined(separator: "\n") + "\n"
  }
}
