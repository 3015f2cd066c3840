import Evaluation
import TestSupport
import Testing
import Tokenizers

@Suite("Samples in a judge's tokens")
struct JudgedTextTests {
  private let own = CharacterTokenizer(text: "abé")
  private let judge = ByteTokenizer()

  private func tokens(_ sample: [Int32], length: Int = 100) throws -> [Int32] {
    try JudgedText.tokens(of: sample, by: own, for: judge, endOfText: 7, length: length)
  }

  @Test func documentsAreWrittenAnewWithTheJudgesEndBetweenThem() throws {
    #expect(own.endOfText == 3)
    #expect(try tokens([0, 1, 3, 2]) == [97, 98, 7, 0xC3, 0xA9])
    #expect(try tokens([3, 0, 3, 3]) == [7, 97, 7, 7])
    #expect(try tokens([]) == [])
  }

  @Test func theJudgeSeesNoMoreTokensThanTheSampleHas() throws {
    #expect(try tokens([2, 2, 0], length: 3) == [0xC3, 0xA9, 0xC3])
  }

  @Test func whatTheJudgeCannotWriteIsAnError() {
    let narrow = CharacterTokenizer(text: "a")
    #expect(
      message { try JudgedText.tokens(of: [0, 1], by: own, for: narrow, endOfText: 7, length: 9) }?
        .contains("character \"b\"") == true)
  }
}
