import ArgumentParser
import Corpora
import Evaluation
import Files
import Foundation
import Runs
import Tokenizers
import Tool
import Training

/// Human text that samples are compared with.
struct ReferenceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Human text: a text file, cut to pieces of the samples' length, or a folder or a file of JSON lines with a field \
      'text', whose documents are the texts. (default: what the run kept for validation)
      """, valueName: "file"))
  var reference: String?

  @Option(help: "How many reference texts to use, at most. (default: as many as samples)")
  var numReferences: Int?

  func validate() throws { try require("num-references", numReferences, in: 1...(1 << 24)) }

  func texts(for samples: SampleSet) throws -> [String] {
    try Self.texts(for: samples, reference: reference, count: numReferences ?? samples.tokens.count)
  }

  static func texts(for samples: SampleSet, reference: String?, count: Int) throws -> [String] {
    let source = reference.map { CorpusSource(paths: [$0]) }
    if let source, !(try source.isWholeText()) { return try source.documents(first: count) }
    guard let run = samples.run else {
      throw FileError(
        "the run that wrote the samples cannot be opened to cut or find human text: name it by --reference FILE.jsonl")
    }
    let blocks =
      if let source {
        try CorpusConfiguration(source: source).blocks(length: samples.length, tokenizer: run.tokenizer)
      } else {
        try run.corpus(length: samples.length).validation
      }
    return blocks.prefix(count).map { run.tokenizer.decode($0) }
  }
}
