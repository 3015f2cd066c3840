import Corpora
import EsoLM
import Settings
import Tokenizers

/// How text is read from files.
public struct TextReading: SettingGroup {
  /// What files hold.
  public enum Format: String, CaseIterable, Sendable {
    /// Text, a JSON object a line, or comma-separated values.
    case text, jsonl, csv
  }

  /// What of a text is a document.
  public enum Documents: String, CaseIterable, Sendable {
    /// Each file, each line, or each line with its end.
    case file, line, row
  }

  /// What files hold; nil is what each file's name and contents say.
  public var format: Format?
  /// The field of JSON lines that is the text.
  public var field: String?
  /// The columns of CSV that are the text, separated by commas.
  public var columns: String?
  /// Whether the first row of CSV names the columns.
  public var csvHeader = false
  /// What of a text is a document.
  public var documents: Documents?
  /// What documents stand between.
  public var separator: String?
  /// What turns tokenised text into ordinary text.
  public var detokenizer: Detokenizer?
  /// Whether lines that are no valid record are left out and counted.
  public var skipsBadLines = false

  /// As each file says it.
  public init() {}

  /// All that can be said of reading text.
  public static let settings: [Setting<TextReading>] = [
    Setting(
      \.format, "format",
      help: "text, jsonl (a JSON object a line) or csv; text with --tokenizer bytes takes any bytes.",
      usual: "for each file what its name and contents say"),
    Setting(\.field, "field", valueName: "name", help: "The field of JSON lines that is the text.", usual: "text"),
    Setting(
      \.columns, "columns", valueName: "a,b", help: "The columns of CSV that are the text: numbers from 1, or names."),
    Setting(\.csvHeader, "csvHeader", help: "The first row of CSV files names the columns."),
    Setting(
      \.documents, "documents",
      help: "What of a text is a document: file, line, or row (lines with their ends, blank ones empty).", usual: "file"
    ),
    Setting(
      \.separator, "separator", valueName: "text",
      help: "Documents stand between occurrences of this (\\n for a line end)."),
    Setting(
      \.detokenizer, "detokenizer", flag: "detokenize", valueName: "name",
      help: "Turn tokenised text into ordinary text as the paper does for \(Detokenizer.settingForm)."),
    Setting(
      \.skipsBadLines, "skipsBadLines", flag: "skip-bad-lines",
      help: "Leave out and count lines that are no valid record."),
  ]

  /// Throws a ``EsoLM/ConfigurationError`` naming a setting that does not go with another.
  public func validate() throws {
    func refuse(_ field: String, _ found: String?, with reason: String) throws {
      guard let found else { return }
      throw ConfigurationError(field: field, found: found, expected: "none with \(reason)")
    }
    let table = columns ?? (csvHeader ? "there" : nil)
    let tableField = columns == nil ? "csvHeader" : "columns"
    try refuse("separator", documents == nil ? nil : separator, with: "documents: either says what a document is")
    try ConfigurationError.require(separator != "", "separator", "empty", expected: "a text")
    if let format {
      let reason = "format \(format.rawValue): it is for"
      if format != .jsonl { try refuse("field", field, with: "\(reason) jsonl") }
      if format != .csv { try refuse(tableField, table, with: "\(reason) csv") }
      if format != .text {
        try refuse("documents", documents?.rawValue, with: "\(reason) text")
        try refuse("separator", separator, with: "\(reason) text")
      }
    } else if field != nil || table != nil {
      let other = field != nil ? "field" : tableField
      let reason = "\(other), which is for another format; name one by format"
      if field != nil { try refuse(tableField, table, with: reason) }
      try refuse("documents", documents?.rawValue, with: reason)
      try refuse("separator", separator, with: reason)
    }
    try ConfigurationError.require(
      format != .csv && !csvHeader || columns != nil, "columns", "missing",
      expected: "the columns of CSV that are the text")
  }

  /// What is read of files and folders.
  ///
  /// - Parameters:
  ///   - paths: the files and folders.
  ///   - tokenizer: what reads the text, if that is known: bytes can be taken as they are.
  /// - Throws: a ``EsoLM/ConfigurationError`` naming a setting that does not go with another.
  public func source(_ paths: [String], for tokenizer: (any Tokenizer)? = nil) throws -> CorpusSource {
    try validate()
    return CorpusSource(
      paths: paths, format: sourceFormat, detokenizer: detokenizer, skipsBadLines: skipsBadLines,
      takesAnyBytes: format == .text && tokenizer is ByteTokenizer ? true : nil)
  }

  private var sourceFormat: CorpusSource.Format {
    let rule: CorpusSource.Documents =
      if let separator { .separated(by: separator.replacingOccurrences(of: "\\n", with: "\n")) } else {
        switch documents ?? .file {
        case .file: .file
        case .line: .line
        case .row: .row
        }
      }
    switch format ?? (field != nil ? .jsonl : columns != nil ? .csv : nil) {
    case nil: return .byFile(documents: rule)
    case .text: return .text(documents: rule)
    case .jsonl: return .jsonLines(field: field ?? "text")
    case .csv: return .csv(columns: (columns ?? "").split(separator: ",").map(String.init), hasHeader: csvHeader)
    }
  }

