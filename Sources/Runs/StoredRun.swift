import Corpora
import EsoLM
import Settings
import Torch

/// A run's configuration as `config.json` holds it: the plain keys of settings, and what the data decided.
struct StoredRun: SettingGroup {
  var formatVersion = RunConfiguration.currentFormat
  var method = MethodConfiguration(length: 0)
  var model = TransformerConfiguration(vocabularySize: 0, maskToken: 0, hiddenSize: 0, numBlocks: 0, numHeads: 0)
  var data = StoredData()
  var training = TrainingConfiguration()
  var tokenCount: Int?
  var roundedTo: String?
  var roundedFrom: String?

  static let settings: [Setting<StoredRun>] =
    [Setting(\.formatVersion, "formatVersion", help: "The version of this file.")]
    + MethodConfiguration.settings.under("method", \.method)
    + TransformerConfiguration.settings.under("model", \.model)
    + StoredData.settings.under("data", \.data)
    + TrainingConfiguration.settings.under("training", \.training)
    + [
      Setting(\.tokenCount, "tokenCount", help: "The tokenizer's ids, where the vocabulary was padded."),
      Setting(\.roundedTo, "rounding.precision", help: "What the weights were rounded to."),
      Setting(\.roundedFrom, "rounding.run", help: "The run whose weights were rounded."),
    ]

  /// What has no default: without it the weights mean nothing.
  static let required =
    ["method.algorithm", "method.length", "data.kind"]
    + TransformerConfiguration.settings.map(\.key).filter { $0 != "conditioningSize" }.map { "model.\($0)" }

  init() { model.conditioningSize = nil }

  /// All values but those by which a text is read as most are.
  var written: [(key: String, value: SettingValue)] {
    let reading = Set(StoredData.Text.settings.flatMap { ["data.\($0.key)", "data.validation.\($0.key)"] })
    return values.filter { !(reading.contains($0.key) && [.bool(false), .list([])].contains($0.value)) }
  }

  init(_ run: RunConfiguration) {
    (formatVersion, method, model, training) = (run.formatVersion, run.method, run.model, run.training)
    data = StoredData(run.data)
    (tokenCount, roundedTo, roundedFrom) = (run.tokenCount, run.rounding?.precision.rawValue, run.rounding?.run)
  }
}

extension RunConfiguration {
  public func encode(to encoder: any Encoder) throws { try SettingTree(StoredRun(self).written).encode(to: encoder) }

  /// Reads a file of this version or an older one.
  ///
  /// - Parameter decoder: the file.
  /// - Throws: an error naming the field that is missing, that there is not, or that does not fit.
  public init(from decoder: any Decoder) throws {
    let tree = try SettingTree(from: decoder)
    guard case .group = tree else {
      throw DecodingError.typeMismatch(
        [String: SettingTree].self, DecodingError.Context(codingPath: [], debugDescription: "expected an object"))
    }
    var values = tree.values
    let version = values.first { $0.key == "formatVersion" }?.value
    var older: DataConfiguration?
    if version == .number("1") {
      // Its data have keys of their own; all others are the same.
      older = try decoder.container(keyedBy: OlderKeys.self).decode(DataConfiguration.self, forKey: .data)
      values.removeAll { $0.key.hasPrefix("data.") || $0.key == "formatVersion" }
      values.append(("formatVersion", .number("\(Self.currentFormat)")))
      values.append(("data.kind", StoredData.Kind.converted.setting))
    }
    guard version != nil else { throw SettingError(.document, "field 'formatVersion' is missing") }
    if let number = version.flatMap(Int.init(setting:)), number != 1 {
      // Before anything else is said about keys that may be another version's.
      try ConfigurationError.require(
        number == Self.currentFormat, "formatVersion", number, expected: "\(Self.currentFormat), or 1")
    }
    let given = try GivenSettings(values, for: StoredRun.self, required: StoredRun.required)
    var stored = StoredRun()
    try given.apply(to: &stored)
    self.init(
      method: stored.method, model: stored.model, data: try older ?? stored.data.configuration(),
      training: stored.training)
    tokenCount = stored.tokenCount
    for (key, value, other) in [
      ("rounding.precision", stored.roundedTo, stored.roundedFrom),
      ("rounding.run", stored.roundedFrom, stored.roundedTo),
    ] where value == nil && other != nil {
      throw SettingError(.document, "field '\(key)' is missing")
    }
    if let name = stored.roundedTo, let run = stored.roundedFrom {
      guard let precision = Precision(rawValue: name) else {
        throw SettingError("rounding.precision", at: .document, found: "'\(name)'", expected: "bf16 or int8")
      }
      rounding = Rounding(precision: precision, run: run)
    }
  }

  private enum OlderKeys: CodingKey { case data }

  /// The value of a setting, as a file of this run has it; nil where it has none.
  ///
  /// - Parameter key: the setting's.
  public func value(of key: String) -> SettingValue? { StoredRun(self).values.first { $0.key == key }?.value }
}

