import Corpora
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("Packing corpora")
struct CorpusTests {
  /// Characters a…z are 0…25, and 26 ends a text.
  private let tokenizer = CharacterTokenizer(text: "abcdefghijklmnopqrstuvwxyz")

  private func withCorpus(
    _ lines: [String], _ body: (_ configuration: CorpusConfiguration) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      try lines.joined(separator: "\n").write(to: "\(folder)/text")
      try body(
        CorpusConfiguration(
          source: CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)),
          tokenFolder: "\(folder)/tokens"))
    }
  }

  private func text(_ blocks: TokenBlocks) -> [String] {
    blocks.map { block in block.map { $0 == 26 ? "." : tokenizer.decode([$0]) }.joined() }
  }

  @Test func documentsAreConcatenated() throws {
    try withCorpus(["abc", "de", "fghij", "k"]) { configuration in
      var configuration = configuration
      configuration.validation = .share(0.3)
      let corpus = try Corpus(configuration, length: 4, tokenizer: tokenizer)
      #expect(text(corpus.training) == ["abc.", "de.f"])
      #expect(text(corpus.validation) == ["ghij"])
    }
  }

  @Test func blocksMayBeFramed() throws {
    try withCorpus(["abc", "de", "fghij", "k"]) { configuration in
      var configuration = configuration
      (configuration.packing, configuration.validation) = (.framed, .share(0.3))
      let corpus = try Corpus(configuration, length: 5, tokenizer: tokenizer)
      #expect(text(corpus.training) == [".abc.", "..de.", "..fg."])
      #expect(text(corpus.validation) == [".hij.", "..k.."])
    }
  }

  @Test func documentsMayStandAlone() throws {
    try withCorpus(["abc", "de", "fghij", "k"]) { configuration in
      var configuration = configuration
      (configuration.packing, configuration.validation) = (.padded, .lastDocuments(2))
      let corpus = try Corpus(configuration, length: 6, tokenizer: tokenizer)
      #expect(text(corpus.training) == [".abc..", ".de..."])
      #expect(text(corpus.validation) == [".fghi.", ".k...."])
      #expect((0..<2).map(corpus.training.contentCount) == [5, 4])
      #expect((0..<2).map(corpus.validation.contentCount) == [6, 3])
    }
  }

  @Test func windowsDifferFromDrawToDraw() throws {
    let line = String((0..<400).map { _ in "abcdefghij" }.joined())
    try withCorpus([line]) { configuration in
      var configuration = configuration
      (configuration.packing, configuration.appendsEndOfText) = (.crop, false)
      configuration.validation = .tokens(training: 3000, validation: 500)
      let corpus = try Corpus(configuration, length: 50, tokenizer: tokenizer)
      #expect(corpus.training.count == 30)
      #expect(corpus.validation.count == 10)
      let letters = Array(line.utf8)
      var starts: Set<Int32> = []
      for draw in 0..<40 {
        let block = Array(corpus.training.block(3, draw: draw))
        #expect(block.count == 50)
        #expect(zip(block, block.dropFirst()).allSatisfy { ($0 + 1) % 10 == $1 })
        #expect(Array(corpus.training.block(3, draw: draw)) == block)
        starts.insert(block[0])
      }
      #expect(starts.count > 5)
      #expect(Array(corpus.validation[0]).map { UInt8($0) + 97 } == Array(letters[3000..<3050]))
    }
  }

  @Test func windowsFollowTheSeed() throws {
    try withCorpus([String(repeating: "abcdefghijklmnopqrstuvwxyz", count: 40)]) { configuration in
      var configuration = configuration
      configuration.packing = .crop
      let windows = try [1, 1, 2].map { seed in
        text(try Corpus(configuration, length: 20, tokenizer: tokenizer, seed: seed).training)
      }
      #expect(windows[0] == windows[1] && windows[0] != windows[2])
    }
  }

  @Test(arguments: [
    (20, 0.1, 2), (20, 0.5, 10), (20, 0.01, 1), (20, 0.999, 19), (2, 0.1, 1), (2, 0.9, 1), (3, 0.5, 2), (100, 0.29, 29),
  ])
  func theLastBlocksValidate(count: Int, share: Double, validationCount: Int) throws {
    try withCorpus([String(repeating: "abcde", count: count)]) { configuration in
      var configuration = configuration
      configuration.validation = .share(share)
      let corpus = try Corpus(configuration, length: 5, tokenizer: tokenizer)
      #expect(corpus.training.count == count - validationCount)
      #expect(corpus.validation.count == validationCount)
      #expect((text(corpus.training) + text(corpus.validation)).allSatisfy { $0 == "abcde" })
    }
  }

  @Test func otherFilesMayValidate() throws {
    try withCorpus(["abcd"]) { configuration in
      var configuration = configuration
      var other = configuration.source
      other.paths = ["\(configuration.source.paths[0])-other"]
      try "xyz\nuvw".write(to: other.paths[0])
      configuration.validation = .source(other)
      let corpus = try Corpus(configuration, length: 4, tokenizer: tokenizer)
      #expect(text(corpus.training) == ["abcd"])
      #expect(text(corpus.validation) == ["xyz.", "uvw."])
      let fingerprint = corpus.fingerprint
      #expect(try Corpus(configuration, length: 2, tokenizer: tokenizer).fingerprint == fingerprint)
      try "xyz\nuvv".write(to: other.paths[0])
      #expect(try Corpus(configuration, length: 4, tokenizer: tokenizer).fingerprint != fingerprint)
    }
  }

  @Test func aTokenFileIsData() throws {
    try withCorpus(["abc", "de", "fghij"]) { configuration in
      let path = "\(configuration.source.paths[0]).tokens"
      _ = try TokenFile.make(at: path, of: configuration.source, tokenizer: tokenizer)
      let direct = CorpusConfiguration(source: CorpusSource(paths: [path]), tokenFolder: "/nowhere")
      let corpus = try Corpus(direct, length: 4, tokenizer: tokenizer)
      #expect(text(corpus.training) + text(corpus.validation) == ["abc.", "de.f", "ghij"])
      #expect(
        message { try Corpus(direct, length: 4, tokenizer: ByteTokenizer()) }
          == "\(path) was made with another tokenizer than the one that is used now")
    }
  }

  @Test(arguments: [
    (CorpusConfiguration.Validation.share(0.5), Packing.continuous, 0, "length is 0; expected 1 to 1073741824"),
    (.share(0.5), .framed, 2, "length is 2; expected at least 3, since two tokens frame each sequence"),
    (.share(2), .continuous, 2, "validation share is 2.0; expected more than 0 and less than 1"),
    (.share(0.5), .continuous, 9, "TEXT has 5 tokens; length 9 and a validation share of 0.5 need at least 18"),
    (.lastDocuments(2), .continuous, 1, "TEXT has 2 documents, expected more than the 2 that validate"),
    (
      .tokens(training: 4, validation: 2), .continuous, 1,
      "TEXT has 5 tokens, expected 4 for training and 2 for validation"
    ),
  ])
  func whatDoesNotFitIsNamed(
    validation: CorpusConfiguration.Validation, packing: Packing, length: Int, problem: String
  ) throws {
    try withCorpus(["ab", "c"]) { configuration in
      var configuration = configuration
      (configuration.validation, configuration.packing) = (validation, packing)
      let found = try #require(message { try Corpus(configuration, length: length, tokenizer: tokenizer) })
      #expect(found.replacingOccurrences(of: configuration.source.paths[0], with: "TEXT") == problem)
    }
  }

  @Test func configurationsAreStored() throws {
    let configuration = CorpusConfiguration(
      source: CorpusSource(paths: ["a"], format: .csv(columns: ["2"], hasHeader: true), detokenizer: .lm1b),
      validation: .source(CorpusSource(paths: ["b"], format: .text(documents: .separated(by: "\n\n")))),
      packing: .framed, tokenFolder: "t")
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(CorpusConfiguration.self, from: data) == configuration)
  }
}

