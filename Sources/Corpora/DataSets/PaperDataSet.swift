import Files
import Foundation

/// A published data set as the paper uses it: its files, how they are read, and where a user gets them.
///
/// Nothing is downloaded: a user puts the files into a folder, by the names that they have where they come from.
public struct PaperDataSet: Sendable {
  /// A part of a data set.
  public enum Split: String, CaseIterable, Codable, Sendable {
    /// What is trained on, what validates, what is left for tests.
    case train, validation, test
  }

  /// The vocabulary of the published figures.
  public enum Vocabulary: String, Sendable {
    /// GPT-2's byte pairs, 50,257 tokens.
    case gpt2
    /// BERT's word pieces in lower case, 30,522 tokens.
    case bert = "bert-base-uncased"
    /// The 35 tokens of the published models of text8.
    case text8
  }

  /// The name on the command line.
  public let name: String
  /// What it is, in a few words.
  public let about: String
  /// Where a user gets the files, in one line.
  public let origin: String
  /// The vocabulary of the published figures.
  public let vocabulary: Vocabulary
  /// Tokens of a sequence in the published figures.
  public let length: Int
  /// How its documents become sequences.
  public let packing: Packing
  /// Whether an end of text follows every document.
  public let appendsEndOfText: Bool
  /// Which part the published zero-shot figures are for.
  public let evaluated: Split

  /// For each part its files, relative to the data folder: names with `*`, of which the first that is there counts.
  let files: [Split: [String]]
  let format: CorpusSource.Format
  let detokenizer: Detokenizer?
  /// What validates where no files do.
  let heldOut: CorpusConfiguration.Validation?

  /// The preset of a name.
  ///
  /// - Throws: `FileError` naming all presets if there is none.
  public static func named(_ name: String) throws -> PaperDataSet {
    guard let preset = all.first(where: { $0.name == name }) else {
      throw FileError("no data set '\(name)'; expected one of \(all.map(\.name).joined(separator: ", "))")
    }
    return preset
  }

  /// The parts that have files of their own.
  public var splits: [Split] { Split.allCases.filter { files[$0] != nil } }

  /// What of a data folder is read for a part.
  ///
  /// - Throws: `FileError` that says which files are missing and where they come from.
  public func source(_ split: Split, in folder: String) throws -> CorpusSource {
    guard let patterns = files[split] else {
      throw FileError(
        "\(name) has no files for \(split.rawValue), only for \(splits.map(\.rawValue).joined(separator: ", "))")
    }
    guard let found = patterns.lazy.map({ Self.matches($0, in: folder) }).first(where: { !$0.isEmpty }) else {
      throw FileError(
        "\(folder) holds no \(patterns.joined(separator: " or ")), the \(split.rawValue) part of \(name); get it: \(origin)"
      )
    }
    return CorpusSource(paths: found, format: format, detokenizer: detokenizer)
  }

  /// The corpus for a run: the files for training, and what validates.
  public func corpus(in folder: String, tokenFolder: String?) throws -> CorpusConfiguration {
    CorpusConfiguration(
      source: try source(.train, in: folder),
      validation: try heldOut ?? .source(source(files[.validation] == nil ? .test : .validation, in: folder)),
      packing: packing, appendsEndOfText: appendsEndOfText, tokenFolder: tokenFolder)
  }

  /// The files of a pattern, sorted.
  private static func matches(_ pattern: String, in folder: String) -> [String] {
    let literal = folder.map { #"\*?[]"#.contains($0) ? "\\\($0)" : "\($0)" }.joined()
    let pattern = "\(literal)/\(pattern)"
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }

  init(
    _ name: String, _ about: String, origin: String, vocabulary: Vocabulary = .gpt2, length: Int = 1024,
    packing: Packing = .continuous, appendsEndOfText: Bool = true, evaluated: Split = .validation,
    format: CorpusSource.Format, detokenizer: Detokenizer? = nil, heldOut: CorpusConfiguration.Validation? = nil,
    files: [Split: [String]]
  ) {
    self.name = name
    self.about = about
    self.origin = origin
    self.vocabulary = vocabulary
    self.length = length
    self.packing = packing
    self.appendsEndOfText = appendsEndOfText
    self.evaluated = evaluated
    self.format = format
    self.detokenizer = detokenizer
    self.heldOut = heldOut
    self.files = files
  }
}
