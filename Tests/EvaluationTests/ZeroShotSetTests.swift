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
      func documents(_ set: ZeroShotSet) throws -> [String] {
        try ZeroShotSet.source(at: #require(set.path(in: folder))).documents(first: 10)
      }
      #expect(try documents(.ptb) == ["one", "two"])
      #expect(try documents(.arxiv) == ["a\nb", "c"])
      try "{\"text\": \"a\"}\n{\"txt\": \"c\"}\n".write(to: "\(folder)/lm1b.jsonl")
      #expect(
        message { try documents(.lm1b) }
          == "\(folder)/lm1b.jsonl: line 2: field 'text' is missing, found 'txt'; name the text's by --field")
    }
  }
}
