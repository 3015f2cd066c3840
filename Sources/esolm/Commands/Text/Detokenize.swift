import ArgumentParser
import Corpora
import Files
import Foundation
import Tokenizers
import Tool

struct Detokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "detokenize",
    abstract: "Turn token ids back into text.",
    discussion: """
      Reads lines of ids, as esolm tokenize prints them, or a token file, and prints the text of each line or document.
      """)

  @Argument(help: ArgumentHelp("Lines of ids, or a token file; - for standard input.", valueName: "file"))
  var file = "-"

  @Option(help: TokenizerChoice.help)
  var tokenizer: TokenizerChoice?

  @Flag(help: "Write special tokens too, such as <|endoftext|>.")
  var keepSpecialTokens = false

  @Flag(help: "Print a JSON object with the field text on each line.")
  var json = false

  func run() throws {
    let tokenizer = try tokenizer.fixedTokenizer()
    if file != "-", TokenFile.isTokenFile(file) {
      let tokens = try CorpusConfiguration(source: CorpusSource(paths: [file]), tokenFolder: "")
        .tokenFile(of: CorpusSource(paths: [file]), tokenizer: tokenizer)
      for index in 0..<tokens.documentCount { try show(tokens.tokens(tokens.document(index)), tokenizer) }
      return
    }
    let name = file == "-" ? "standard input" : file
    var lines = try TextFile.read(file == "-" ? "/dev/stdin" : file).utf8
      .split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // The end of the last line begins none.
    if lines.last?.isEmpty == true { lines.removeLast() }
    for (index, line) in lines.enumerated() {
      let tokens = try Substring(line).split(whereSeparator: \.isWhitespace).map { word -> Int32 in
        guard let token = Int32(word), (0..<tokenizer.vocabularySize).contains(Int(token)) else {
          throw FileError(
            "\(name): line \(index + 1): '\(word.prefix(40))' is no token, expected 0 to \(tokenizer.vocabularySize - 1)"
          )
        }
        return token
      }
      try show(tokens, tokenizer)
    }
  }

  private struct Document: Encodable {
    var text: String
  }

  private func show(_ tokens: [Int32], _ tokenizer: any Tokenizer) throws {
    let text = tokenizer.decode(tokens, keepingSpecialTokens: keepSpecialTokens)
    guard json else { return try printOutput(text) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    try printOutput(String(decoding: try encoder.encode(Document(text: text)), as: UTF8.self))
  }
}
