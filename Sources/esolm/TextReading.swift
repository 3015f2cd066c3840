import Corpora
import Files
import Foundation
import Runs
import Tokenizers
import Tool
import Training

extension CorpusConfiguration {
  /// A file by its path, of which a share validates.
  init(file path: String, validationFraction: Double) throws {
    self.init(source: CorpusSource(paths: [try absolutePath(path)]), validation: .share(validationFraction))
  }

  /// The tokenizer that was chosen, else one of the text's own characters.
  ///
  /// - Throws: `FileError` if a run cannot learn from the text.
  func tokenizer(_ chosen: (any Tokenizer)?) throws -> any Tokenizer {
    guard try source.isRepeatable else {
      throw FileError("text that can be read only once is no data for a run: make a token file of it by esolm tokenize")
    }
    if let chosen { return chosen }
    if let file = sources.flatMap(\.paths).first(where: TokenFile.isTokenFile) {
      throw FileError("\(file) is a token file: name by --tokenizer the files of the tokenizer that made it")
    }
    var line = ShareLine()
    defer { line.clear() }
    let total = try sources.byteCount()
    return try CharacterTokenizer(contentsOf: sources) { bytes in
      line.show(
        "looking for characters", total.map { Double(bytes) / Double($0) }, "\(Format.count(Double(bytes)))B read")
    }
  }

  /// All of the source as sequences, and a line that says what was read.
  func blocks(length: Int, tokenizer: any Tokenizer) throws -> TokenBlocks {
    let file = try tokenFile(of: source, tokenizer: tokenizer, progress: TokenizationView.show())
    let blocks = try TokenBlocks(file, name: source.name, packing: packing, length: length, tokenizer: tokenizer)
    try source.reportReading(into: file)
    return blocks
  }

  /// Says on standard error what was read of the sources; for when all else was found in order.
  func reportReading(into files: [TokenFile]) throws {
    for (source, file) in zip(sources, files) { try source.reportReading(into: file) }
  }

  /// The source of the text, and that of the text that validates, if it has its own.
  private var sources: [CorpusSource] {
    if case .source(let other) = validation { [source, other] } else { [source] }
  }
}

extension RunFolder {
  /// What the run was trained on, in sequences of any length; its text becomes tokens again where they are not kept.
  func corpus(length: Int) throws -> Corpus {
    try Corpus(configuration.data, length: length, tokenizer: tokenizer, progress: TokenizationView.show())
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

/// Shows how text becomes tokens, until it is given up.
final class TokenizationView {
  private var line = ShareLine()

  /// What shows it as long as it is kept.
  static func show() -> (TokenizationProgress) -> Void {
    let view = TokenizationView()
    return { view.show($0) }
  }

  private func show(_ progress: TokenizationProgress) {
    let rate = Double(progress.byteCount) / 1e6 / max(1e-3, line.seconds)
    let total = progress.totalByteCount ?? 0
    line.show(
      "tokenising", total > 0 ? Double(progress.byteCount) / Double(total) : nil,
      "\(Format.count(Double(progress.byteCount)))B read  \(Format.count(Double(progress.tokenCount))) tokens  "
        + "\(Format.number(rate, digits: 1)) MB/s")
  }

  deinit { line.clear() }
}
