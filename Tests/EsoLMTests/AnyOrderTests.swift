import EsoLM
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Any-order training")
struct AnyOrderTests {
  private let network = TransformerWeights.random().transformer()

  /// Sequences of 12 of which some end in padding.
  private let share = BatchShare(
    zip(randomSequences(4, length: 12, tokens: 10), [12, 7, 1, 12]).map { tokens, count in
      PaddedTokens(tokens.prefix(count) + Array(repeating: 11, count: 12 - count), contentCount: count)
    })

  private func method(_ alpha0: Double, share: Double = 0) throws -> EsotericMethod {
    try EsotericMethod(alpha0: alpha0, anyOrder: AnyOrderObjective(leftToRightShare: share))
  }

  private func loss(_ method: any GenerationMethod, step: Int = 3) -> Double {
    withoutGradients {
      network.loss(of: method.trainingBatch(share, maskToken: 12, seed: 5, step: step)).loss.item
    }
  }

  /// What tokens that are no padding cost, each exactly, in orders of each sequence without its padding.
  private func exact(_ method: EsotericMethod, _ orders: [[Int]]) -> Double {
    let counts = share.contentCounts
    let sums = zip(share.sequences, orders).map { text, order in
      let tokens = Array(text.tokens.prefix(text.contentCount))
      return Likelihood(network, method: method)
        .logProbabilities([(tokens, GenerationOrder(positions: order, cleanCount: 0))])[0].reduce(0, +)
    }
    return -sums.reduce(0, +) / Double(counts.reduce(0, +))
  }

  @Test(arguments: [0, 0.5, 1])
  func theLossIsTheMeanOfExactLogProbabilities(alpha0: Double) throws {
    let method = try method(alpha0)
    let orders = share.contentCounts.indices.map { place in
      var generator = CounterGenerator(seed: 5, stream: .corruption, major: 3, minor: place)
      return method.drawOrder(length: share.contentCounts[place], using: &generator).positions
    }
    #expect(abs(loss(method) - exact(method, orders)) < 1e-5)
    // Another step has other orders, but for the one that there is.
    #expect((loss(method) != loss(method, step: 4)) == (alpha0 > 0))
    #expect(abs(loss(method) - loss(try EsotericMethod(alpha0: alpha0))) > 1e-4 || alpha0 == 0)
    let batch = method.trainingBatch(share, maskToken: 12, seed: 5, step: 3)
    #expect(batch.targets.count == 32 && batch.diffusionOutputCount == 0)
  }

  @Test func aShareOfOneIsTrainedFromLeftToRight() throws {
    let method = try method(1, share: 1)
    #expect(abs(loss(method) - exact(method, share.contentCounts.map { Array(0..<$0) })) < 1e-5)
    #expect(abs(loss(method) - loss(try EsotericMethod(alpha0: 0))) < 1e-5)
    #expect(abs(loss(method) - loss(try self.method(1))) > 1e-4)
  }

  @Test(arguments: [0, 0.1, 0.3, 0.5, 1]) func theShareIsDealtEvenly(share: Double) throws {
    let method = try method(1, share: share)
    let objective = try #require(method.anyOrder)
    let batch = randomSequences(7, length: 12, tokens: 10).map { PaddedTokens($0) }
    var dealt = 0
    for step in 0..<40 {
      let whole = objective.orders(of: BatchShare(batch), drawnBy: method, seed: 1, step: step)
      let sorted = whole.map { $0 == .leftToRight(length: 12) }
      dealt += sorted.count { $0 }
      #expect(abs(Double(dealt) - share * 7 * Double(step + 1)) < 1)
      // Of three processes each has as many, give or take one, and the orders of its places in the whole.
      let counts = (0..<3).map { number in
        let own = BatchShare(number, of: 3, contentCounts: batch.map(\.contentCount)) { batch[$0] }
        #expect(
          objective.orders(of: own, drawnBy: method, seed: 1, step: step) == own.places.map { whole[$0] })
        return own.places.count { sorted[$0] }
      }
      #expect(counts.max()! - counts.min()! <= 1)
    }
  }

  @Test func theBoundStaysThePapers() throws {
    let noise = EvaluationNoise(seed: 1, count: 4)
    let bounds = try [method(0.5, share: 0.5), EsotericMethod(alpha0: 0.5)].map {
      Likelihood(network, method: $0).negativeELBO(share.sequences, noise: noise)
    }
    #expect(bounds[0] == bounds[1])
  }

  @Test func theTitleSaysIt() throws {
    #expect(try method(1).title == "Eso-LM (B) any-order, α₀ = 1")
    #expect(try method(0.5, share: 0.25).title == "Eso-LM (B) any-order (0.25 left to right), α₀ = 0.5")
  }

  // MARK: Faults

  private func refusal(_ algorithm: Algorithm, _ change: (inout MethodConfiguration) -> Void = { _ in }) -> String? {
    var configuration = MethodConfiguration(algorithm: algorithm, objective: .anyOrder, length: 12)
    if algorithm.options.contains(.alpha0) { configuration.alpha0 = 1 }
    change(&configuration)
    return message { try configuration.validate() }
  }

  @Test func otherMethodsRefuseIt() throws {
    #expect(refusal(.esolmB) == nil)
    for algorithm in Algorithm.all where algorithm != .esolmB {
      let name = algorithm.rawValue
      #expect(refusal(algorithm) == "objective is any-order, expected none with \(name): it belongs to esolm-b")
    }
    let anyOrder = try AnyOrderObjective()
    #expect(
      message { try EsotericMethod(.a, alpha0: 1, anyOrder: anyOrder) }
        == "objective is any-order, expected paper, but for Eso-LM (B)")
  }

  @Test func optionsThatDoNotGoWithItAreRefused() throws {
    #expect(
      refusal(.esolmB) { $0.weighting = .lowVariance }
        == "weighting is low_var, expected elbo with objective any-order, which weighs all tokens alike")
    for (name, change) in [
      ("cleanOrder", { $0.cleanOrder = .leftToRight }), ("maskOrder", { $0.maskOrder = .leftToRight }),
    ] as [(String, (inout MethodConfiguration) -> Void)] {
      #expect(
        refusal(.esolmB, change)
          == "\(name) is left-to-right, expected random with objective any-order, which has no diffusion term")
    }
    for share in [-0.1, 1.5, .nan] {
      #expect(refusal(.esolmB) { $0.leftToRightShare = share } == "leftToRightShare is \(share), expected 0 to 1")
    }
    for objective in [nil, MethodConfiguration.Objective.paper] {
      #expect(
        refusal(.esolmB) { ($0.objective, $0.leftToRightShare) = (objective, 0.5) }
          == "leftToRightShare is 0.5, expected none, but with objective any-order")
    }
  }
}