/// A run's data in plain keys.
struct StoredData: SettingGroup {
  enum Kind: String, CaseIterable, Sendable, SettingChoice { case text, textFile, toyLanguage, converted }

  /// Files and how they are read.
  struct Text: SettingGroup {
    var paths: [String] = []
    var reading = TextReading()
    var takesAnyBytes: Bool?

    static let settings: [Setting<Text>] =
      [
        Setting(\.paths, "paths", help: "Files and folders of text."),
        Setting(\.takesAnyBytes, "takesAnyBytes", help: "Whether files are taken as they are."),
      ] + TextReading.settings.under(nil, \.reading)

    init() {}

    init(_ source: CorpusSource) {
      (paths, reading, takesAnyBytes) = (source.paths, TextReading(source), source.takesAnyBytes)
    }

    func source() throws -> CorpusSource {
      var source = try reading.source(paths)
      source.takesAnyBytes = takesAnyBytes
      return source
    }
  }

  var kind = Kind.text
  var text = Text()
  var validation: Text = Text()
  var validationFraction = CorpusConfiguration.usualValidationShare
  var lastDocuments: Int?
  var trainingTokens: Int?
  var validationTokens: Int?
  var packing: Packing?
  var appendsEndOfText: Bool?
  var tokenFolder: String?
  var fingerprint: String?
  var sequences: Int?
  var seed: UInt64?
  var origin: String?

  static let settings: [Setting<StoredData>] =
    [Setting(\.kind, "kind", help: "What the data are.")]
    + Text.settings.under(nil, \.text) + Text.settings.under("validation", \.validation)
    + [
      Setting(\.validationFraction, "validationFraction", help: "Share of sequences kept for validation."),
      Setting(\.lastDocuments, "lastDocuments", help: "How many documents validate, the last ones."),
      Setting(\.trainingTokens, "trainingTokens", help: "How many tokens are trained on, the first ones."),
      Setting(\.validationTokens, "validationTokens", help: "How many of those that follow validate."),
      Setting(\.packing, "packing", help: "How documents become sequences."),
      Setting(\.appendsEndOfText, "appendsEndOfText", help: "Whether an end token follows every document."),
      Setting(\.tokenFolder, "tokenFolder", help: "Where token files are kept."),
      Setting(\.fingerprint, "fingerprint", help: "What tells whether the text changed."),
      Setting(\.sequences, "sequences", help: "Sequences of the toy language."),
      Setting(\.seed, "seed", help: "Their seed."),
      Setting(\.origin, "origin", help: "What the weights were converted from."),
    ]

  init() {}

  init(_ data: DataConfiguration) {
    validationFraction = data.validationFraction
    switch data.source {
    case .file(let path, let print): (kind, text.paths, fingerprint) = (.textFile, [path], print)
    case .toyLanguage(let count, let seed): (kind, sequences, self.seed) = (.toyLanguage, count, seed)
    case .converted(let path): (kind, origin) = (.converted, path)
    case .corpus(let corpus, let print):
      (text, fingerprint, packing) = (Text(corpus.source), print, corpus.packing)
      (appendsEndOfText, tokenFolder) = (corpus.appendsEndOfText, corpus.tokenFolder)
      switch corpus.validation {
      case .share(let share): validationFraction = share
      case .lastDocuments(let count): lastDocuments = count
      case .tokens(let training, let validation): (trainingTokens, validationTokens) = (training, validation)
      case .source(let source): validation = Text(source)
      }
    }
  }

  func configuration() throws -> DataConfiguration {
    func said<Value>(_ value: Value?, _ key: String) throws -> Value {
      guard let value else { throw SettingError(.document, "field 'data.\(key)' is missing") }
      return value
    }
    let source: DataConfiguration.Source
    switch kind {
    case .textFile:
      source = .file(path: try said(text.paths.first, "paths"), fingerprint: try said(fingerprint, "fingerprint"))
    case .toyLanguage: source = .toyLanguage(sequences: try said(sequences, "sequences"), seed: try said(seed, "seed"))
    case .converted: source = .converted(from: origin ?? "")
    case .text:
      _ = try said(text.paths.first, "paths")
      let validation: CorpusConfiguration.Validation =
        if !self.validation.paths.isEmpty { .source(try self.validation.source()) } else if let lastDocuments {
          .lastDocuments(lastDocuments)
        } else if let trainingTokens {
          .tokens(training: trainingTokens, validation: try said(validationTokens, "validationTokens"))
        } else { .share(validationFraction) }
      source = .corpus(
        CorpusConfiguration(
          source: try text.source(), validation: validation, packing: try said(packing, "packing"),
          appendsEndOfText: try said(appendsEndOfText, "appendsEndOfText"), tokenFolder: tokenFolder),
        fingerprint: try said(fingerprint, "fingerprint"))
    }
    return DataConfiguration(source: source, validationFraction: validationFraction)
  }
}
