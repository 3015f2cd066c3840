import Corpora
import EsoLM
import Evaluation
import Foundation
import Randomness
import TestSupport
import Testing
import Tokenizers

@Suite("Perplexity")
struct PerplexityTests {
  private static let length = 12
  private static let configuration = TransformerConfiguration.small(vocabulary: 5, hidden: 32)

  private func blocks(_ count: Int) -> TokenBlocks {
    TokenBlocks(cutting: randomSequences(count, length: Self.length, tokens: 4).flatMap { $0 }, length: Self.length)
  }

  /// Weights of the first step of training: whatever it sees, every token is as likely as any other.
  private func fresh() throws -> Transformer { try TransformerWeights(Self.configuration, seed: 1).transformer() }

  /// Weights that make much of the order in which tokens come.
  private func opinionated() -> Transformer { TransformerWeights.random(Self.configuration).transformer() }

  private func evaluation(
    _ network: Transformer, alpha0: Double = 0.5, count: Int = 12, batchSize: Int = 16, seed: UInt64 = 7
  ) -> PerplexityEvaluation {
    try! PerplexityEvaluation(
      try! Likelihood(network, alpha0: alpha0), blocks: blocks(count), batchSize: batchSize, seed: seed)
  }

  @Test(arguments: [0, 0.5, 1])
  func aNetworkThatKnowsNothingIsAsGoodAsGuessing(alpha0: Double) throws {
    for (_, estimate) in evaluation(try fresh(), alpha0: alpha0).exact(orders: 4) {
      #expect(abs(estimate.perplexity - 4) < 1e-4)
      #expect(try #require(estimate.standardError) < 1e-6)
      #expect(abs(estimate.bitsPerToken - 2) < 1e-4)
    }
  }

