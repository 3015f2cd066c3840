import Files
import Tokenizers

/// The sequences that a run trains on and those kept for validation.
public struct Corpus: Sendable {
  /// What is trained on.
  public let training: TokenBlocks
  /// What validates.
  public let validation: TokenBlocks
  /// The token files: that of the source and, if other files validate, that of those; none of what was made in memory.
  public let files: [TokenFile]

  /// A text that differs for different tokens or documents.
  public var fingerprint: String { files.map(\.fingerprint).joined(separator: "-") }

  /// What a run of an earlier version of this package knows the same tokens by.
  public var olderFingerprint: String { files.map(\.olderFingerprint).joined(separator: "-") }

  /// Sequences that are there already.
  public init(training: TokenBlocks, validation: TokenBlocks) {
    self.training = training
    self.validation = validation
    files = []
  }

  /// Opens the token files of a corpus, which are made if they are missing or out of date.
  ///
  /// - Parameters:
  ///   - configuration: the corpus.
  ///   - length: the number of tokens in a sequence.
  ///   - tokenizer: how its text becomes tokens.
  ///   - seed: where random windows lie.
  ///   - progress: called now and then while a token file is made.
  /// - Throws: `FileError`, `CorpusError`.
  public init(
    _ configuration: CorpusConfiguration, length: Int, tokenizer: any Tokenizer, seed: UInt64 = 0,
    progress: (TokenizationProgress) throws -> Void = { _ in }
  ) throws {
    let (packing, name) = (configuration.packing, configuration.source.name)
    func blocks(
      _ file: TokenFile, _ part: TokenFile.Part, _ packing: Packing, of name: String = name
    ) throws -> TokenBlocks {
      try TokenBlocks(file, part, name: name, packing: packing, length: length, tokenizer: tokenizer, seed: seed)
    }
    try TokenBlocks.validate(length: length, packing: packing)
    let file = try configuration.tokenFile(of: configuration.source, tokenizer: tokenizer, progress: progress)
    // Windows are for training: validation looks at each token once.
    let validationPacking = packing == .crop ? .continuous : packing
    if case .source(let source) = configuration.validation {
      let other = try configuration.tokenFile(of: source, tokenizer: tokenizer, progress: progress)
      training = try blocks(file, file.whole, packing)
      validation = try blocks(other, other.whole, validationPacking, of: source.name)
      files = [file, other]
    } else {
      let parts = try Self.split(file, configuration, length: length)
      training = try blocks(file, parts.training, packing)
      validation = try blocks(file, parts.validation, validationPacking)
      files = [file]
    }
  }

  private static func split(
    _ file: TokenFile, _ configuration: CorpusConfiguration, length: Int
  ) throws -> (training: TokenFile.Part, validation: TokenFile.Part) {
    typealias Part = TokenFile.Part
    let (whole, name) = (file.whole, configuration.source.name)
    func parts(documents: Int, tokens: Int) -> (Part, Part) {
      (
        Part(documents: 0..<documents, tokens: 0..<tokens),
        Part(documents: documents..<file.documentCount, tokens: tokens..<file.count)
      )
    }
    func cut(atDocument index: Int) -> (Part, Part) {
      parts(documents: index, tokens: file.document(index).lowerBound)
    }
    switch configuration.validation {
    case .share(let share):
      guard share > 0, share < 1 else { throw CorpusError.validationFraction(share) }
      let isByDocument = configuration.packing == .padded
      let unit = configuration.packing == .framed ? length - 2 : configuration.packing == .crop ? 2 * length : length
      let count = isByDocument ? file.documentCount : file.count / unit
      guard count >= 2 else {
        throw CorpusError.tooFewTokens(
          name: name, found: file.count, length: length, validationFraction: share)
      }
      let kept = min(max(1, Int((Double(count) * share).rounded())), count - 1)
      return isByDocument ? cut(atDocument: count - kept) : parts(documents: 0, tokens: (count - kept) * unit)
    case .lastDocuments(let kept):
      guard (1..<max(2, file.documentCount)).contains(kept), kept < file.documentCount else {
        throw FileError(
          "\(name) has \(file.documentCount) documents, expected more than the \(kept) that validate")
      }
      return cut(atDocument: file.documentCount - kept)
    case .tokens(let training, let validation):
      guard training > 0, validation > 0, training <= file.count - validation else {
        throw FileError(
          "\(name) has \(file.count) tokens, expected \(training) for training and \(validation) for validation")
      }
      return (
        Part(documents: whole.documents, tokens: 0..<training),
        Part(documents: whole.documents, tokens: training..<training + validation)
      )
    case .source: return (whole, whole)
    }
  }
}