@Suite("Data sets")
struct DataSetPresetTests {
  @Test func everyDataSetOfThePaperIsThere() {
    let names = PaperDataSet.all.map(\.name)
    #expect(Set(names).count == names.count)
    for name in ["lm1b", "openwebtext", "text8", "ptb", "wikitext", "lambada", "ag_news", "pubmed", "arxiv"] {
      #expect(names.contains(name))
    }
    for preset in PaperDataSet.all {
      #expect(!preset.origin.contains("\n") && preset.origin.contains("http"))
      #expect(preset.splits.contains(preset.evaluated) || preset.name == "openwebtext" || preset.name == "text8")
    }
  }

  @Test func filesAreFoundByTheirNames() throws {
    try withTemporaryFolder { folder in
      // A folder's own name is not read as a pattern.
      let folder = "\(folder)/data [1]*"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let lm1b = try PaperDataSet.named("lm1b")
      #expect(
        message { try lm1b.source(.test, in: folder) }?.hasSuffix(
          "the test part of lm1b; get it: the benchmark's archive from https://www.statmt.org/lm-benchmark/, unpacked")
          == true)
      for name in ["news.en.heldout-00001-of-00050", "news.en.heldout-00000-of-00050", "news.en-00001-of-00100"] {
        try "a b .\n".write(to: "\(folder)/\(name)")
      }
      let source = try lm1b.source(.test, in: folder)
      #expect(
        source.paths == ["\(folder)/news.en.heldout-00000-of-00050", "\(folder)/news.en.heldout-00001-of-00050"])
      #expect(source.format == .byFile(documents: .line))
      #expect(source.detokenizer == .lm1b)
      let corpus = try lm1b.corpus(in: folder, tokenFolder: "t")
      #expect(corpus.source.paths == ["\(folder)/news.en-00001-of-00100"])
      #expect(corpus.validation == .source(source))
      #expect(
        message { try lm1b.source(.validation, in: folder) } == "lm1b has no files for validation, only for train, test"
      )
    }
    #expect(message { try PaperDataSet.named("c4") }?.hasPrefix("no data set 'c4'; expected one of lm1b, ") == true)
  }
}
