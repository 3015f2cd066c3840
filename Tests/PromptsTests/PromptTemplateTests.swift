import Foundation
import EsoLM
import Prompts
import TestSupport
import Testing
import Tokenizers

@Suite("Prompt templates")
struct PromptTemplateTests {
  private static let templates: [(String, [PromptTemplate.Part])] = [
    ("", []),
    ("plain", [.text("plain")]),
    ("[[5]]", [.hole(5)]),
    ("The [[5]] sat on [[..20]].", [.text("The "), .hole(5), .text(" sat on "), .openHole(20), .text(".")]),
    ("[[1]][[2]]", [.hole(1), .hole(2)]),
    (#"a \[[5]] b"#, [.text("a [[5]] b")]),
    (#"a \\[[5]]"#, [.text(#"a \"#), .hole(5)]),
    (#"a \\\[[5]]"#, [.text(#"a \[[5]]"#)]),
    (#"\n [5] ]] \"#, [.text(#"\n [5] ]] \"#)]),
    ("é[[3]]ü", [.text("é"), .hole(3), .text("ü")]),
  ]

  @Test(arguments: templates.indices) func holesAndTextsAreTold(index: Int) throws {
    let (template, parts) = Self.templates[index]
    #expect(try PromptTemplate(template).parts == parts)
  }

  private static let broken: [(String, Int)] = [
    ("ab [[x]]", 4), ("[[", 1), ("[[5]", 1), ("é [[5", 3), ("[[0]]", 1), ("[[-3]]", 1), ("[[]]", 1), ("[[..]]", 1),
    ("[[...5]]", 1), ("[[1048577]]", 1), ("[[99999999999999999999]]", 1), ("[[ 5 ]]", 1), ("[[[5]]]", 1), ("[[+5]]", 1),
    ("[[٣]]", 1),
  ]

  @Test(arguments: broken)
  func whatIsNoHoleIsNamedWithItsPlace(template: String, place: Int) {
    do {
      _ = try PromptTemplate(template)
      Issue.record("\(template) was read")
    } catch let error as PromptTemplate.SyntaxError {
      #expect(error.place == place)
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test func tokensStandForTextAndNilForHoles() throws {
    let template = try PromptTemplate("a[[2]]b[[..3]]")
    #expect(try template.tokens(ByteTokenizer()) == [97, nil, nil, 98, nil, nil, nil])
    #expect(try template.tokens(ByteTokenizer(), lengths: [1]) == [97, nil, nil, 98, nil])
    #expect(!template.hasOpenLengths)
    #expect(try PromptTemplate("a[[..2]]b").hasOpenLengths)
    let rest = PromptTemplate(prompt: "a", suffix: "b", hole: nil)
    #expect(try rest.tokens(ByteTokenizer(), length: 5) == [97, nil, nil, nil, 98])
    #expect(
      message { try rest.tokens(ByteTokenizer(), length: 2) }
        == "length is 2, expected more than the 2 given tokens, which fill the text")
    #expect(PromptTemplate(prompt: "", hole: 3).parts == [.hole(3)])
  }

  /// The chance of a length is that of the text behind the hole, over all lengths.
  @Test func lengthsFollowWhatFitsBehind() throws {
    let model = TransformerWeights.random(.small(vocabulary: 258, hidden: 16)).transformer()
    let (network, method) = (CachedTransformer(model), try! EsotericMethod(alpha0: 1))
    let template = try PromptTemplate("ab[[..3]]cd")
    let scores = (1...3).map { hole -> Double in
      let sequence = NetworkSequence(
        tokens: [97, 98, 99, 100], positions: [0, 1, 2 + hole, 3 + hole], cleanCount: 2, masked: [2, 3],
        outputs: [2, 3])
      var batch = ScoredBatch()
      batch.append([.init(sequence, targets: [99, 100], weights: [1, 1])], pattern: .twoStream, maskToken: 257)
      return -batch.negativeLogLikelihoods(under: model)[0].reduce(0, +)
    }
    let chances = scores.map { exp($0 - scores.max()!) }
    let distribution = chances.map { $0 / chances.reduce(0, +) }
    let lengths = HoleLengths(method, network: network, tokenizer: ByteTokenizer())
    var counts = [0, 0, 0]
    for number in 0..<600 { counts[try lengths.draw(template, seed: 1, number: number)[0] - 1] += 1 }
    #expect(chiSquareScore(counts, distribution: distribution) < 4)
    #expect(try lengths.draw(PromptTemplate("ab[[..3]]"), seed: 1, number: 0) == [3])
    // The same questions one at a time; and where few rows may be computed, of the text behind its beginning alone.
    for number in 0..<8 {
      let fresh = HoleLengths(method, network: network, tokenizer: ByteTokenizer())
      let other = try PromptTemplate("x[[..3]]yz")
      _ = try lengths.draw(other, seed: 1, number: number)
      #expect(try fresh.draw(template, seed: 1, number: number) == lengths.draw(template, seed: 1, number: number))
      let few = HoleLengths(method, network: network, tokenizer: ByteTokenizer(), rowLimit: 3)
      let short = try PromptTemplate("ab[[..3]]c")
      #expect(try few.draw(template, seed: 1, number: number) == fresh.draw(short, seed: 1, number: number))
    }
    let mdlm = HoleLengths(MaskedDiffusionMethod(), network: network, tokenizer: ByteTokenizer())
    let problem = message { try mdlm.draw(template, seed: 1, number: 0) }
    #expect(problem?.hasPrefix("template is a hole of open length") == true)
  }
}
