import Corpora
import Files
import Foundation
import Runs
import Tokenizers
import Training

/// Text that a run learns: its tokenizer, what describes it, and its sequences.
struct LearnedText {
  let tokenizer: any Tokenizer
  let source: DataConfiguration.Source
  let data: Corpus
  private let reading: [(source: CorpusSource, file: TokenFile)]

  /// Says on standard error what was read; for when all else was found in order.
  func report() throws {
    for (source, file) in reading { try source.reportReading(into: file) }
  }

  /// - Parameters:
  ///   - tokenizer: nil for the text's own characters.
  ///   - seed: the run's.
  init(_ corpus: CorpusConfiguration, length: Int, tokenizer: (any Tokenizer)?, seed: UInt64) throws {
    guard try corpus.source.isRepeatable else {
      throw FileError("text that can be read only once is no data for a run: make a token file of it by esolm tokenize")
    }
    self.tokenizer = try tokenizer ?? Self.characters(of: corpus)
    var view = TokenizationView()
    defer { view.clear() }
    let made = try Corpus(corpus, length: length, tokenizer: self.tokenizer, seed: seed) { view.show($0) }
    view.clear()
    reading = Array(zip(corpus.sources, made.files))
    source = .corpus(corpus, fingerprint: made.fingerprint)
    data = made
  }

  /// A file by its path, as characters.
  init(_ path: String, length: Int, validationFraction: Double, seed: UInt64) throws {
    let source = CorpusSource(paths: [absolutePath(path)])
    try self.init(
      CorpusConfiguration(source: source, validation: .share(validationFraction)), length: length, tokenizer: nil,
      seed: seed)
  }

  private static func characters(of corpus: CorpusConfiguration) throws -> any Tokenizer {
    if let file = corpus.sources.flatMap(\.paths).first(where: TokenFile.isTokenFile) {
      throw FileError("\(file) is a token file: name by --tokenizer the files of the tokenizer that made it")
    }
    var line = ShareLine()
    defer { line.clear() }
    let total = try corpus.sources.byteCount()
    return try CharacterTokenizer(contentsOf: corpus.sources) { bytes in
      line.show(
        "looking for characters", total.map { Double(bytes) / Double($0) }, "\(Format.count(Double(bytes)))B read")
    }
  }
}

extension CorpusConfiguration {
  /// The source of the text, and that of the text that validates, if it has its own.
  var sources: [CorpusSource] {
    if case .source(let other) = validation { [source, other] } else { [source] }
  }

  /// All of the source as sequences, and a line that says what was read.
  func blocks(length: Int, tokenizer: any Tokenizer) throws -> TokenBlocks {
    var view = TokenizationView()
    defer { view.clear() }
    let file = try tokenFile(of: source, tokenizer: tokenizer) { view.show($0) }
    view.clear()
    let blocks = try TokenBlocks(file, name: source.name, packing: packing, length: length, tokenizer: tokenizer)
    try source.reportReading(into: file)
    return blocks
  }
}

extension RunFolder {
  /// What the run was trained on, in sequences of any length; its text becomes tokens again where they are not kept.
  func corpus(length: Int) throws -> Corpus {
    var view = TokenizationView()
    defer { view.clear() }
    return try Corpus(configuration.data, length: length, tokenizer: tokenizer) { view.show($0) }
  }
}

extension CorpusSource {
  /// Says on standard error what was read of the source, and what was passed over.
  func reportReading(into file: TokenFile) throws {
    try reportReading(file.documentCount, tokens: file.count, skippedLines: file.metadata.skippedLines)
  }

  func reportReading(_ documents: Int, tokens: Int? = nil, skippedLines: Int) throws {
    func number(_ count: Int, _ what: String) -> String { "\(count) \(what)\(count == 1 ? "" : "s")" }
    var parts = ["\(name): read \(number(documents, "document"))" + (tokens.map { ", \(number($0, "token"))" } ?? "")]
    if skippedLines > 0 { parts.append("left out \(number(skippedLines, "bad line"))") }
    let groups = Dictionary(grouping: try passedOver(), by: \.reason).sorted { $0.key < $1.key }
    for (reason, items) in groups {
      let names = items.prefix(3).map(\.path).joined(separator: ", ") + (items.count > 3 ? ", …" : "")
      parts.append("passed over \(items.count) (\(reason)): \(names)")
    }
    printError("esolm: \(parts.joined(separator: "; "))")
  }
}

extension [CorpusSource] {
  /// Bytes of all files as they are on the disk; nil where that is not known, or there are none.
  func byteCount() throws -> Int? {
    let counts = try map { try $0.byteCount() }
    let total = counts.compactMap(\.self).reduce(0, +)
    return counts.contains(nil) || total == 0 ? nil : total
  }
}

/// Shows how text becomes tokens.
struct TokenizationView {
  private var line = ShareLine()

  mutating func show(_ progress: TokenizationProgress) {
    let rate = Double(progress.byteCount) / 1e6 / max(1e-3, line.seconds)
    let total = progress.totalByteCount ?? 0
    line.show(
      "tokenising", total > 0 ? Double(progress.byteCount) / Double(total) : nil,
      "\(Format.count(Double(progress.byteCount)))B read  \(Format.count(Double(progress.tokenCount))) tokens  "
        + "\(Format.number(rate, digits: 1)) MB/s")
  }

  func clear() { line.clear() }
}
