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
    var line = ProgressLine(isForLongWork: true)
    defer { line.clear() }
    return try CharacterTokenizer(contentsOf: corpus.sources) { bytes in
      line.show("looking for characters, \(Format.count(Double(bytes)))B read")
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

/// Shows how text becomes tokens.
struct TokenizationView {
  private var line = ProgressLine(isForLongWork: true)
  private let start = ContinuousClock.now

  mutating func show(_ progress: TokenizationProgress) {
    let seconds = max(1e-3, (ContinuousClock.now - start).seconds)
    let rate = Double(progress.byteCount) / 1e6 / seconds
    let text =
      "tokenising \(share(progress))  \(Format.count(Double(progress.tokenCount))) tokens  "
      + "\(Format.number(rate, digits: 1)) MB/s\(timeLeft(progress, seconds))"
    line.show(text)
  }

  func clear() { line.clear() }

  private func share(_ progress: TokenizationProgress) -> String {
    guard let total = progress.totalByteCount, total > 0 else {
      return Format.count(Double(progress.byteCount)) + "B"
    }
    return Format.percent(Double(progress.byteCount) / Double(total))
  }

  private func timeLeft(_ progress: TokenizationProgress, _ seconds: Double) -> String {
    guard let total = progress.totalByteCount, progress.byteCount > 0 else { return "" }
    return "  ETA \(Format.time(seconds * Double(total - progress.byteCount) / Double(progress.byteCount)))"
  }
}
