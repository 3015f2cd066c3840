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
  public struct Number: Codable, Sendable {
    /// nil where it is none.
    public let value: Double?

    /// A number, or null for one that is infinite or NaN.
    public init(_ value: Double) { self.value = value.isFinite ? value : nil }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      value = container.decodeNil() ? nil : try container.decode(Double.self)
    }

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

/// A line of `metrics.jsonl`: what a step measured. Lines of earlier versions have fewer fields.
public struct TrainingRecord: Codable, Sendable {
  /// How many updates were made.
  public var step: Int
  /// Tokens of all sequences that were trained on so far.
  public var tokens: Int?
  /// How long the run was trained so far, all its parts together.
  public var seconds: Double?
  /// The loss of the batch, nats a token.
  public var loss: MetricsLog.Number?
  /// The part of it that is of tokens which diffusion predicts.
  public var diffusionLoss: MetricsLog.Number?
  /// The part of it that is of tokens which are predicted one after another.
  public var sequentialLoss: MetricsLog.Number?
  /// The gradients' norm before clipping.
  public var gradientNorm: MetricsLog.Number?
  /// The learning rate.
  public var learningRate: MetricsLog.Number?
  /// The speed.
  public var tokensPerSecond: MetricsLog.Number?
  /// Nats per token of the validation sequences, where they were measured at this step.
  public var validationNELBO: MetricsLog.Number?
  /// Its exponential.
  public var validationPerplexity: MetricsLog.Number?
  /// Texts that were sampled at this step.
  public var texts: [String]?

  /// A line without measurements.
  public init(step: Int) { self.step = step }

  /// The numbers of a line by their names in plots and logs.
  public var scalars: [(name: String, value: Double)] {
    let all: [(String, MetricsLog.Number?)] = [
      ("loss/train", loss), ("loss/diffusion", diffusionLoss), ("loss/sequential", sequentialLoss),
      ("validation/nelbo", validationNELBO), ("validation/perplexity", validationPerplexity),
      ("training/gradient norm", gradientNorm), ("training/learning rate", learningRate),
      ("training/tokens per second", tokensPerSecond),
    ]
    return all.compactMap { name, number in number?.value.map { (name, $0) } }
  }

  /// The lines of a run; those that are none are left out.
  public static func all(of run: String) throws -> [TrainingRecord] { try lines(of: run).records }

  /// The lines of a run, and the numbers, from 1, of those that are none.
  public static func lines(of run: String) throws -> (records: [TrainingRecord], badLines: [Int]) {
    let read = try JSONLinesFile.read(
      TrainingRecord.self, from: "\(run)/\(MetricsLog.fileName)", skipBadLines: true)
    return (read.values.map(\.value), read.badLines)
  }
}
