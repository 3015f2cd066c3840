import EsoLM
import Prompts
import TestSupport
import Testing
import Tokenizers

@Suite("Bad values")
struct BadValueTests {
  @Test(arguments: badCounts + [.max]) func holesThatNoTextHas(count: Int) {
    let tokenizer = ByteTokenizer()
    for parts in [[.hole(count)], [.text("a"), .openHole(count)]] as [[PromptTemplate.Part]] {
      #expect(refusedField { try PromptTemplate(parts: parts).tokens(tokenizer) } == "template")
    }
    #expect(refusedField { try PromptTemplate(prompt: "a", hole: count).tokens(tokenizer) } == "template")
    #expect(refusedField { try PromptTemplate(prompt: "a", hole: nil).tokens(tokenizer, length: count) } == "length")
    let open = PromptTemplate(parts: [.openHole(4), .text("a")])
    #expect(refusedField { try open.tokens(tokenizer, lengths: [count]) } == "template")
  }

  @Test func stops() {
    #expect(refusedField { try StopStrings([""], tokenizer: ByteTokenizer()) } == "stop")
  }
}
