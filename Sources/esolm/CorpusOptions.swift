import ArgumentParser
import Corpora
import Files
import Foundation
import Tokenizers
import Tool

/// A tokenizer by name, or by its files.
enum TokenizerChoice: ExpressibleByArgument, Equatable {
  case kind(TokenizerKind)
  case path(String)

  init?(argument: String) {
    if let kind = TokenizerKind(rawValue: argument) {
      self = .kind(kind)
    } else if !argument.isEmpty {
      self = .path(argument)
    } else {
      return nil
    }
  }

  static let help: ArgumentHelp = ArgumentHelp(
    "bytes; characters, those of the text; text8, its 27 characters in lower case; or Hugging Face's files of a GPT-2 or BERT "
      + "tokenizer: tokenizer.json, vocab.json (merges.txt beside it), vocab.txt, or their folder.",
    valueName: "name|path")

  /// The tokenizer; nil if it depends on the text. What the user should know about it is said.
  func tokenizer() throws -> (any Tokenizer)? {
    switch self {
    case .kind(let kind):
      return kind.tokenizer
    case .path(let path):
      let tokenizer = try TokenizerFile.tokenizer(at: path)
      if let note = tokenizer.note { printError("\(path): \(note)") }
      return tokenizer
    }
  }
}

extension TokenizerChoice? {
  /// The tokenizer, where there is no text yet that could give the characters.
  func fixedTokenizer() throws -> any Tokenizer {
    // Not said by `validate`, which comes before the search for options that do not exist.
    guard let self else { throw ValidationError("--tokenizer is missing: name bytes, text8 or a tokenizer's files") }
    guard let tokenizer = try self.tokenizer() else {
      throw ValidationError("--tokenizer characters needs the run's text; name bytes, text8 or a tokenizer's files")
    }
    return tokenizer
  }
}

/// How text is read from files.
struct TextOptions: ParsableArguments {
  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text, jsonl, csv
  }

  enum Documents: String, CaseIterable, ExpressibleByArgument {
    case file, line, row
  }

  @Option(
    help: """
      text, jsonl (a JSON object a line) or csv. (default: for each file what its name and contents say; text with \
      --tokenizer bytes takes any bytes)
      """)
  var format: Format?

  @Option(help: ArgumentHelp("The field of JSON lines that is the text. (default: text)", valueName: "name"))
  var field: String?

  @Option(
    help: ArgumentHelp("The columns of CSV that are the text: numbers from 1, or names.", valueName: "a,b"))
  var columns: String?

  @Flag(help: "The first row of CSV files names the columns.")
  var csvHeader = false

  @Option(
    help: "What of a text is a document: file, line, or row (lines with their ends, blank ones empty). (default: file)")
  var documents: Documents?

  @Option(help: ArgumentHelp("Documents stand between occurrences of this (\\n for a line end).", valueName: "text"))
  var separator: String?

  @Option(
    help: ArgumentHelp(
      "Turn tokenised text into ordinary text as the paper does for \(Detokenizer.names).", valueName: "name"))
  var detokenize: Detokenizer?

  @Flag(help: "Leave out and count lines that are no valid record.")
  var skipBadLines = false

  var isGiven: Bool {
    format != nil || field != nil || columns != nil || csvHeader || documents != nil || separator != nil
      || detokenize != nil || skipBadLines
  }

  func validate() throws {
    let given = [
      ("--field", field != nil), ("--columns", columns != nil || csvHeader),
      ("--documents or --separator", documents != nil || separator != nil),
    ].filter(\.1).map(\.0)
    if format == nil, given.count > 1 {
      throw ValidationError("\(given[0]) and \(given[1]) are for different formats; name one by --format")
    }
    if documents != nil, separator != nil { throw ValidationError("--documents and --separator exclude each other") }
    if separator?.isEmpty == true { throw ValidationError("--separator is empty") }
    if let format, format != .csv, columns != nil || csvHeader {
      throw ValidationError("--columns and --csv-header are for --format csv")
    }
    if let format, format != .jsonl, field != nil { throw ValidationError("--field is for --format jsonl") }
    if let format, format != .text, documents != nil || separator != nil {
      throw ValidationError("--documents and --separator are for --format text")
    }
  }

  /// - Parameters:
  ///   - paths: files and folders; one that begins with `@` names a file that lists paths, one a line.
  ///   - tokenizer: what reads the text, if that is known: bytes can be taken as they are.
  func source(_ paths: [String], for tokenizer: (any Tokenizer)? = nil) throws -> CorpusSource {
    CorpusSource(
      paths: try Self.listed(paths), format: try sourceFormat(), detokenizer: detokenize, skipsBadLines: skipBadLines,
      takesAnyBytes: format == .text && tokenizer is ByteTokenizer ? true : nil)
  }

  static func listed(_ paths: [String]) throws -> [String] {
    try paths.flatMap { path -> [String] in
      guard path.hasPrefix("@") else { return [path] }
      return try TextFile.read(String(path.dropFirst())).split(whereSeparator: \.isNewline).map(String.init)
    }
  }

  private func sourceFormat() throws -> CorpusSource.Format {
    let rule: CorpusSource.Documents =
      if let separator { .separated(by: separator.replacingOccurrences(of: "\\n", with: "\n")) } else {
        switch documents ?? .file {
        case .file: .file
        case .line: .line
        case .row: .row
        }
      }
    switch format ?? (field != nil ? .jsonl : columns != nil || csvHeader ? .csv : nil) {
    case nil: return .byFile(documents: rule)
    case .text: return .text(documents: rule)
    case .jsonl: return .jsonLines(field: field ?? "text")
    case .csv:
      guard let columns else {
        throw ValidationError("--columns is missing: name the columns of CSV that are the text")
      }
      return .csv(columns: columns.split(separator: ",").map(String.init), hasHeader: csvHeader)
    }
  }
}

