import Corpora
import EsoLM
import Evaluation
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Generative perplexity")
struct GenerativePerplexityTests {
  /// Finds token t as likely as 2⁻ᵗ, whatever came before; 0 ends a text.
  private struct Powers: Judge {
    var contextLength = 4
    let endOfText: Int32 = 0
    let vocabularySize = 10
    var predictsFirst = false

    func logProbabilities(of windows: [[Int32]]) -> [[Double]] {
      windows.map { $0.dropFirst(predictsFirst ? 0 : 1).map { -Double($0 + 1) * log(2) } }
    }
  }

  private func judged(_ samples: [[Int32]], _ judge: Powers = Powers()) throws -> (bits: Double, count: Int) {
    var perplexity = GenerativePerplexity()
    try perplexity.add(samples, judge: judge)
    return (perplexity.nllSum / log(2), perplexity.count)
  }

  @Test(
    arguments: [
      // The first token of each window is not predicted.
      ([1, 2, 3, 4], 12, 3), ([1, 2, 3, 4, 5, 6], 19, 4), ([1, 2, 3, 4, 5], 12, 3), ([1], 0, 0), ([], 0, 0),
      // The first end of a window counts, the others do not; a window that begins with one has had its first.
      ([1, 0, 0, 2], 4, 2), ([0, 0, 0, 2], 3, 1), ([1, 2, 0, 0, 1, 0, 0, 0], 5, 3),
      ([0, 0, 0, 0], 0, 0),
    ] as [([Int32], Double, Int)])
  func tokensAreCountedByTheRule(sample: [Int32], bits: Double, count: Int) throws {
    let found = try judged([sample])
    #expect(abs(found.bits - bits) < 1e-9)
    #expect(found.count == count)
  }

  @Test func aJudgeMayPredictTheFirstTokenToo() throws {
    let found = try judged([[1, 0, 0, 2, 0, 3]], Powers(predictsFirst: true))
    #expect(abs(found.bits - Double(2 + 1 + 3 + 1 + 4)) < 1e-9)
    #expect(found.count == 5)
  }

  @Test func allSamplesTogetherMakeOnePerplexity() throws {
    var perplexity = GenerativePerplexity()
    #expect(perplexity.perplexity == nil)
    let each = try perplexity.add([[1, 2, 3], [1, 5], [4]], judge: Powers(), batchSize: 2)
    // The two short ones end once: a bit more.
    for (found, expected) in zip(each, [3.5, 3.5, 1]) { #expect(abs(log2(found!) - expected) < 1e-9) }
    #expect(abs(log2(perplexity.perplexity!) - 3) < 1e-9)
    // Alone it is the longest.
    try perplexity.add([[1, 2]], judge: Powers())
    #expect(perplexity.count == 6 && abs(log2(perplexity.perplexity!) - 3) < 1e-9)
  }

  /// The rule as it stands: everything is padded, every window judged, the first end of each counted.
  @Test func paddingCountsAsIfAllOfItWereThere() throws {
    for (predictsFirst, longest) in [(false, 9), (true, 9), (false, 4), (true, 4)] {
      let judge = Powers(predictsFirst: predictsFirst)
      var samples = (0..<longest).map { randomSequences(1, length: $0, tokens: 10, seed: UInt64($0))[0] }
      samples.append(Array(repeating: 3, count: longest))
      var (bits, count) = (0.0, 0)
      for sample in samples {
        let padded = sample + Array(repeating: 0, count: longest - sample.count)
        for start in stride(from: 0, to: longest, by: 4) {
          // A window of nothing but padding has no end of its own to count.
          guard start <= sample.count else { continue }
          let window = Array(padded[start..<min(start + 4, longest)])
          for place in window.indices.dropFirst(predictsFirst ? 0 : 1)
          where window[place] != 0 || !window[..<place].contains(0) {
            bits += Double(window[place]) + 1
            count += 1
          }
        }
      }
      let found = try judged(samples, judge)
      #expect(found.count == count && abs(found.bits - bits) < 1e-9)
    }
  }

  /// The toy language's stream of sentences has no end that could be likely.
  @Test func textsOfTheToyLanguageAreNotPadded() throws {
    let texts = try ["the dogs run.", "the dog runs. the dogs run."].map { try ToyLanguage.tokenizer.encode($0) }
    var perplexity = GenerativePerplexity()
    try perplexity.add(texts, judge: ToyLanguageJudge())
    #expect(perplexity.count == texts.joined().count && perplexity.nllSum.isFinite)
  }

  @Test(arguments: [-1, 10])
  func aTokenThatTheJudgeDoesNotKnowIsNamed(token: Int32) {
    #expect(
      message { try judged([[1, 2], [3, token]]) }
        == "sample 2 holds token \(token), expected 0 to 9 as the judge's vocabulary has them")
  }

