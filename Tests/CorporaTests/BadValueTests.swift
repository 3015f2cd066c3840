import Corpora
import TestSupport
import Testing
import Tokenizers

@Suite("Bad values")
struct BadValueTests {
  private func corpus(_ validation: CorpusConfiguration.Validation, length: Int = 4) throws -> String? {
    try withTemporaryFolder { folder in
      try "abcdefghijkl\nabcdefghijkl\n".write(to: "\(folder)/text")
      let configuration = CorpusConfiguration(
        source: CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)), validation: validation,
        tokenFolder: folder)
      return message { try Corpus(configuration, length: length, tokenizer: ByteTokenizer()) }
    }
  }

  @Test(arguments: badCounts + [.max]) func counts(count: Int) throws {
    #expect(try corpus(.share(0.5), length: count)?.hasPrefix("length is \(count); ") == true)
    #expect(try corpus(.lastDocuments(count))?.contains("expected more than the \(count) that validate") == true)
    #expect(try corpus(.tokens(training: count, validation: 4))?.contains("expected \(count) for training") == true)
    #expect(try corpus(.tokens(training: 4, validation: count))?.contains("\(count) for validation") == true)
  }

  @Test(arguments: badShares + [0, 1]) func shares(share: Double) throws {
    #expect(try corpus(.share(share))?.hasPrefix("validation share is \(share); ") == true)
  }

  @Test func sourcesWithoutFiles() throws {
    #expect(message { try CorpusSource(paths: []).files() } == "no file is named to read text from")
    #expect(message { try CorpusSource(paths: [""]).files() }?.hasPrefix("cannot read ") == true)
  }
}