/// How documents become sequences, and data sets with all of it.
struct CorpusOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A data set of the paper, whose files are in --data-dir (see esolm datasets).", valueName: "name"))
  var dataset: String?

  @Option(help: ArgumentHelp("The folder with the files of --dataset.", valueName: "folder"))
  var dataDir: String?

  @Option(
    help: """
      How documents become sequences: continuous, framed (between a beginning and an end token), padded (one document \
      each), crop (random windows). (default: continuous)
      """)
  var packing: Packing?

  @Flag(help: "Put no end token after documents.")
  var noEndOfText = false

  @Option(
    help: ArgumentHelp("Where token files are kept. (default: tokens in the cache folder)", valueName: "folder"))
  var tokenDir: String?

  @OptionGroup(title: "Reading text") var text: TextOptions

  var isGiven: Bool {
    dataset != nil || dataDir != nil || packing != nil || noEndOfText || tokenDir != nil
      || text.isGiven
  }

  func validate() throws {
    if (dataset == nil) != (dataDir == nil) { throw ValidationError("--dataset and --data-dir go together") }
    if dataset != nil, text.isGiven {
      throw ValidationError("--dataset says how its files are read; leave out options for that")
    }
  }

  func preset() throws -> PaperDataSet? {
    guard let dataset else { return nil }
    do {
      return try PaperDataSet.named(dataset)
    } catch let error as FileError {
      throw ValidationError("--dataset: \(error)")
    }
  }

  /// All that the options describe as sequences, for evaluation: of a data set the part that its figures are for.
  func blocks(data: [String], length: Int, tokenizer: any Tokenizer) throws -> TokenBlocks {
    let preset = try preset()
    let source =
      if let preset, let dataDir { try preset.source(preset.evaluated, in: absolutePath(dataDir)) } else {
        try text.source(data, for: tokenizer)
      }
    return try CorpusConfiguration(
      source: source, packing: packing ?? .continuous,
      appendsEndOfText: noEndOfText ? false : preset?.appendsEndOfText ?? true,
      tokenFolder: tokenDir.map(absolutePath)
    ).blocks(length: length, tokenizer: tokenizer)
  }

  /// The tokenizer that was chosen, else that of the data set's published figures; nil for the text's characters.
  func tokenizer(_ choice: TokenizerChoice?) throws -> (any Tokenizer)? {
    if let choice { return try choice.tokenizer() }
    guard let preset = try preset() else { return nil }
    guard preset.vocabulary != .text8 else { return Text8Tokenizer() }
    throw ValidationError(
      "--tokenizer is missing: name the files of \(preset.vocabulary.rawValue), which \(preset.name)'s published "
        + "figures are with, or another")
  }

  /// The corpus that the options describe.
  func configuration(
    data: [String], validationData: [String], validationFraction: Double, tokenizer: (any Tokenizer)?
  ) throws -> CorpusConfiguration {
    let folder = tokenDir.map(absolutePath)
    if let preset = try preset(), let dataDir {
      var corpus = try preset.corpus(in: absolutePath(dataDir), tokenFolder: folder)
      if let packing { corpus.packing = packing }
      if noEndOfText { corpus.appendsEndOfText = false }
      return corpus
    }
    func absolute(_ source: CorpusSource) -> CorpusSource {
      var source = source
      source.paths = source.paths.map(absolutePath)
      return source
    }
    return CorpusConfiguration(
      source: absolute(try text.source(data, for: tokenizer)),
      validation: validationData.isEmpty
        ? .share(validationFraction) : .source(absolute(try text.source(validationData, for: tokenizer))),
      packing: packing ?? .continuous, appendsEndOfText: !noEndOfText, tokenFolder: folder)
  }
}

func absolutePath(_ path: String) -> String {
  path == "-" ? path : URL(fileURLWithPath: path).standardizedFileURL.path
}

extension Detokenizer: ExpressibleByArgument {
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
extension Packing: ExpressibleByArgument {}
