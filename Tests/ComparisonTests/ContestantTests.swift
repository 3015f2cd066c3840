import Comparison
import EsoLM
import TestSupport
import Testing

@Suite("Contestants")
struct ContestantTests {
  @Test(
    arguments: [
      ("esolm-b:0.5", "Eso-LM (B), α₀ = 0.5"), ("esolm-b:1", "Eso-LM (B), α₀ = 1"), ("esolm-a:0", "Eso-LM (A), α₀ = 0"),
      ("ar", "AR"), ("ar+adaln", "AR + AdaLN"), ("mdlm", "MDLM"), ("bd3lm:16", "BD3-LM, L′ = 16"),
      ("esolm-b:0.5:any-order", "Eso-LM (B) any-order, α₀ = 0.5"),
      ("esolm-b:1:any-order:0.25", "Eso-LM (B) any-order (0.25 left to right), α₀ = 1"),
    ])
  func namesAreReadAndWritten(name: String, title: String) throws {
    let contestant = try #require(Contestant(name))
    #expect(contestant.description == name)
    #expect(contestant.title == title)
    #expect(contestant.isModulated == (name != "ar"))
    #expect(try contestant.configuration(length: 32).length == 32)
  }

  @Test func numbersMayBeLeftOut() {
    #expect(Contestant("esolm-b")?.alpha0 == 1)
    #expect(Contestant("bd3lm")?.blockSize == 4)
  }

  @Test(arguments: [
    "", "esolm", "esolm-b:2", "esolm-b:x", "esolm-b:0.5:1", "ar:1", "mdlm:4", "bd3lm:0", "bd3lm:-1", ":",
    "esolm-b:any-order", "esolm-b:1:exact", "esolm-b:1:any-order:2", "esolm-b:1:any-order:", "esolm-b:1:any-order:0:1",
    "esolm-a:1:any-order", "ar:1:any-order", "bd3lm:4:any-order",
  ])
  func otherNamesAreRefused(name: String) {
    #expect(Contestant(name) == nil)
  }

  @Test func aBlockThatDoesNotDivideTheLengthIsNamed() {
    #expect(
      message { try Contestant("bd3lm:5")!.configuration(length: 32) }
        == "blockSize is 5, expected a number that divides the length 32")
  }

  // `esolm compare` trains what `esolm train --algo` does, where a name has no number.
  @Test(arguments: Algorithm.all.filter { $0.number == nil })
  func hasWhatIsUsual(algorithm: Algorithm) throws {
    let contestant = try #require(Contestant(algorithm.rawValue))
    #expect(
      try contestant.configuration(length: 8) == MethodConfiguration(algorithm: algorithm, length: 8).filledWithUsual())
  }
}