  @Test(arguments: [0.25, 1])
  func exactPerplexityIsTheImportanceWeightedMean(alpha0: Double) throws {
    let likelihood = try! Likelihood(opinionated(), alpha0: alpha0)
    let blocks = blocks(5)
    var byHand = [1: 0.0, 2: 0.0, 3: 0.0]
    for (index, block) in blocks.enumerated() {
      var generator = CounterGenerator(seed: 7, stream: .likelihoodOrder, major: index)
      let probabilities = (0..<3).map { _ in
        let order = likelihood.drawOrder(length: Self.length, using: &generator)
        return exp(likelihood.logProbabilities([(Array(block), order)])[0].reduce(0, +))
      }
      for orders in byHand.keys {
        byHand[orders]! -=
          log(probabilities.prefix(orders).reduce(0, +) / Double(orders)) / Double(blocks.count * blocks.length)
      }
    }
    let found = try PerplexityEvaluation(likelihood, blocks: blocks, seed: 7).exact(orders: 3)
    #expect(found.map(\.orders) == [1, 2, 3])
    for (orders, estimate) in found { #expect(abs(estimate.nats - byHand[orders]!) < 1e-5) }
  }

  /// What an autoregressive network finds of a text does not depend on what follows, so padding must leave no trace.
  @Test func paddingDoesNotCount() throws {
    try withTemporaryFolder { folder in
      try "abab\nba\naabbabab".write(to: "\(folder)/text")
      let tokenizer = CharacterTokenizer(text: "abc")
      let corpus = try Corpus(
        CorpusConfiguration(
          source: CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)),
          validation: .lastDocuments(1), packing: .padded, tokenFolder: "\(folder)/tokens"),
        length: Self.length, tokenizer: tokenizer)
      let network = opinionated()
      for isText in [true, false] {
        let likelihood = Likelihood(network, method: AutoregressiveMethod(start: .init(token: 3, isText: isText)))
        let texts = ["abab", "ba"].map { [3] + (try! tokenizer.encode($0)) + [3] }
        let scores = texts.map { likelihood.logProbabilities([($0, .leftToRight(length: $0.count))])[0] }
        let expected = -scores.joined().reduce(0, +) / Double(scores.joined().count)
        let evaluation = try PerplexityEvaluation(likelihood, blocks: corpus.training)
        #expect(abs(evaluation.exact(orders: 1)[0].estimate.nats - expected) < 1e-5)
        #expect(abs(evaluation.nelbo().nats - expected) < 1e-5)
      }
      for estimate in [
        try PerplexityEvaluation(try! Likelihood(try fresh(), alpha0: 0.5), blocks: corpus.training).exact(orders: 2)[1]
          .estimate,
        try PerplexityEvaluation(try! Likelihood(try fresh(), alpha0: 0), blocks: corpus.training).nelbo(),
      ] {
        #expect(abs(estimate.perplexity - 4) < 1e-4)
      }
    }
  }

  /// Padding comes last in every order, and nothing sees it: a padded text has the probability of the text itself. The
  /// orders are those drawn for it.
  @Test(arguments: [0.25, 0.5, 1])
  func exactPerplexityOfPaddedTextIsThatOfTheTextItself(alpha0: Double) throws {
    try withTemporaryFolder { folder in
      let texts = ["abab", "ba", "abbabba", "b"]
      try (texts + ["a"]).joined(separator: "\n").write(to: "\(folder)/text")
      let tokenizer = CharacterTokenizer(text: "abc")
      let corpus = try Corpus(
        CorpusConfiguration(
          source: CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)),
          validation: .lastDocuments(1), packing: .padded, tokenFolder: "\(folder)/tokens"),
        length: Self.length, tokenizer: tokenizer)
      let likelihood = try! Likelihood(opinionated(), alpha0: alpha0)
      let (orders, padded) = (3, corpus.training)
      #expect(padded.indices.map(padded.contentCount) == [6, 4, 9, 3])
      var (nats, tokens) = (0.0, 0)
      for (index, text) in texts.enumerated() {
        let unpadded = [3] + (try tokenizer.encode(text)) + [3]
        #expect(Array(padded[index].prefix(unpadded.count)) == unpadded)
        var generator = CounterGenerator(seed: 7, stream: .likelihoodOrder, major: index)
        let each = (0..<orders).map { _ in
          let order = likelihood.drawOrder(length: unpadded.count, using: &generator)
          return likelihood.logProbabilities([(unpadded, order)])[0].reduce(0, +)
        }
        nats -= Likelihood.importanceWeighted(each)
        tokens += unpadded.count
        // As it stands in the rule: padding last, without probability.
        var again = CounterGenerator(seed: 7, stream: .likelihoodOrder, major: index)
        let order = likelihood.drawOrder(length: unpadded.count, using: &again)
        let whole = GenerationOrder(
          positions: order.positions + Array(unpadded.count..<Self.length), cleanCount: 0)
        let row = likelihood.logProbabilities([(Array(padded[index]), whole)])[0]
        #expect(abs(row[..<unpadded.count].reduce(0, +) - each[0]) < 1e-5)
      }
      for batchSize in [1, 5, 16] {
        let evaluation = try PerplexityEvaluation(likelihood, blocks: padded, batchSize: batchSize, seed: 7)
        let found = evaluation.exact(orders: orders).last!.estimate.nats
        #expect(abs(found - nats / Double(tokens)) < 1e-5)
      }
    }
  }

  @Test(arguments: [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])])
  func exactPerplexityIsReportedForPowersOfTwoOfOrders(orders: Int, reported: [Int]) throws {
    #expect(evaluation(try fresh(), count: 1).exact(orders: orders).map(\.orders) == reported)
  }

  @Test func theBoundFallsAsOrdersAreAdded() throws {
    let nats = evaluation(opinionated(), count: 48).exact(orders: 16).map(\.estimate.nats)
    #expect(nats == nats.sorted(by: >))
    #expect(nats.first! - nats.last! > 0.01)
  }

  @Test func bothBoundsAgreeOnAverage() throws {
    let network = opinionated()
    // Of the same sequences with different draws, so that the differences vary by the draws alone.
    let differences = (0..<32 as Range<UInt64>).map { seed in
      let evaluation = evaluation(network, alpha0: 1, count: 48, seed: seed)
      let (nelbo, imdce) = (evaluation.nelbo(draws: 2), evaluation.imdce(draws: 2))
      return nelbo.nats / imdce.nats - 1
    }
    #expect(abs(differences.mean) < 4 * differences.standardError)
    #expect(differences.standardError < 0.025)
  }

  @Test func batchesOfAnySizeGiveTheSame() throws {
    let network = opinionated()
    let values = [1, 5, 16].map { size in
      let evaluation = evaluation(network, batchSize: size)
      return [evaluation.nelbo(draws: 2), evaluation.imdce(draws: 2)].map(\.nats)
        + evaluation.exact(orders: 6).map(\.estimate.nats)
    }
    for other in values.dropFirst() { #expect(zip(values[0], other).allSatisfy { abs($0 - $1) < 1e-5 }) }
  }

  @Test func theSeedDecidesTheDraws() throws {
    let network = opinionated()
    let values = [7, 7, 8].map { evaluation(network, seed: $0).nelbo().nats }
    #expect(values[0] == values[1])
    #expect(values[0] != values[2])
  }

  @Test func theErrorOfOneSequenceIsUnknown() throws {
    #expect(evaluation(opinionated(), count: 1).nelbo().standardError == nil)
    #expect(evaluation(opinionated(), count: 2).nelbo().standardError != nil)
  }

  @Test func progressRisesToOne() throws {
    let evaluation = evaluation(try fresh(), batchSize: 5)
    var shares: [[Double]] = [[], []]
    _ = evaluation.nelbo(draws: 2) { shares[0].append($0) }
    _ = evaluation.exact(orders: 2) { shares[1].append($0) }
    for shares in shares { #expect(shares == shares.sorted() && shares.last == 1 && shares[0] > 0) }
  }
}
