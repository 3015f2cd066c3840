import EsoLM
import Evaluation
import Files
import Foundation
import Randomness
import TestSupport
import Testing
import Tokenizers
import Torch

/// Against enumeration: three tokens and the mask.
@Suite("Scores of parts of a text")
struct PassageScoringTests {
  private let network = TransformerWeights.random(.small(vocabulary: 4)).transformer()
  private let tokens: [Int32] = [2, 0, 1, 1]

  private func likelihood(_ alpha0: Double = 1) -> Likelihood { try! Likelihood(network, alpha0: alpha0) }

  private func order(_ positions: [Int], cleanCount: Int = 0) -> GenerationOrder {
    GenerationOrder(positions: positions, cleanCount: cleanCount)
  }

  // MARK: Given an order

  @Test func conditionalAndGivenMakeUpTheWhole() throws {
    for positions in permutations(of: 4) {
      let whole = likelihood().logProbabilities([(tokens, order(positions))])[0]
      for clean in 0...4 {
        let rest = try #require(
          likelihood().conditionalLogProbabilities([(tokens, order(positions, cleanCount: clean))]))[0]
        #expect(distance(rest, Array(whole[clean...])) < 1e-5)
      }
    }
  }

  @Test func sequencesOfSeveralLengthsAreScoredTogether() throws {
    let mixed = [4, 2, 3, 4, 1].enumerated().map { number, length in
      (
        tokens: randomSequences(1, length: length, tokens: 3, seed: UInt64(number))[0],
        order: order(Array((0..<length).reversed()), cleanCount: number % 2)
      )
    }
    let together = try #require(likelihood().conditionalLogProbabilities(mixed))
    for (one, row) in zip(mixed, together) {
      #expect(distance(likelihood().conditionalLogProbabilities([one])![0], row) < 1e-5)
    }
    #expect(likelihood().conditionalLogProbabilities([(tokens, order([0, 1, 2, 3], cleanCount: 4))]) == [[]])
    #expect(likelihood().conditionalLogProbabilities([]) == [])
  }

  /// Whatever is given, the probabilities of all that could stand in the rest add up to 1.
  @Test(arguments: [0, 0.5, 1])
  func probabilitiesOfAllEndingsAddUpToOne(alpha0: Double) throws {
    let context: [Int32] = [1, 0]
    let passages = try sequences(of: 3, length: 3).map { try Passage(context: context, ending: $0) }
    // One order for all: the same place in the list has the same draws.
    let total = try passages.reduce(0.0) { sum, passage in
      sum + exp(try PassageScoring(likelihood(alpha0)).scores(of: [passage])[0].logProbability)
    }
    #expect(abs(total - 1) < 1e-5)
  }

  // MARK: Averaged over orders

  @Test func manyOrdersComeToTheEnumeratedMean() throws {
    let passage = try Passage(context: [2, 0], ending: [1, 1])
    let all = [[0, 1], [1, 0]].flatMap { context in
      [[2, 3], [3, 2]].map { ending in
        likelihood().conditionalLogProbabilities([(tokens, order(context + ending, cleanCount: 2))])![0].reduce(0, +)
      }
    }
    let truth = all.map { exp($0) }.mean
    let score = try PassageScoring(likelihood(), orders: 4000, batchSize: 256).scores(of: [passage])[0]
    #expect(score.perOrder.count == 4000 && score.tokens == 2)
    let probabilities = score.perOrder.map { exp($0) }
    #expect(abs(probabilities.mean - truth) < 4 * probabilities.standardError)
    #expect(abs(exp(score.logProbability) - probabilities.mean) < 1e-9)
    // Each order is one of the four, all about as often.
    let seen = all.map { value in score.perOrder.count { abs($0 - value) < 1e-5 } }
    #expect(chiSquareScore(seen, distribution: [0.25, 0.25, 0.25, 0.25]) < 4)
  }

  @Test func ordersCanBeScoredAFewAtATime() throws {
    let passage = try Passage(context: [2], ending: [1, 1, 0])
    let all = try PassageScoring(likelihood(0.5), orders: 7, seed: 3).scores(of: [passage])[0].perOrder
    let parts = try [(0, 2), (2, 4), (6, 1)].flatMap { first, count in
      try PassageScoring(likelihood(0.5), orders: count, seed: 3, firstOrder: first).scores(of: [passage])[0].perOrder
    }
    #expect(distance(all, parts) < 1e-5 && Set(all).count > 1)
  }

  @Test func withoutDiffusionThereIsOneOrderFromLeftToRight() throws {
    let passage = try Passage(context: [2, 0], ending: [1, 1])
    let score = try PassageScoring(likelihood(0), orders: 8).scores(of: [passage])[0]
    let expected = likelihood().logProbabilities([(tokens, .leftToRight(length: 4))])[0][2...].reduce(0, +)
    #expect(score.perOrder.count == 1 && abs(score.logProbability - expected) < 1e-5)
  }

  /// What is open must not be looked at: another token there changes nothing.
  @Test func openTokensAreNotLookedAt() throws {
    let roles: [Passage.Role] = [.open, .scored, .given, .open]
    let scores = try sequences(of: 3, length: 2).map { open in
      try PassageScoring(likelihood(), orders: 3)
        .scores(of: [Passage(tokens: [open[0], 0, 1, open[1]], roles: roles)])[0].perOrder
    }
    for other in scores { #expect(distance(other, scores[0]) < 1e-6) }
    let expected = likelihood().conditionalLogProbabilities([(tokens, order([2, 1, 0, 3], cleanCount: 1))])![0][0]
    #expect(abs(scores[0][0] - expected) < 1e-5)
  }

  @Test func batchesOfAnySizeGiveTheSame() throws {
    let passages = try [3, 1, 2].enumerated().map {
      try Passage(context: [1], ending: randomSequences(1, length: $1, tokens: 3, seed: UInt64($0))[0])
    }
    let scores = try [1, 4, 64].map { size in
      try PassageScoring(likelihood(0.5), orders: 5, batchSize: size).scores(of: passages).flatMap(\.perOrder)
    }
    #expect(distance(scores[0], scores[1]) < 1e-5 && distance(scores[0], scores[2]) < 1e-5)
    let other = try PassageScoring(likelihood(0.5), orders: 5, seed: 1).scores(of: passages).flatMap(\.perOrder)
    #expect(distance(scores[2], other) > 1e-3)
  }

  // MARK: Other methods

  private let plain = TransformerWeights.random(.small(vocabulary: 4, conditioning: nil)).transformer()

  /// From a start token before the text, or from the text's own first token.
  @Test(arguments: [false, true])
  func anARModelScoresWhatFollows(startIsText: Bool) throws {
    let likelihood = Likelihood(
      plain, method: AutoregressiveMethod(start: .init(token: startIsText ? 2 : 3, isText: startIsText)))
    let whole = likelihood.logProbabilities([(tokens, .leftToRight(length: 4))])[0]
    #expect(whole.count == (startIsText ? 3 : 4))
    for given in 0...3 {
      let passage = try Passage(context: Array(tokens[..<given]), ending: Array(tokens[given...]))
      let score = try PassageScoring(likelihood, orders: 5).scores(of: [passage])[0]
      #expect(score.perOrder.count == 1)
      #expect(abs(score.logProbability - whole.suffix(4 - given).reduce(0, +)) < 1e-5)
    }
    // What is open must stand at the end; then it changes nothing.
    let open = try Passage(tokens: tokens, roles: [.given, .scored, .open, .open])
    let expected = whole[startIsText ? 0 : 1]
    #expect(abs(try PassageScoring(likelihood).scores(of: [open])[0].logProbability - expected) < 1e-5)
    for roles in [[.scored, .given, .given, .given], [.open, .scored, .open, .open]] as [[Passage.Role]] {
      #expect(
        message { try PassageScoring(likelihood).scores(of: [Passage(tokens: tokens, roles: roles)]) }
          == "an AR model scores only text that follows all that is given, with nothing left open before")
    }
  }

  @Test func methodsWithoutAnExactLikelihoodSaySo() {
    let methods: [any GenerationMethod] = [
      MaskedDiffusionMethod(), try! EsotericMethod(.a, alpha0: 0.5),
      try! BlockDiffusionMethod(blockSize: 2, noiseRange: 0...1),
    ]
    for method in methods {
      #expect(
        message {
          try PassageScoring(Likelihood(network, method: method)).scores(of: [Passage(context: [1], ending: [2])])
        } == "the method has no exact likelihood; expected Eso-LM (B) or AR")
    }
  }

  // MARK: Spans

  private let letters = CharacterTokenizer(text: "abc")

  @Test func spansSayWhatEachTokenIsFor() throws {
    let all = try SpannedText("abcab", spans: [1..<2, 3..<5]).passage(letters)
    #expect(all.tokens == [0, 1, 2, 0, 1])
    #expect(all.roles == [.given, .scored, .given, .scored, .scored])
    let some = try SpannedText("abcab", spans: [1..<2], given: [3..<4]).passage(letters)
    #expect(some.roles == [.open, .scored, .open, .given, .open])
    #expect(try SpannedText("aé", spans: [1..<2]).passage(ByteTokenizer()).roles == [.given, .scored, .scored])
  }

  @Test func spansThatDoNotFitAreNamed() {
    func problem(_ spans: [Range<Int>], given: [Range<Int>]? = nil) -> String? {
      message { try SpannedText("abcab", spans: spans, given: given) }
    }
    #expect(problem([]) == "no span to score")
    #expect(problem([2..<6]) == "range 2:6, expected START:END with 0 ≤ START < END ≤ 5, the text's characters")
    #expect(problem([2..<2])?.hasPrefix("range 2:2, expected") == true)
    #expect(problem([1..<3, 2..<4]) == "ranges 1:3 and 2:4 overlap")
    #expect(problem([1..<3], given: [0..<2]) == "ranges 0:2 and 1:3 overlap")
    #expect(problem([1..<3], given: [0..<1, 3..<5]) == nil)
  }

  @Test func weightsThatAreNoNumbersAreNamed() throws {
    let broken = try TransformerWeights(
      .small(),
      parameters: Dictionary(
        uniqueKeysWithValues: TransformerWeights.random().namedParameters.map { ($0.name, $0.tensor * Double.nan) }))
    let scoring = try PassageScoring(try Likelihood(broken.transformer(), alpha0: 0.5))
    let passage = try Passage(context: [1], ending: [2])
    #expect(
      message { try scoring.scores(of: [passage]) }
        == "the network's logits are NaN; its weights are damaged or training diverged")
  }
}
