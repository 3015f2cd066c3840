import EsoLM
import Foundation
import TestSupport
import Testing
import Torch

@Suite("Beam search")
struct BeamSearchTests {
  private static let tiny = TransformerConfiguration.small(vocabulary: 4)

  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let method: any GenerationMethod
    let request: GenerationRequest
    var conditioning: Int? = 8
  }

  static let cases = [
    Case(
      testDescription: "Eso-LM (B)", method: try! EsotericMethod(alpha0: 0.5),
      request: GenerationRequest(template: [nil, 2, nil, nil, nil], draft: try! Speculation(.fixed(0)), seed: 3)),
    // What is written comes to stand before what was: the cache is kept up to there.
    Case(
      testDescription: "Eso-LM (A2)", method: try! EsotericMethod(alpha0: 1, orders: .init(clean: .leftToRight)),
      request: GenerationRequest(template: [nil, 2, nil, nil, nil], schedule: .blockShuffled, seed: 3)),
    Case(
      testDescription: "AR", method: AutoregressiveMethod(start: .init(token: 3, isText: false)),
      request: GenerationRequest(template: [1, nil, nil, nil, nil]), conditioning: nil),
  ]

  private func parts(_ test: Case) throws -> (Generation, CachedTransformer) {
    let configuration = TransformerConfiguration.small(vocabulary: 4, conditioning: test.conditioning)
    return (
      try test.method.generation(test.request, for: configuration),
      CachedTransformer(TransformerWeights.random(configuration).transformer())
    )
  }

  /// log p of every filling in the order of writing, most probable first.
  private func all(_ test: Case, order: [Int], _ generation: Generation, _ network: CachedTransformer) throws
    -> [(text: [Int32], sum: Double)]
  {
    let texts = sequences(of: 3, length: order.count).map { filling in
      var text = test.request.template.map { $0 ?? 0 }
      for (position, token) in zip(order, filling) { text[position] = token }
      return text
    }
    let sums = try texts.map { text in
      let picks = try generation.picks(ofWriting: [order.map { ($0, text[$0]) }], under: network)
      return try #require(picks)[0].reduce(0) { $0 + $1.modelLogProbability }
    }
    return zip(texts, sums).map { ($0, $1) }.sorted { $0.sum > $1.sum }
  }

  /// With room for all texts the search finds all, in their order; with less the best of what a search by hand keeps.
  @Test(arguments: cases, [1, 2, 5, 81, 200])
  func itFindsTheMostProbableTexts(_ test: Case, width: Int) throws {
    let (generation, network) = try parts(test)
    let found = try generation.mostProbable(width: width, under: network)
    let order = found[0].history.flatMap(\.positions)
    #expect(found.allSatisfy { $0.isFinished && $0.networkCalls == 4 && $0.order == found[0].order })
    let all = try all(test, order: order, generation, network)
    // By hand: the best beginnings, each by the sum over all that it can become.
    var kept: [[Int32]] = [[]]
    func probability(_ beginning: [Int32]) -> Double {
      all.filter { text in zip(order, beginning).allSatisfy { text.text[$0] == $1 } }.reduce(0) { $0 + exp($1.sum) }
    }
    for _ in order {
      let longer = kept.flatMap { start in (0..<3).map { start + [Int32($0)] } }
      kept = Array(longer.sorted { probability($0) > probability($1) }.prefix(width))
    }
    #expect(found.map { text in order.map { text.tokens[$0] } } == kept)
    for text in found {
      let expected = try #require(all.first { $0.text == text.tokens }).sum
      #expect(abs(text.modelLogProbability - expected) < 1e-5)
      let mean = try #require(try text.meanLogProbability(under: network))
      #expect(abs(mean - expected / 4) < 1e-5)
    }
    if width >= 81 { #expect(found.map(\.tokens) == all.map(\.text)) }
    #expect(network.cacheByteCount == 0)
  }

  @Test func aTextThatStopsKeepsItsPlace() throws {
    let network = FunctionNetwork(.small()) { position, _ in
      (0..<13).map { token in
        position == 0 ? (token < 2 ? [2, 1.9][token] : -20) : token == 3 ? 5 : token == 4 ? 4.9 : -20
      }
    }
    let request = GenerationRequest(
      template: [nil, nil, nil, nil], alpha0: 0, draft: try Speculation(.fixed(0)), stop: StopTokens([0]))
    let found = try EsotericMethod(alpha0: 0).generation(request, for: .small()).mostProbable(width: 3, under: network)
    // The text that stops at once is the most probable one: the others have three choices more to make.
    #expect(found.map(\.finishReason) == [.stop, .length, .length])
    #expect(found[0].tokens.isEmpty && found[1].tokens == [1, 3, 3, 3])
  }

  @Test func whatHasNoExactProbabilityIsRefused() throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    func refused(_ method: any GenerationMethod, _ request: GenerationRequest, width: Int = 2) -> String? {
      refusedField { try method.generation(request, for: .small()).mostProbable(width: width, under: network) }
    }
    let method = try EsotericMethod(alpha0: 1)
    #expect(refused(method, GenerationRequest(length: 8, draft: try Speculation(.fixed(0))), width: 0) == "beam")
    #expect(refused(method, GenerationRequest(length: 8, draft: try Speculation(.fixed(1)))) == "beam")
    #expect(refused(method, GenerationRequest(length: 8, steps: 2)) == "beam")
    #expect(refused(method, GenerationRequest(length: 8, schedule: .adaptive)) == "beam")
    #expect(refused(MaskedDiffusionMethod(), GenerationRequest(length: 8, steps: 8, schedule: .block)) == "beam")
    #expect(
      refused(try EsotericMethod(.a, alpha0: 1), GenerationRequest(length: 8, steps: 8, schedule: .block)) == "beam")
  }
}