  /// How a source is read.
  init(_ source: CorpusSource) {
    (detokenizer, skipsBadLines) = (source.detokenizer, source.skipsBadLines)
    func say(_ rule: CorpusSource.Documents) {
      switch rule {
      case .file: documents = .file
      case .line: documents = .line
      case .row: documents = .row
      case .separated(let text): separator = text.replacingOccurrences(of: "\n", with: "\\n")
      }
    }
    switch source.format {
    case .byFile(let rule): say(rule)
    case .text(let rule):
      format = .text
      say(rule)
    case .jsonLines(let name): (format, field) = (.jsonl, name)
    case .csv(let names, let hasHeader): (format, columns, csvHeader) = (.csv, names.joined(separator: ","), hasHeader)
    }
  }
}

extension TextReading.Format: SettingChoice {}
extension TextReading.Documents: SettingChoice {}
extension Detokenizer: SettingChoice {}
extension Packing: SettingChoice {}

/// How documents become sequences, and data sets with all of it.
public struct CorpusSettings: SettingGroup {
  /// A data set of the paper.
  public var dataset: String?
  /// The folder with its files.
  public var folder: String?
  /// How documents become sequences; nil is the data set's way, or one after another.
  public var packing: Packing?
  /// Whether an end token follows every document; nil is as in the data set, or yes.
  public var appendsEndOfText: Bool?
  /// Where token files are kept; nil is the cache folder.
  public var tokenFolder: String?
  /// How text is read.
  public var text = TextReading()

  /// The usual ways.
  public init() {}

  /// All that can be said of a corpus.
  public static let settings: [Setting<CorpusSettings>] =
    [
      Setting(
        \.dataset, "dataset", valueName: "name",
        help: "A data set of the paper, whose files are in --data-dir (see esolm datasets)."),
      Setting(
        \.folder, "folder", flag: "data-dir", valueName: "folder", help: "The folder with the files of --dataset."),
      Setting(
        \.packing, "packing",
        help: """
          How documents become sequences: continuous, framed (between a beginning and an end token), padded (one document \
          each), crop (random windows).
          """, usual: "continuous; crop where text8 is trained on"),
      Setting(
        \.appendsEndOfText, "appendsEndOfText", flag: "end-of-text", help: "Put an end token after documents.",
        usual: "--end-of-text, or as the data set has it"),
      Setting(
        \.tokenFolder, "tokenFolder", flag: "token-dir", valueName: "folder", help: "Where token files are kept.",
        usual: "tokens in the cache folder"),
    ] + TextReading.settings.under(nil, \.text)

  /// Throws a ``EsoLM/ConfigurationError`` naming a setting that does not go with another.
  public func validate() throws {
    try ConfigurationError.require(
      dataset != nil || folder == nil, "dataset", "missing", expected: "the data set whose files the folder holds")
    if dataset != nil {
      let said = text.values.first { $0.value != .bool(false) }
      try ConfigurationError.require(
        said == nil, said?.key ?? "", said?.value.plainText ?? "",
        expected: "none with a data set, which says how its files are read")
    }
    try text.validate()
  }

  /// Throws a ``EsoLM/ConfigurationError`` if a data set is named, but not where its files are.
  public func requireFolder() throws {
    try ConfigurationError.require(
      dataset == nil || folder != nil, "folder", "missing", expected: "the folder with the files of the data set")
  }
}

/// What is trained on, as it is asked for.
public struct DataSettings: SettingGroup {
  /// Files and folders of text.
  public var paths: [String] = []
  /// The same for validation; empty where a share of the text validates.
  public var validationPaths: [String] = []
  /// The share of sequences kept for validation.
  public var validationFraction = CorpusConfiguration.usualValidationShare
  /// A tokenizer's name or files; nil is the data set's, or the text's characters.
  public var tokenizer: String?
  /// How text is read, and becomes sequences.
  public var corpus = CorpusSettings()

  /// Nothing is said.
  public init() {}

  /// What a tokenizer can be called.
  public static let tokenizerHelp =
    "bytes; characters, those of the text; text8, its 27 characters in lower case; sudoku, digits; or Hugging Face's files "
    + "of a GPT-2 or BERT tokenizer: tokenizer.json, vocab.json (merges.txt beside it), vocab.txt, or their folder."

  /// All that can be said of data.
  public static let settings: [Setting<DataSettings>] =
    [
      Setting(
        \.paths, "paths", flag: "data", valueName: "path",
        help: """
          What to learn from: files and folders of text (UTF-8), JSON lines or CSV, or a token file; can be repeated. With \
          --resume, where the run's text is now.
          """, mayChange: true),
      Setting(
        \.validationPaths, "validationPaths", flag: "validation-data", valueName: "path",
        help: "What to validate on, read like --data; can be repeated.", usual: "a share of the data", mayChange: true),
      Setting(
        \.validationFraction, "validationFraction", valueName: "share", help: "Share of sequences kept for validation.",
        .between0And1),
      Setting(
        \.tokenizer, "tokenizer", valueName: "name|path", help: tokenizerHelp,
        usual: "text8 for that data set, none for others; the weights' own with --init-from; else characters"),
    ] + CorpusSettings.settings.under(nil, \.corpus)
}
