/// A corpus as a run uses it: where its text is, how it is packed, and what of it is kept for validation.
public struct CorpusConfiguration: Codable, Hashable, Sendable {
  /// What validates.
  public enum Validation: Codable, Hashable, Sendable {
    /// This share of the sequences, the last ones.
    case share(Double)
    /// So many documents, the last ones.
    case lastDocuments(Int)
    /// So many tokens that follow those of training; what is left is for tests.
    case tokens(training: Int, validation: Int)
    /// Other files.
    case source(CorpusSource)
  }

  /// Where the text comes from.
  public var source: CorpusSource
  /// What of it validates.
  public var validation: Validation
  /// How documents become sequences.
  public var packing: Packing
  /// Whether `endOfText` follows every document.
  public var appendsEndOfText: Bool
  /// The folder in which token files are kept; nil is the usual one of the machine at hand.
  public var tokenFolder: String?

  /// The share of sequences that validate where nothing else is said.
  public static let usualValidationShare = 0.1

  /// A corpus by its parts.
  public init(
    source: CorpusSource, validation: Validation = .share(usualValidationShare), packing: Packing = .continuous,
    appendsEndOfText: Bool = true, tokenFolder: String? = nil
  ) {
    self.source = source
    self.validation = validation
    self.packing = packing
    self.appendsEndOfText = appendsEndOfText
    self.tokenFolder = tokenFolder
  }
}