  @Test func progressRisesToOne() throws {
    var shares: [Double] = []
    var perplexity = GenerativePerplexity()
    try perplexity.add(randomSequences(5, length: 10, tokens: 10), judge: Powers(), batchSize: 4) { shares.append($0) }
    #expect(shares == shares.sorted() && shares.count == 4 && shares.last == 1)
  }

  // MARK: Judges whose distribution is known

  @Test func theToyLanguagesPerplexityIsThatOfItsRules() throws {
    let blocks = ToyLanguage.tokenBlocks(count: 300, length: 200, seed: 5)
    var perplexity = GenerativePerplexity()
    let each = try perplexity.add(blocks.map { Array($0) }, judge: ToyLanguageJudge(), batchSize: 7)
    // The closed form: the product of the rules' probabilities.
    var scorer = GrammarScorer(ToyLanguage.grammar)
    let truth = ToyLanguage.blocks(count: 300, length: 200, seed: 5).map { scorer.logProbability(of: $0) }
    #expect(perplexity.count == 300 * 200)
    #expect(abs(perplexity.nllSum / -truth.reduce(0, +) - 1) < 1e-12)
    for (found, truth) in zip(each, truth) { #expect(abs(found! / exp(-truth / 200) - 1) < 1e-12) }
  }

  /// In the long run its perplexity is that of the grammar's entropy, which is known without any text.
  @Test func theToyLanguagesPerplexityTendsToItsEntropy() throws {
    let blocks = ToyLanguage.tokenBlocks(count: 40, length: 5000, seed: 6)
    var perplexity = GenerativePerplexity()
    let each = try perplexity.add(blocks.map { Array($0) }, judge: ToyLanguageJudge()).map { log($0!) }
    #expect(abs(each.mean - ToyLanguage.grammar.entropyPerCharacter) < 4 * each.standardError + 2e-3)
    #expect(each.standardError < 0.01)
  }

  @Test func whatTheToyLanguageLacksIsInfinitelyUnlikely() throws {
    let right = try ToyLanguage.tokenizer.encode("the dogs run.")
    let judge = ToyLanguageJudge()
    #expect(judge.logProbabilities(of: [right])[0].allSatisfy { $0.isFinite })
    let wrong = try ToyLanguage.tokenizer.encode("the dogs runs.")
    let row = judge.logProbabilities(of: [wrong])[0]
    #expect(row.firstIndex(of: -.infinity) == 12 && row[12...].allSatisfy { $0 == -.infinity })
    #expect(judge.logProbabilities(of: [[judge.endOfText]]) == [[-.infinity]])
  }

  /// A network whose output layer is nothing but a bias: each token has its own probability, whatever came before.
  private func unigram(_ distribution: [Double]) throws -> Transformer {
    let configuration = TransformerConfiguration.small(vocabulary: distribution.count + 1)
    let parameters = Dictionary(
      uniqueKeysWithValues: TransformerWeights.random(configuration).namedParameters.map { ($0.name, $0.tensor) })
    let bias = Tensor(distribution.map { Float(log($0)) } + [5])
    return try TransformerWeights(
      configuration,
      parameters: parameters.merging([
        "output_layer.linear.weight": .zeros([distribution.count + 1, configuration.hiddenSize]),
        "output_layer.linear.bias": bias,
      ]) { $1 }
    ).transformer()
  }

  @Test func aNetworkOfKnownLawHasTheClosedFormsPerplexity() throws {
    let distribution = [0.5, 0.25, 0.15, 0.1]
    let network = try unigram(distribution)
    let samples = randomSequences(9, length: 12, tokens: 4)
    let nll = samples.joined().map { -log(distribution[Int($0)]) }
    for alpha0 in [0, 0.5, 1] {
      let blocks = TokenBlocks(cutting: samples.flatMap { $0 }, length: 12)
      let evaluation = try PerplexityEvaluation(try! Likelihood(network, alpha0: alpha0), blocks: blocks)
      for (_, estimate) in evaluation.exact(orders: 3) { #expect(abs(estimate.perplexity / exp(nll.mean) - 1) < 1e-5) }
    }
    var perplexity = GenerativePerplexity()
    let judge = try LeftToRightJudge(
      try! Likelihood(network, alpha0: 0), contextLength: 5, endOfText: 3, vocabularySize: 4)
    try perplexity.add(samples, judge: judge, batchSize: 4)
    // By hand: of each window of 5, 5 and 2 tokens, the ends after the first do not count.
    var counted: [Double] = []
    for sample in samples {
      for window in [sample[0..<5], sample[5..<10], sample[10..<12]] {
        let ends = window.indices.filter { window[$0] == 3 }
        counted += window.indices.filter { !ends.dropFirst().contains($0) }.map { -log(distribution[Int(window[$0])]) }
      }
    }
    #expect(perplexity.count == counted.count && counted.count < 9 * 12)
    #expect(abs(perplexity.perplexity! / exp(counted.mean) - 1) < 1e-5)
  }

  @Test func aRunFromLeftToRightIsItsExactLikelihood() throws {
    let network = TransformerWeights.random(.small(vocabulary: 5)).transformer()
    let likelihood = try! Likelihood(network, alpha0: 0)
    let judge = try LeftToRightJudge(likelihood, contextLength: 8, endOfText: 0, vocabularySize: 4)
    let windows = [8, 3, 8, 5].enumerated().map { randomSequences(1, length: $1, tokens: 4, seed: UInt64($0))[0] }
    let rows = judge.logProbabilities(of: windows)
    for (window, row) in zip(windows, rows) {
      let alone = likelihood.logProbabilities([(window, .leftToRight(length: window.count))])[0]
      #expect(distance(row, alone) < 1e-5)
    }
  }

  /// One that starts from nothing says nothing of a window's first token.
  @Test(arguments: [false, true])
  func anAutoregressiveModelIsAJudge(startIsText: Bool) throws {
    let network = TransformerWeights.random(.small(vocabulary: 5, conditioning: nil)).transformer()
    let method = AutoregressiveMethod(start: .init(token: startIsText ? 0 : 4, isText: startIsText))
    let judge = try LeftToRightJudge(
      Likelihood(network, method: method), contextLength: 6, endOfText: 0, vocabularySize: 4)
    let windows = [6, 1, 3].map { randomSequences(1, length: $0, tokens: 4)[0] }
    #expect(judge.logProbabilities(of: windows).map(\.count) == (startIsText ? [5, 0, 2] : [6, 1, 3]))
    var perplexity = GenerativePerplexity()
    try perplexity.add([Array(repeating: 1, count: 13)], judge: judge)
    #expect(perplexity.count == (startIsText ? 10 : 13))

    // Features are those of a text, whatever stands beside it, and change with any of its tokens.
    let features = try #require(AutoregressiveJudge(judge)).features(of: windows)
    #expect(features.shape == [3, network.configuration.hiddenSize])
    for (index, window) in windows.enumerated() {
      let alone = try #require(AutoregressiveJudge(judge)).features(of: [window])
      #expect(distance(alone, features.narrowed(dim: 0, to: index..<index + 1)) < 1e-5)
      for place in window.indices {
        var other = window
        other[place] = (other[place] + 1) % 4
        #expect(distance(try #require(AutoregressiveJudge(judge)).features(of: [other]), alone) > 1e-4)
      }
    }
    let other = try LeftToRightJudge(
      Likelihood(network, alpha0: 0), contextLength: 6, endOfText: 0, vocabularySize: 4)
    #expect(AutoregressiveJudge(other) == nil)
  }
}
