import Corpora
import EsoLM

/// What a run is trained on. It is decoded from files of the first version alone: those of now are `StoredData`.
public struct DataConfiguration: Decodable, Sendable, Equatable {
  /// Where sequences come from.
  public enum Source: Decodable, Sendable, Equatable {
    /// A text file, as runs of earlier versions name it; the fingerprint tells whether it changed since.
    case file(path: String, fingerprint: String)
    /// A corpus in token files; the fingerprint tells whether its tokens changed since.
    case corpus(CorpusConfiguration, fingerprint: String)
    /// The toy language: so many sequences from its own seed.
    case toyLanguage(sequences: Int, seed: UInt64)
    /// None: the weights were converted from a file that somebody else trained.
    case converted(from: String)
  }

  /// Where the sequences come from.
  public var source: Source
  /// The share of sequences kept for validation.
  public var validationFraction: Double

  /// Data by their source.
  public init(source: Source, validationFraction: Double = CorpusConfiguration.usualValidationShare) {
    self.source = source
    self.validationFraction = validationFraction
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first field that does not fit.
  public func validate() throws {
    try ConfigurationError.require(
      validationFraction > 0 && validationFraction < 1, "validationFraction", validationFraction,
      expected: "a number between 0 and 1")
    guard case .toyLanguage(let sequences, _) = source else { return }
    try ConfigurationError.require(
      (2...(1 << 28)).contains(sequences), "sequences", sequences, expected: "2 to \(1 << 28)")
  }
}
