import Files
import Foundation
import Tokenizers

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

  /// A corpus by its parts.
  public init(
    source: CorpusSource, validation: Validation = .share(0.1), packing: Packing = .continuous,
    appendsEndOfText: Bool = true, tokenFolder: String? = nil
  ) {
    self.source = source
    self.validation = validation
    self.packing = packing
    self.appendsEndOfText = appendsEndOfText
    self.tokenFolder = tokenFolder
  }
}

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
    guard (1...CorpusError.maximumLength).contains(length) else { throw CorpusError.length(length) }
    let packing = configuration.packing
    guard length > 2 || packing == .continuous || packing == .crop else { throw CorpusError.framedLength(length) }
    let file = try configuration.tokenFile(of: configuration.source, tokenizer: tokenizer, progress: progress)

    let name = configuration.source.name

    func blocks(
      _ file: TokenFile, _ part: Part, _ packing: Packing, of name: String = name
    ) throws -> TokenBlocks {
      let packed = PackedTokens(
        file, packing, length: length, documents: part.documents, tokens: part.tokens, tokenizer: tokenizer, seed: seed)
      guard packed.count > 0 else {
        throw CorpusError.tooFewTokens(name: name, found: part.tokens.count, length: length, validationFraction: nil)
      }
      return TokenBlocks(packed)
    }
    // Windows are for training: validation looks at each token once.
    let validationPacking = packing == .crop ? .continuous : packing
    if case .source(let source) = configuration.validation {
      let other = try configuration.tokenFile(of: source, tokenizer: tokenizer, progress: progress)
      training = try blocks(file, Part(file), packing)
      validation = try blocks(other, Part(other), validationPacking, of: source.name)
      files = [file, other]
    } else {
      let parts = try Self.split(file, configuration, length: length)
      training = try blocks(file, parts.training, packing)
      validation = try blocks(file, parts.validation, validationPacking)
      files = [file]
    }
  }

  /// A part of a token file, as documents and as tokens.
  private struct Part {
    var documents: Range<Int>
    var tokens: Range<Int>

    init(documents: Range<Int>, tokens: Range<Int>) {
      self.documents = documents
      self.tokens = tokens
    }

    init(_ file: TokenFile) { self.init(documents: 0..<file.documentCount, tokens: 0..<file.count) }
  }

  private static func split(
    _ file: TokenFile, _ configuration: CorpusConfiguration, length: Int
  ) throws -> (training: Part, validation: Part) {
    let (whole, name) = (Part(file), configuration.source.name)
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

extension CorpusConfiguration {
  /// The token file of a source: itself, if that is what it names.
  public func tokenFile(
    of source: CorpusSource, tokenizer: any Tokenizer, progress: (TokenizationProgress) throws -> Void = { _ in }
  ) throws -> TokenFile {
    if source.paths.count == 1, TokenFile.isTokenFile(source.paths[0]) {
      let file = try TokenFile(opening: source.paths[0])
      guard try file.metadata.isOf(tokenizer) else {
        throw FileError("\(file.path) was made with another tokenizer than the one that is used now")
      }
      return file
    }
    let folder = tokenFolder ?? Self.defaultTokenFolder
    try Folder.make(folder)
    let file = try TokenFile.make(
      at: "\(folder)/\(try tokenFileName(of: source, tokenizer))", of: source, tokenizer: tokenizer,
      appendsEndOfText: appendsEndOfText, progress: progress)
    // What cannot be read twice serves once; the tokens stay as long as they are mapped.
    if file.metadata.inputs == nil { unlink(file.path) }
    return file
  }

  /// A name that differs for different sources, tokenizers and options.
  private func tokenFileName(of source: CorpusSource, _ tokenizer: any Tokenizer) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    var absolute = source
    absolute.paths = source.paths.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    let description =
      try encoder.encode(absolute) + Data(TokenFileMetadata.fingerprint(of: tokenizer).utf8) + [
        appendsEndOfText ? 1 : 0
      ]
    let stem = URL(fileURLWithPath: source.paths.first ?? "").lastPathComponent.prefix { $0 != "." }
    return "\(stem.isEmpty ? "text" : String(stem.prefix(40)))-\(FileDigest.sha256(of: description).prefix(16)).tokens"
  }

  /// The usual folder for token files: `tokens` in `ESOLM_CACHE`, or in a folder of this package in the user's cache.
  public static var defaultTokenFolder: String {
    let environment = ProcessInfo.processInfo.environment
    func named(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    let cache =
      named("ESOLM_CACHE") ?? named("XDG_CACHE_HOME").map { "\($0)/esolm" } ?? "\(NSHomeDirectory())/.cache/esolm"
    return "\(cache)/tokens"
  }
}
