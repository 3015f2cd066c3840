import Foundation

/// One number of an evaluation, as tables show it.
public struct Measure: Codable, Sendable, Equatable {
  /// What it belongs to, for example "Perplexity".
  public let group: String
  /// What was measured.
  public let name: String
  /// nil where it could not be measured.
  public let value: Double?
  /// The standard error of `value`, where it is known.
  public let error: Double?
  /// How the value is written.
  public let style: Style
  /// How it was measured, in a few words.
  public let note: String

  /// How a value is written.
  public enum Style: String, Codable, Sendable {
    /// As a number.
    case number
    /// As a percentage.
    case percent
  }

  /// A measure by its parts.
  public init(
    _ group: String, _ name: String, _ value: Double?, error: Double? = nil, style: Style = .number, note: String = ""
  ) {
    self.group = group
    self.name = name
    self.value = value
    self.error = error
    self.style = style
    self.note = note
  }

  /// The value as people read it.
  public var text: String { Self.text(value, style) }

  /// The standard error as people read it.
  public var errorText: String { error == nil ? "–" : "± " + Self.text(error, style) }

  private static func text(_ value: Double?, _ style: Style) -> String {
    guard let value else { return "–" }
    guard value.isFinite else { return value.isNaN ? "–" : value > 0 ? "∞" : "−∞" }
    switch style {
    case .percent: return String(format: "%.1f %%", 100 * value)
    case .number: return String(format: abs(value) >= 10 ? "%.2f" : "%.4f", value)
    }
  }

  // MARK: Measures of results

  /// A perplexity, with the error of its nats carried over.
  public static func perplexity(
    _ group: String, _ name: String, _ estimate: PerplexityEvaluation.Estimate, note: String = ""
  ) -> Measure {
    Measure(
      group, name, estimate.perplexity, error: estimate.standardError.map { $0 * estimate.perplexity },
      note: [String(format: "%.4f nats/token", estimate.nats), note].filter { !$0.isEmpty }.joined(separator: "; "))
  }

  /// What samples say of themselves.
  public static func of(_ summary: SampleSummary) -> [Measure] {
    let group = "Samples"
    return [
      Measure(group, "entropy", summary.entropy, error: summary.entropyError, note: "nats, of a sample's tokens")
    ]
      + summary.distinct.enumerated().map { index, value in
        Measure(group, "distinct-\(index + 1)", value, note: "different over all \(index + 1)-grams")
      } + [
        Measure(
          group, "self-repetition", summary.selfRepetition,
          note: "share of a sample's \(SampleSummary.repetitionLength)-grams that it had before")
      ]
  }

  /// The shares of right answers.
  public static func of(_ accuracy: MultipleChoice.Accuracy, note: String) -> [Measure] {
    let group = "Multiple choice"
    return [
      Measure(
        group, "accuracy", accuracy.accuracy, error: accuracy.standardError, style: .percent, note: note),
      Measure(
        group, "accuracy by length", accuracy.accuracyPerCharacter, error: accuracy.standardErrorPerCharacter,
        style: .percent, note: "log p over the ending's characters; \(note)"),
    ]
  }
}
