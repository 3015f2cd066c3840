import ArgumentParser
import Corpora
import Files
import Foundation
import Tokenizers
import Tool

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Turn text into token ids, or into a token file for training.",
    discussion: """
      Prints the ids of each document on a line. With --out it writes a token file instead, which --data of the other \
      commands takes; a file that is there is kept if it was made of the same text with the same options.

        esolm tokenize --tokenizer gpt2/ novel.txt
        esolm tokenize --tokenizer gpt2/ --out web.tokens --field text pages/*.jsonl.gz
      """)

  @Argument(
    help: ArgumentHelp("Files and folders, @list for a file of paths, - for standard input.", valueName: "path"))
  var data: [String] = ["-"]

  @Option(help: TokenizerChoice.help)
  var tokenizer: TokenizerChoice?

  @Option(help: ArgumentHelp("The token file to write.", valueName: "file"))
  var out: String?

  @Flag(help: "Append an end token to every document. (default with --out)")
  var endOfText = false

  @Flag(help: "Append none, also with --out.")
  var noEndOfText = false

  @Flag(help: "Print JSON: a line for each document, or what --out made.")
  var json = false

  @OptionGroup(title: "Reading text") var text: TextOptions

  func validate() throws {
    if endOfText, noEndOfText { throw ValidationError("--end-of-text and --no-end-of-text exclude each other") }
  }

  func run() throws {
    let tokenizer = try tokenizer.fixedTokenizer()
    let source = try text.source(data, for: tokenizer)
    guard let out else { return try printTokens(source, tokenizer) }
    let (file, seconds) = try make(source, tokenizer, at: out, endOfText: !noEndOfText)
    let skipped = file.metadata.skippedLines
    if json {
      try printJSON(
        Report(
          file: out, documents: file.documentCount, tokens: file.count, skippedLines: skipped,
          vocabularySize: file.metadata.vocabularySize, fingerprint: file.fingerprint, seconds: seconds))
    } else {
      try printOutput(
        "\(out): \(file.documentCount) documents, \(file.count) tokens"
          + (skipped > 0 ? ", \(skipped) bad lines left out" : "") + ", \(Format.seconds(seconds)) s")
    }
  }

  private struct Report: Encodable {
    var file: String
    var documents: Int
    var tokens: Int
    var skippedLines: Int
    var vocabularySize: Int
    var fingerprint: String
    var seconds: Double
  }

  private struct Document: Encodable {
    var tokens: [Int32]
  }

  private func make(
    _ source: CorpusSource, _ tokenizer: any Tokenizer, at path: String, endOfText: Bool
  ) throws -> (TokenFile, seconds: Double) {
    guard !Folder.isRegularFile(path) || TokenFile.isTokenFile(path) else {
      throw FileError("\(path) is there and is no token file, expected the name of one or of a new file")
    }
    let start = ContinuousClock.now
    let file = try TokenFile.make(
      at: path, of: source, tokenizer: tokenizer, appendsEndOfText: endOfText, progress: TokenizationView.show())
    try source.reportReading(into: file)
    return (file, (ContinuousClock.now - start).seconds)
  }

  private func printTokens(_ source: CorpusSource, _ tokenizer: any Tokenizer) throws {
    // By way of a file, so that memory does not limit the text.
    let temporary = FileManager.default.temporaryDirectory.appendingPathComponent("esolm-\(UUID().uuidString)").path
    let (file, _) = try make(source, tokenizer, at: temporary, endOfText: endOfText)
    unlink(temporary)  // It is mapped, and goes with the process.
    let encoder = JSONEncoder()
    for index in 0..<file.documentCount {
      let tokens = file.tokens(file.document(index))
      try printOutput(
        json
          ? String(decoding: try encoder.encode(Document(tokens: tokens)), as: UTF8.self)
          : tokens.map(String.init).joined(separator: " "))
    }
  }
}
