import Files
import Foundation

/// `metrics.jsonl` of a run folder: one JSON object a line, each with the step that it belongs to.
public struct MetricsLog {
  package static let fileName = "metrics.jsonl"
  private let path: String

  /// The log of a run.
  public init(_ run: RunFolder) { path = "\(run.path)/\(Self.fileName)" }

  /// Drops the lines after a step: a run that was killed may have measured further than it had saved.
  public func truncate(after step: Int) throws {
    guard FileManager.default.fileExists(atPath: path) else { return }
    let lines = String(decoding: try MappedFile.read(path), as: UTF8.self).split(separator: "\n")
    let kept = lines.filter { line in (try? JSONValue(parsing: line.utf8)["step"]?.integer).map { $0 <= step } ?? false
    }
    try AtomicFile.write(Data(kept.map { $0 + "\n" }.joined().utf8), to: path)
  }

  /// A number of a line; `null` where it is none: infinite, or not a number.
  public struct Number: Encodable, Sendable {
    private let value: Double?

    /// A number, or null for one that is infinite or NaN.
    public init(_ value: Double) { self.value = value.isFinite ? value : nil }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      if let value { try container.encode(value) } else { try container.encodeNil() }
    }
  }

  /// Appends one line; a file that is missing is made.
  public func append(_ entry: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try FileWriter.append(try encoder.encode(entry) + Data("\n".utf8), to: path)
  }
}
