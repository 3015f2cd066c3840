import ArgumentParser
import Corpora
import EsoLM
import Files
import Foundation
import Runs
import Settings
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

  static let help = ArgumentHelp("\(DataSettings.tokenizerHelp)", valueName: "name|path")

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
    guard let self else {
      throw ValidationError("--tokenizer is missing: name bytes, text8, sudoku or a tokenizer's files")
    }
    guard let tokenizer = try self.tokenizer() else {
      throw ValidationError(
        "--tokenizer characters needs the run's text; name bytes, text8, sudoku or a tokenizer's files")
    }
    return tokenizer
  }
}

/// How text is read from files.
typealias TextOptions = SettingOptions<TextReading>

extension SettingOptions<TextReading> {
  /// - Parameters:
  ///   - paths: files and folders; one that begins with `@` names a file that lists paths, one a line.
  ///   - tokenizer: what reads the text, if that is known: bytes can be taken as they are.
  func source(_ paths: [String], for tokenizer: (any Tokenizer)? = nil) throws -> CorpusSource {
    try asUsage { try group().source(listed(paths), for: tokenizer) }
  }
}

/// Files and folders; one that begins with `@` names a file that lists them, one a line.
func listed(_ paths: [String]) throws -> [String] {
  try paths.flatMap { path -> [String] in
    guard path.hasPrefix("@") else { return [path] }
    return try TextFile.read(String(path.dropFirst())).split(whereSeparator: \.isNewline).map(String.init)
  }
}

/// How documents become sequences, and data sets with all of it.
typealias CorpusOptions = SettingOptions<CorpusSettings>

extension CorpusSettings {
  /// The data set that is named.
  func preset() throws -> PaperDataSet? {
    guard let dataset else { return nil }
    guard let preset = PaperDataSet.all.first(where: { $0.name == dataset }) else {
      throw ConfigurationError(
        field: "dataset", found: "'\(dataset)'",
        expected: "one of \(PaperDataSet.all.map(\.name).joined(separator: ", "))")
    }
    return preset
  }

  /// All that is described as sequences, for evaluation: of a data set the part that its figures are for.
  func blocks(data: [String], length: Int, tokenizer: any Tokenizer) throws -> TokenBlocks {
    try validate()
    try requireFolder()
    let preset = try preset()
    let source =
      if let preset, let folder { try preset.source(preset.evaluated, in: absolutePath(folder)) } else {
        try text.source(listed(data), for: tokenizer)
      }
    var corpus = CorpusConfiguration(source: source, tokenFolder: try tokenFolder.map(absolutePath))
    if let packing { corpus.packing = packing }
    if let appends = appendsEndOfText ?? preset?.appendsEndOfText { corpus.appendsEndOfText = appends }
    return try corpus.blocks(length: length, tokenizer: tokenizer)
  }
}

/// - Throws: `ValidationError` for an empty path, which would be the folder that the command runs in.
func absolutePath(_ path: String) throws -> String {
  guard !path.isEmpty else { throw ValidationError("found an empty path, expected the name of a file or folder") }
  return path == "-" ? path : URL(fileURLWithPath: path).standardizedFileURL.path
}
