import Evaluation
import TestSupport
import Testing

@Suite("Zero-shot sets")
struct ZeroShotSetTests {
  @Test func theSevenSetsOfThePaperAreKnown() {
    #expect(
      ZeroShotSet.allCases.map(\.title) == ["PTB", "WikiText", "LM1B", "LAMBADA", "AG News", "PubMed", "arXiv"])
    #expect(ZeroShotSet.agNews.fileNames == ["ag_news.jsonl", "ag_news.txt"])
  }

  @Test func aSetIsReadFromLinesOfJSONOrOfText() throws {
    try withTemporaryFolder { folder in
      #expect(ZeroShotSet.ptb.path(in: folder) == nil)
      try "one\n\ntwo\n".write(to: "\(folder)/ptb.txt")
      try "{\"text\": \"a\\nb\", \"id\": 1}\n{\"text\": \"c\"}\n".write(to: "\(folder)/arxiv.jsonl")
      #expect(try ZeroShotSet.documents(of: #require(ZeroShotSet.ptb.path(in: folder))) == ["one", "two"])
      #expect(try ZeroShotSet.documents(of: #require(ZeroShotSet.arxiv.path(in: folder))) == ["a\nb", "c"])
      try "{\"text\": \"a\"}\n{\"txt\": \"c\"}\n".write(to: "\(folder)/lm1b.jsonl")
      #expect(
        message { try ZeroShotSet.documents(of: "\(folder)/lm1b.jsonl") }
          == "\(folder)/lm1b.jsonl, line 2: field 'text' is missing")
    }
  }
}
