import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

/// Texts of three tokens and a mask, of which some positions are given, against what the training passes say of every
/// filling.
@Suite("Conditional sampling")
struct ConditionalSamplingTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let method: any GenerationMethod
    let template: [Int32?]
    var steps: Int?
    var schedule: GenerationRequest.Schedule?
    var order = GenerationRequest.ContextOrder.ascending
    var picker = TokenPicker.plain
  }

  private static let mask = 3

  static let cases: [Case] = {
    var generator = CounterGenerator(seed: 5, stream: .toyLanguage)
    func template(_ holes: Int, of length: Int) -> [Int32?] {
      let places = Set((0..<length).shuffled(using: &generator)[..<holes])
      return (0..<length).map { places.contains($0) ? nil : Int32.random(in: 0..<3, using: &generator) }
    }
    var cases: [Case] = []
    for variant in EsotericMethod.Variant.allCases {
      for alpha0 in [1, 0.5, 0] {
        for order in variant == .a ? [.ascending] : GenerationRequest.ContextOrder.allCases {
          cases.append(
            Case(
              testDescription: "Eso-LM (\(variant)), α₀ \(alpha0), \(order)",
              method: try! EsotericMethod(variant, alpha0: alpha0), template: template(3, of: 6), steps: 2, order: order
            ))
        }
      }
      for schedule in [GenerationRequest.Schedule.block, .blockShuffled] {
        cases.append(
          Case(
            testDescription: "Eso-LM (\(variant)), \(schedule)", method: try! EsotericMethod(variant, alpha0: 1),
            template: template(3, of: 5), steps: 2, schedule: schedule))
      }
    }
    for orders in [DiffusionOrders(clean: .leftToRight), .init(masks: .leftToRight)] {
      for schedule in [GenerationRequest.Schedule.ancestral, .leftToRight, .blockShuffled] {
        cases.append(
          Case(
            testDescription: "Eso-LM (b), \(orders.clean), \(orders.masks), \(schedule)",
            method: try! EsotericMethod(alpha0: 1, orders: orders), template: template(3, of: 6), steps: 2,
            schedule: schedule))
      }
    }
    for schedule in [GenerationRequest.Schedule.ancestral, .leftToRight, .block, .blockShuffled] {
      cases.append(
        Case(
          testDescription: "MDLM, \(schedule)", method: MaskedDiffusionMethod(), template: template(3, of: 5), steps: 2,
          schedule: schedule))
    }
    for schedule in [GenerationRequest.Schedule.firstHitting, .ancestral] {
      cases.append(
        Case(
          testDescription: "BD3-LM, \(schedule)", method: try! BlockDiffusionMethod(blockSize: 2),
          template: [1, nil, nil, nil], schedule: schedule))
    }
    for isText in [true, false] {
      cases.append(
        Case(
          testDescription: "AR, start \(isText ? "in" : "before") the text",
          method: AutoregressiveMethod(start: .init(token: isText ? 1 : 3, isText: isText)),
          template: [2, 0, nil, nil, nil]))
    }
    cases.append(
      Case(
        testDescription: "Eso-LM (b), top-p, warm", method: try! EsotericMethod(alpha0: 0.5),
        template: template(3, of: 5),
        steps: 2, picker: try! TokenPicker(temperature: 1.5, topP: 0.9)))
    return cases
  }()

  private func network(_ test: Case) -> Transformer {
    let isModulated = !(test.method is AutoregressiveMethod)
    return TransformerWeights.random(.small(vocabulary: 4, conditioning: isModulated ? 8 : nil)).transformer()
  }

  private func generations(_ test: Case, count: Int) throws -> [Generation] {
    let request = GenerationRequest(
      template: test.template, steps: test.steps, schedule: test.schedule, contextOrder: test.order,
      picker: test.picker, seed: 2)
    return try test.method.generations(request, count: count, for: .small(vocabulary: 4))
  }

  private func fillings(_ test: Case) -> [[Int32]] {
    let holes = test.template.indices.filter { test.template[$0] == nil }
    return sequences(of: 3, length: holes.count).map { filling in
      var text = test.template.map { $0 ?? 0 }
      for (hole, token) in zip(holes, filling) { text[hole] = token }
      return text
    }
  }

  /// log p of every filling under a plan, call by call: [filling], of the drawn and of the model's distributions.
  private func distribution(
    _ test: Case, _ network: Transformer, given: [Int], plan: UnmaskingPlan, _ texts: [[Int32]]
  ) -> [(drawn: Double, model: Double)] {
    var sums = texts.map { _ in (drawn: 0.0, model: 0.0) }
    var slot = given.count
    for step in plan.steps {
      let slots = slot..<slot + step.count
      var input = NetworkInput()
      let passes = texts.map {
        trainingPass(
          test.method, $0, given + plan.positions, writing: slots, diffused: given.count + plan.diffusedCount)
      }
      input.append(passes.map(\.sequence), pattern: passes[0].pattern, maskToken: Self.mask)
      let logits = withoutGradients { network.logits(input) }
      let drawn = test.picker.distribution(of: logits, excluding: Self.mask)
      let model = TokenPicker.plain.distribution(of: logits, excluding: Self.mask)
      for text in texts.indices {
        for (place, position) in step.enumerated() {
          let (row, token) = (text * step.count + place, Int(texts[text][position]))
          sums[text].drawn += log(drawn[row][token])
          sums[text].model += log(model[row][token])
        }
      }
      slot = slots.upperBound
    }
    return sums
  }

  /// Every sequence draws its own plan, so what 3,000 of them should give is the mean of the distributions of their plans. A right
  /// sampler fails once in 30,000 seeds.
  @Test(arguments: cases)
  func fillingsComeAsOftenAsTheirProbabilitiesSay(_ test: Case) throws {
    struct Plan: Hashable {
      let order: [Int]
      let sizes: [Int]
      let diffused: Int
    }
    let network = network(test)
    let texts = fillings(test)
    let all = try generations(test, count: 3000)
    let found = try written(all, by: CachedTransformer(network))
    var distributions: [Plan: [(drawn: Double, model: Double)]] = [:]
    var expected = [Double](repeating: 0, count: texts.count)
    for (generation, text) in zip(all, found) {
      let plan = try #require(generation.plan as? FixedPlan).plan.arranged(for: test.method)
      let key = Plan(
        order: generation.order + plan.positions, sizes: plan.steps.map(\.count), diffused: plan.diffusedCount)
      let distribution =
        distributions[key] ?? self.distribution(test, network, given: generation.order, plan: plan, texts)
      distributions[key] = distribution
      for (place, chance) in distribution.enumerated() { expected[place] += exp(chance.drawn) / Double(all.count) }
      // What the sampler says of its own text is what the distribution says of it.
      let place = try #require(texts.firstIndex(of: text.tokens))
      #expect(abs(text.logProbability - distribution[place].drawn) < 1e-4)
      #expect(abs(text.modelLogProbability - distribution[place].model) < 1e-4)
    }
    for distribution in distributions.values { #expect(abs(distribution.reduce(0) { $0 + exp($1.drawn) } - 1) < 1e-4) }
    let counts = texts.map { text in found.count { $0.tokens == text } }
    #expect(counts.reduce(0, +) == all.count)
    #expect(chiSquareScore(counts, distribution: expected) < 4)
  }

  // MARK: One pass

  /// What was drawn call by call has the same probability in one pass; and one token at a time, the probability that the
  /// likelihood gives.
  @Test(arguments: [1, 0.5, 0.125], [1, 3, 8])
  func probabilitiesCanBeHadAgain(alpha0: Double, steps: Int) throws {
    let model = TransformerWeights.random().transformer()
    let network = CachedTransformer(model)
    var template = [Int32?](repeating: nil, count: 24)
    for (position, token) in [(2, 5), (3, 1), (17, 0)] as [(Int, Int32)] { template[position] = token }
    let request = GenerationRequest(
      template: template, steps: steps, picker: try TokenPicker(temperature: 0.8, topP: 0.9), seed: 3)
    for text in try written(
      try! EsotericMethod(alpha0: alpha0).generations(request, count: 3, for: .small()), by: network)
    {
      let again = try #require(try text.replayedLogProbabilities(under: network))
      #expect(distance(again.map(\.drawn), text.history.flatMap(\.logProbabilities)) < 1e-5)
      #expect(distance(again.map(\.model), text.history.flatMap(\.modelLogProbabilities)) < 1e-5)
      let single = try #require(try text.oneAtATimeLogProbabilities(under: network))
      let likelihood = try! Likelihood(model, alpha0: alpha0).conditionalLogProbabilities([
        (text.tokens, GenerationOrder(positions: text.order, cleanCount: 3))
      ])
      #expect(distance(single, try #require(likelihood)[0]) < 1e-5)
    }
  }

  /// The same where clean tokens are sorted, or masks: each call, and each token, is read again as it was written.
  @Test(arguments: [DiffusionOrders(clean: .leftToRight), .init(masks: .leftToRight)], [1, 3, 8, 24])
  func probabilitiesOfArrangedTextsCanBeHadAgain(orders: DiffusionOrders, steps: Int) throws {
    let model = TransformerWeights.random().transformer()
    let network = CachedTransformer(model)
    let method = try EsotericMethod(alpha0: 1, orders: orders)
    var template = [Int32?](repeating: nil, count: 24)
    for (position, token) in [(2, 5), (3, 1), (17, 0)] as [(Int, Int32)] { template[position] = token }
    let request = GenerationRequest(
      template: template, steps: steps, picker: try TokenPicker(temperature: 0.8, topP: 0.9), seed: 3)
    for text in try written(method.generations(request, count: 3, for: .small()), by: network) {
      let again = try #require(try text.replayedLogProbabilities(under: network))
      #expect(distance(again.map(\.drawn), text.history.flatMap(\.logProbabilities)) < 1e-5)
      #expect(distance(again.map(\.model), text.history.flatMap(\.modelLogProbabilities)) < 1e-5)
      // One token at a time, call by call, with the tokens that were drawn.
      let positions = text.history.flatMap(\.positions)
      let single = try Generation(
        GenerationRequest(template: template), rule: text.rule,
        plan: FixedPlan(try UnmaskingPlan(steps: positions.map { [$0] })), for: .small())
      let logits = try forcedLogits([single], [text.tokens], by: network, usesCache: false)[0]
      let expected = zip(positions, logits).map { position, logits in
        log(TokenPicker.plain.distribution(of: logits, excluding: 12)[0][Int(text.tokens[position])])
      }
      #expect(distance(try #require(try text.oneAtATimeLogProbabilities(under: network)), expected) < 1e-4)
      // What comes next is read the same before it is there.
      let half = try method.generation(request, for: .small())
      let next = zip(positions, positions.map { text.tokens[$0] }).map { (position: $0, token: $1) }
      let read = try #require(try half.logProbabilities(ofWriting: [next], under: network))[0]
      #expect(distance(read, expected) < 1e-4)
    }
    #expect((Likelihood(model, method: method).isExact) == (orders.clean == .random))
  }

  /// A text that is known, longer than what is fed at a time, with the likeliest tokens in each place.
  @Test(arguments: [0, 1, 2]) func aWholeTextIsReadInOnePass(which: Int) throws {
    let starts = [DecodingRule.Start(token: 5, isText: false), .init(token: 3, isText: true)]
    let methods: [any GenerationMethod] = [try EsotericMethod(alpha0: 0)] + starts.map(AutoregressiveMethod.init)
    let (method, configuration) = (methods[which], TransformerConfiguration.small(conditioning: which == 0 ? 8 : nil))
    let model = TransformerWeights.random(configuration).transformer()
    let tokens = randomSequences(1, length: 600, tokens: 12)[0]
    let given = which == 2 ? 1 : 0
    let request = GenerationRequest(
      template: tokens.prefix(given).map { $0 } + Array(repeating: nil, count: 600 - given), alternativeCount: 2)
    let generation = try method.generation(request, for: configuration)
    let network = CachedTransformer(model)
    let written = (given..<600).map { (position: $0, token: tokens[$0]) }
    let picks = try #require(try generation.picks(ofWriting: [written], under: network))[0]
    let exact = Likelihood(model, method: method).logProbabilities([(tokens, .leftToRight(length: 600))])[0]
    #expect(picks.map(\.token) == Array(tokens[given...]))
    #expect(distance(picks.map(\.modelLogProbability), exact) < 1e-4)
    for pick in picks {
      #expect(pick.alternatives.count == 2 && pick.alternatives[0].logProbability >= pick.modelLogProbability)
      for other in pick.alternatives where other.token == pick.token {
        #expect(other.logProbability == pick.modelLogProbability)
      }
    }
    // AR reads what follows and nothing else.
    let late = try generation.picks(ofWriting: [Array(written.dropFirst())], under: network)
    #expect((late == nil) == (which > 0))
  }

  @Test func methodsWithoutOneAtATimeProbabilitiesSaySo() throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    for method in [
      MaskedDiffusionMethod(), try! EsotericMethod(.a, alpha0: 0.5), try! BlockDiffusionMethod(blockSize: 4),
    ]
      as [any GenerationMethod]
    {
      let text = try written([method.generation(GenerationRequest(length: 8), for: .small())], by: network)[0]
      #expect(try text.oneAtATimeLogProbabilities(under: network) == nil)
      #expect(try text.replayedLogProbabilities(under: network) == nil)
    }
  }

  /// Positions that are never written are never seen: the probability of what stands behind a hole.
  @Test func whatIsNotWrittenIsNotSeen() throws {
    let model = TransformerWeights.random(.small(vocabulary: 4)).transformer()
    let network = CachedTransformer(model)
    let request = GenerationRequest(template: [1, nil, nil, nil, nil])
    let generation = try EsotericMethod(alpha0: 0).generation(request, for: .small(vocabulary: 4))
    var total = 0.0
    let all = sequences(of: 3, length: 2)
    let found = try #require(
      try generation.logProbabilities(ofWriting: all.map { [(3, $0[0]), (4, $0[1])] }, under: network))
    for (tokens, chances) in zip(all, found) {
      total += exp(chances.reduce(0, +))
      let sequence = NetworkSequence(
        tokens: [1] + tokens, positions: [0, 3, 4], cleanCount: 1, masked: [1, 2], outputs: [1, 2])
      var batch = ScoredBatch()
      batch.append([.init(sequence, targets: tokens, weights: [1, 1])], pattern: .twoStream, maskToken: 3)
      #expect(distance(chances, batch.negativeLogLikelihoods(under: model)[0].map { -$0 }) < 1e-5)
    }
    #expect(abs(total - 1) < 1e-5)
  }
}
