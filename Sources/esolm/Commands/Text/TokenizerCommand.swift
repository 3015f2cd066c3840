import ArgumentParser
import Corpora
import Files
import Foundation
import Tokenizers
import Tool

struct TokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizer", abstract: "Make a tokenizer of your own.", subcommands: [TrainTokenizer.self])
}

struct TrainTokenizer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Learn a byte-level BPE vocabulary, as GPT-2's, from text.",
    discussion: """
      Writes tokenizer.json, tokenizer_config.json, vocab.json and merges.txt, Hugging Face's files, into a folder that \
      --tokenizer takes.

        esolm tokenizer train --vocabulary-size 8000 --out my-bpe novels/
      """)

  @Argument(
    help: ArgumentHelp("Files and folders, @list for a file of paths, - for standard input.", valueName: "path"))
  var data: [String]

  @Option(help: ArgumentHelp("The number of tokens, at least 257.", valueName: "count"))
  var vocabularySize: Int

  @Option(help: ArgumentHelp("The folder to write the files to.", valueName: "folder"))
  var out: String

  @Option(help: ArgumentHelp("Pairs that occur less often make no token.", valueName: "count"))
  var minimumCount = 2

  @Option(
    name: .customLong("special-token"),
    help: ArgumentHelp(
      "A token that is found in text as it stands, can be repeated; the first ends a text.", valueName: "text"))
  var specialTokens: [String] = ["<|endoftext|>"]

  @Flag(help: "Print what was made as JSON.")
  var json = false

  @OptionGroup(title: "Reading text") var text: TextOptions

  func validate() throws {
    try require("vocabulary-size", vocabularySize, in: 256 + specialTokens.count...BytePairTrainer.maximumSize)
    try require("minimum-count", minimumCount, in: 1...)
    guard specialTokens.allSatisfy({ $0.utf8.count > 1 }), Set(specialTokens).count == specialTokens.count else {
      throw ValidationError("--special-token must be longer than one byte, and each must differ from the others")
    }
  }

  func run() throws {
    // Before the work, not only after it.
    try FolderDraft.requireFree(out)
    let source = try text.source(data)
    var line = ShareLine()
    let total = try [source].byteCount()
    var trainer = BytePairTrainer(specialTokens: specialTokens)
    let (documents, skipped) = try trainer.add(contentsOf: source) { bytes in
      line.show("counting words", total.map { Double(bytes) / Double($0) }, "\(Format.count(Double(bytes)))B read")
    }
    line.clear()
    try source.reportReading(documents, skippedLines: skipped)
    let tokenizer = try trainer.train(vocabularySize: vocabularySize, minimumCount: minimumCount) { count in
      line.show("merging", Double(count) / Double(vocabularySize), "\(count) of \(vocabularySize) tokens")
    }
    line.clear()
    let (vocabulary, merges) = TokenizerFile.vocabularyFiles(for: tokenizer)
    let files =
      try [(name: "vocab.json", data: vocabulary), (name: "merges.txt", data: merges)]
      + TokenizerFile.folderFiles(for: tokenizer)
    try FolderDraft.write(to: out) { draft in
      for (name, data) in files { try AtomicFile.write(data, to: "\(draft)/\(name)") }
    }
    if json {
      try printJSON(Report(folder: out, vocabularySize: tokenizer.vocabularySize, skippedLines: skipped))
    } else {
      let short = tokenizer.vocabularySize < vocabularySize ? ", the text has no more pairs" : ""
      try printOutput(
        "\(out): \(tokenizer.vocabularySize) tokens\(short)" + (skipped > 0 ? ", \(skipped) bad lines left out" : ""))
    }
  }

  private struct Report: Encodable {
    var folder: String
    var vocabularySize: Int
    var skippedLines: Int
  }
}
