import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Sampling of all methods")
struct MethodSamplingTests {
  /// A method with a request for one of its plans.
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let method: any GenerationMethod
    let request: GenerationRequest
    var conditioning: Int? = 8
  }

  private static let length = 16
  private static let mask: Int32 = 12

  static let cases: [Case] = esoteric + arranged + others

  /// Eso-LM (B) whose clean tokens, or masks, stand from left to right.
  private static let arranged: [Case] = [
    DiffusionOrders(clean: .leftToRight), .init(masks: .leftToRight), .init(clean: .leftToRight, masks: .leftToRight),
  ].flatMap { orders in
    ([(1, nil), (4, nil), (1000, nil), (5, .leftToRight), (8, .blockShuffled)]
      as [(Int, GenerationRequest.Schedule?)]).map { steps, schedule in
        Case(
          testDescription: "Eso-LM (B), \(orders.clean), \(orders.masks), T \(steps) \(schedule?.rawValue ?? "")",
          method: try! EsotericMethod(alpha0: 1, orders: orders),
          request: GenerationRequest(length: length, steps: steps, schedule: schedule))
      }
  }

  private static let esoteric: [Case] = [1, 0.5, 0.125, 0].flatMap { alpha0 in
    ([1, 4, 1000] as [Int]).map { steps in
      Case(
        testDescription: "Eso-LM (A), α₀ \(alpha0), T \(steps)", method: try! EsotericMethod(.a, alpha0: alpha0),
        request: GenerationRequest(length: length, steps: steps))
    }
  }

  private static let others: [Case] = {
    func request(_ steps: Int? = nil, _ schedule: GenerationRequest.Schedule? = nil) -> GenerationRequest {
      GenerationRequest(length: length, steps: steps, schedule: schedule)
    }
    let plans: [(Int, GenerationRequest.Schedule)] = [
      (1, .ancestral), (4, .ancestral), (1000, .ancestral), (5, .leftToRight), (16, .leftToRight), (4, .block),
    ]
    let mdlm: [Case] = plans.map {
      Case(
        testDescription: "MDLM, T \($0), \($1.rawValue)", method: MaskedDiffusionMethod(),
        request: request($0, $1))
    }
    let bd3lm: [Case] = [1, 2, 4, 16].flatMap { size in
      [(nil, nil), (1, .ancestral), (3, .ancestral)].map { steps, schedule in
        Case(
          testDescription: "BD3-LM \(size), T \(steps ?? 0)", method: try! BlockDiffusionMethod(blockSize: size),
          request: request(steps, schedule))
      }
    }
    let given = Case(
      testDescription: "BD3-LM 4, first token given", method: try! BlockDiffusionMethod(blockSize: 4, firstToken: 5),
      request: request())
    let ar: [Case] = [nil, 8].flatMap { conditioning in
      [DecodingRule.Start(token: mask, isText: false), .init(token: 3, isText: true)].map { start in
        Case(
          testDescription: "AR from \(start.token)" + (conditioning == nil ? "" : ", AdaLN"),
          method: AutoregressiveMethod(start: start), request: request(), conditioning: conditioning)
      }
    }
    return mdlm + bd3lm + [given] + ar
  }()

  private func network(_ test: Case) -> Transformer {
    TransformerWeights.random(.small(conditioning: test.conditioning)).transformer()
  }

  private func generations(_ test: Case, count: Int, first: Int = 0) throws -> [Generation] {
    var request = test.request
    request.seed = 1
    return try test.method.generations(
      request, count: count, first: first, for: .small(conditioning: test.conditioning))
  }

  // MARK: Steps

  @Test(arguments: cases)
  func everyPositionIsWrittenOnce(_ test: Case) throws {
    let all = try generations(test, count: 2)
    let given = all.map { $0.tokens.indices(where: { $0 != Self.mask }) }
    for (text, given) in zip(try written(all, by: CachedTransformer(network(test))), given) {
      let positions = text.history.flatMap(\.positions)
      #expect(Set(positions).count == positions.count)
      #expect(Set(positions).union(given) == Set(0..<Self.length))
      #expect(text.tokens.count == Self.length && text.tokens.allSatisfy { (0..<12).contains($0) })
    }
  }

  @Test func aFirstTokenThatIsGivenIsKept() throws {
    for (name, token) in [("AR from 3", 3), ("BD3-LM 4, first token given", 5)] as [(String, Int32)] {
      let test = try #require(Self.cases.first { $0.testDescription == name })
      let texts = try written(generations(test, count: 3), by: CachedTransformer(network(test)))
      #expect(texts.allSatisfy { $0.tokens.first == token })
    }
  }

  // MARK: Exactness

  @Test(arguments: cases, [1, 8])
  func cachedAndRecomputedGenerationsAreTheSame(_ test: Case, batch: Int) throws {
    let (network, all) = (CachedTransformer(network(test)), try generations(test, count: batch))
    let (cached, recomputed) = (try written(all, by: network), try written(all, by: network, usesCache: false))
    #expect(cached.map(\.tokens) == recomputed.map(\.tokens))
    for (cached, recomputed) in zip(cached, recomputed) { #expect(cached.fedRows <= recomputed.fedRows) }
    let texts = forced(test, batch)
    let pair = try [true, false].map { try forcedLogits(all, texts, by: network, usesCache: $0) }
    #expect(pair[0].map(\.count) == pair[1].map(\.count))
    for (cached, recomputed) in zip(pair[0].joined(), pair[1].joined()) { #expect(distance(cached, recomputed) < 1e-4) }
  }

  /// The last block's other positions are masks, as in any block that is not finished.
  @Test func aTextMayEndInsideABlock() throws {
    let (method, network) = (try BlockDiffusionMethod(blockSize: 4), TransformerWeights.random().transformer())
    let (cached, configuration) = (CachedTransformer(network), network.configuration)
    let all = try method.generations(GenerationRequest(length: 10, seed: 3), count: 3, for: configuration)
    let texts = try written(all, by: cached)
    #expect(texts.map(\.tokens) == (try written(all, by: cached, usesCache: false).map(\.tokens)))
    for text in texts {
      #expect(text.tokens.count == 10 && text.finishReason == .length && text.networkCalls == 10)
      #expect(Set(text.history.flatMap(\.positions)) == Set(0..<10))
    }
    let given: [Int32?] = texts[0].tokens.prefix(8).map { $0 }
    let short = try method.generation(GenerationRequest(template: given + [nil, nil]), for: configuration)
    let positions = try written([short], by: cached)[0].history.map(\.positions)
    let long = try Generation(
      GenerationRequest(template: given + Array(repeating: nil, count: 4)),
      rule: DecodingRule(segments: .blocks(4)), plan: FixedPlan(try UnmaskingPlan(steps: positions)),
      for: configuration)
    let logits = try forcedLogits([short, long], Array(repeating: texts[0].tokens, count: 2), by: cached)
    #expect(logits[0].count == 2 && logits[1].count == 2)
    for (short, long) in zip(logits[0], logits[1]) { #expect(distance(short, long) < 1e-5) }
  }

  /// Texts with the token that a method takes as given.
  private func forced(_ test: Case, _ count: Int) -> [[Int32]] {
    randomSequences(count, length: Self.length, tokens: 12).map { text in
      var text = text
      if let method = test.method as? AutoregressiveMethod, method.start.isText { text[0] = method.start.token }
      if let token = (test.method as? BlockDiffusionMethod)?.firstToken { text[0] = token }
      return text
    }
  }

  @Test(arguments: cases)
  func aSequenceDoesNotDependOnItsBatch(_ test: Case) throws {
    let (network, all) = (CachedTransformer(network(test)), try generations(test, count: 4, first: 5))
    for (one, among) in zip(all, try written(all, by: network)) {
      #expect(try written([one], by: network)[0].history == among.history)
    }
  }

  /// What training sees of a half written sequence is what sampling sees of it.
  @Test(arguments: cases)
  func logitsAreThoseOfTheTrainingPass(_ test: Case) throws {
    let network = network(test)
    let (texts, all) = (forced(test, 2), try generations(test, count: 2))
    let logits = try forcedLogits(all, texts, by: CachedTransformer(network))
    for (place, generation) in all.enumerated() {
      let plan = try #require(generation.plan as? FixedPlan).plan.arranged(for: test.method)
      let given = generation.tokens.indices(where: { $0 != Self.mask })
      let order = GenerationOrder(
        positions: given + plan.positions, cleanCount: 0)
      var slot = given.count
      for (step, logits) in zip(plan.steps, logits[place]) {
        let slots = slot..<slot + step.count
        let (sequence, pattern) = trainingPass(
          test.method, texts[place], order.positions, writing: slots, diffused: given.count + plan.diffusedCount)
        var input = NetworkInput()
        input.append([sequence], pattern: pattern, maskToken: Int(Self.mask))
        #expect(distance(logits, withoutGradients { network.logits(input) }) < 1e-4)
        slot = slots.upperBound
      }
    }
  }

  // MARK: The distribution

  /// 4,000 sequences of 3 tokens, written from left to right, against their exact probabilities.
  @Test(arguments: [false, true])
  func autoregressiveSequencesComeAsOftenAsTheirLikelihoodSays(startIsText: Bool) throws {
    let network = TransformerWeights.random(.small(vocabulary: 4, conditioning: nil)).transformer()
    let method = AutoregressiveMethod(start: .init(token: startIsText ? 1 : 3, isText: startIsText))
    let configuration = TransformerConfiguration.small(vocabulary: 4, conditioning: nil)
    let texts = try written(
      method.generations(GenerationRequest(length: 3, seed: 1), count: 4000, for: configuration),
      by: CachedTransformer(network))
    let all = sequences(of: 3, length: 3).filter { !startIsText || $0[0] == 1 }
    let distribution = Likelihood(network, method: method)
      .logProbabilities(all.map { ($0, .leftToRight(length: 3)) }).map { exp($0.reduce(0, +)) }
    #expect(abs(distribution.reduce(0, +) - 1) < 1e-5)
    let counts = all.map { tokens in texts.count { $0.tokens == tokens } }
    #expect(counts.reduce(0, +) == 4000)
    #expect(chiSquareScore(counts, distribution: distribution) < 4)
  }

  /// One token a step in random order: MDLM's distribution of two tokens, from its logits on every half written pair.
  @Test func maskedDiffusionFollowsItsConditionals() throws {
    let network = TransformerWeights.random(.small(vocabulary: 4)).transformer()
    let method = MaskedDiffusionMethod()
    let texts = try written(
      method.generations(
        GenerationRequest(length: 2, schedule: .blockShuffled, seed: 1), count: 4000, for: .small(vocabulary: 4)),
      by: CachedTransformer(network))
    let all = sequences(of: 3, length: 2)
    func chance(_ tokens: [Int32], of position: Int, given: [Int]) -> Double {
      let clean = given + [0, 1].filter { !given.contains($0) }
      var input = NetworkInput()
      input.append(
        [
          NetworkSequence(
            tokens: clean.map { tokens[$0] }, positions: clean, cleanCount: given.count,
            masked: Array(given.count..<2), outputs: [clean.firstIndex(of: position)!])
        ], pattern: .bidirectional, maskToken: 3)
      let logits = withoutGradients { network.logits(input) }.narrowed(dim: 1, to: 0..<3)
      return logits.softmax(dim: 1).array(of: Double.self)[Int(tokens[position])]
    }
    let distribution = all.map { tokens in
      [[0, 1], [1, 0]].map { order in
        chance(tokens, of: order[0], given: []) * chance(tokens, of: order[1], given: [order[0]])
      }.mean
    }
    #expect(abs(distribution.reduce(0, +) - 1) < 1e-5)
    let counts = all.map { tokens in texts.count { $0.tokens == tokens } }
    #expect(chiSquareScore(counts, distribution: distribution) < 4)
  }

  // MARK: Work

  /// Of a long text: BD3-LM runs a block for each token and one more to keep it, Eso-LM (B) two rows a token.
  @Test(arguments: [4, 16]) func rowsPerTokenAreAsCounted(blockSize: Int) throws {
    let length = 256
    let model = CachedTransformer(
      TransformerWeights.random(.small(hidden: 4, blocks: 1, heads: 1, conditioning: nil)).transformer())
    func rows(_ method: any GenerationMethod) throws -> Double {
      let text = try method.generation(GenerationRequest(length: length, seed: 1), for: model.configuration)
      return Double(try written([text], by: model)[0].fedRows) / Double(length)
    }
    #expect(abs(try rows(try! BlockDiffusionMethod(blockSize: blockSize)) - Double(blockSize + 1)) < 0.1)
    #expect(abs(try rows(try! EsotericMethod(alpha0: 0)) - 2) < 0.1)
    #expect(try rows(AutoregressiveMethod(start: .init(token: 12, isText: false))) == 1)
  }

  /// Eso-LM (A2) feeds the clean tokens from the first new one on, and the masks: from left to right that is what (B) feeds.
  @Test func sortedTokensAreComputedAgainFromTheFirstNewOneOn() throws {
    let (length, model) = (32, CachedTransformer(TransformerWeights.random().transformer()))
    let method = try EsotericMethod(alpha0: 1, orders: .init(clean: .leftToRight))
    func text(_ method: EsotericMethod, _ schedule: GenerationRequest.Schedule) throws -> Generation {
      let request = GenerationRequest(length: length, steps: length, schedule: schedule, seed: 1)
      return try written([method.generation(request, for: model.configuration)], by: model)[0]
    }
    let random = try text(method, .blockShuffled)
    // Written so far, the last one included, behind the last one and it; and one mask.
    var (rows, clean) = (1, [Int]())
    for position in random.history.dropLast().map({ $0.positions[0] }) {
      clean.append(position)
      rows += clean.count { $0 >= position } + 1
    }
    #expect(random.fedRows == rows)
    #expect(random.order == Array(0..<length) && random.history.map(\.positions[0]) != random.order)
    let ascending = try text(method, .leftToRight)
    #expect(ascending.fedRows == (try text(EsotericMethod(alpha0: 1), .leftToRight).fedRows))
  }

  // MARK: Requests that do not fit

  @Test func whatDoesNotBelongToAMethodIsNamed() {
    func refusal(_ method: any GenerationMethod, _ request: GenerationRequest) -> String? {
      message { try method.generation(request, for: .small()) }
    }
    let ar = AutoregressiveMethod(start: .init(token: 12, isText: false))
    let (mdlm, bd3lm) = (MaskedDiffusionMethod(), try! BlockDiffusionMethod(blockSize: 4))
    let esolm = try! EsotericMethod(alpha0: 0.5)
    #expect(refusal(ar, .init(length: 8, alpha0: 0.5)) == "alpha0 is 0.5, expected none for AR")
    #expect(refusal(ar, .init(length: 8, schedule: .block)) == "schedule is block, expected left-to-right for AR")
    #expect(
      refusal(ar, .init(length: 8, steps: 4)) == "steps is 4, expected none for AR, which takes 8 for this text")
    #expect(
      refusal(ar, .init(template: [1, nil, 2, nil]))
        == "template is a given token at position 3, behind a hole, expected given tokens at the start alone for AR, "
        + "which writes from left to right")
    #expect(
      refusal(AutoregressiveMethod(start: .init(token: 3, isText: true)), .init(length: 1))
        == "length is 1, expected at least 2 for AR, whose first token is given")
    #expect(refusal(mdlm, .init(length: 8, alpha0: 1)) == "alpha0 is 1.0, expected none for MDLM")
    #expect(
      refusal(mdlm, .init(length: 8, schedule: .firstHitting))
        == "schedule is first-hitting, expected ancestral or left-to-right or block or block-shuffled or adaptive for MDLM"
    )
    #expect(
      refusal(bd3lm, .init(template: [1, nil, nil, nil, nil, 2, nil, nil]))
        == "template is a given token at position 6, behind a hole in an earlier block, expected none there for BD3-LM, "
        + "whose blocks of 4 see only those before them")
    #expect(
      refusal(bd3lm, .init(length: 8, steps: 2))
        == "steps is 2, expected none with first-hitting, which writes one token a step")
    #expect(
      refusal(esolm, .init(length: 8, steps: 9, schedule: .block))
        == "steps is 9, expected 1 to the 8 tokens to write with schedule block")
    #expect(
      refusal(esolm, .init(length: 8, alpha0: 0.5, schedule: .leftToRight))
        == "alpha0 is 0.5, expected none for schedule left-to-right")
    #expect(
      refusal(
        try! EsotericMethod(alpha0: 1, orders: .init(clean: .leftToRight)),
        .init(template: [1, 2, nil, nil], contextOrder: .random))
        == "contextOrder is random, expected ascending for Eso-LM (A2)")
    #expect(refusal(esolm, .init(length: 8, steps: 0)) == "steps is 0, expected 1 to 2^52")
    #expect(refusal(esolm, .init(length: 8, alpha0: 1.5)) == "alpha0 is 1.5, expected 0 to 1")
    #expect(refusal(esolm, .init(length: 8, alpha0: .nan)) == "alpha0 is nan, expected 0 to 1")
    #expect(refusal(esolm, .init(length: 0)) == "length is 0, expected 1 to 16777216")
    #expect(refusal(esolm, .init(length: -3)) == "length is -3, expected 1 to 16777216")
    #expect(refusal(esolm, .init(length: 3, number: -1)) == "number is -1, expected from 0")
    #expect(refusal(esolm, .init(template: [1, 2])) == "template is 2 given tokens, expected a hole to write into")
    #expect(refusal(esolm, .init(template: [nil, 13])) == "template is 13 at position 2, expected tokens from 0 to 12")
    #expect(refusal(esolm, .init(template: [nil, -1])) == "template is -1 at position 2, expected tokens from 0 to 12")
    #expect(
      refusal(esolm, .init(template: [12, nil]))
        == "template is the mask token at position 1, expected tokens of text, or holes")
    let shuffled = GenerationRequest(template: [1, 2, nil, nil], contextOrder: .random)
    #expect(refusal(esolm, shuffled) == nil)
    #expect(refusal(mdlm, shuffled) == "contextOrder is random, expected ascending for MDLM")
    #expect(refusal(bd3lm, shuffled) == "contextOrder is random, expected ascending for BD3-LM")
    #expect(
      refusal(try! EsotericMethod(.a, alpha0: 1), shuffled)
        == "contextOrder is random, expected ascending for Eso-LM (A)")
    #expect(
      refusal(AutoregressiveMethod(start: .init(token: 3, isText: false)), shuffled)
        == "contextOrder is random, expected ascending for AR")
    #expect(
      refusal(esolm, .init(template: [nil], alternativeCount: 13)) == "alternativeCount is 13, expected 0 to 12")
  }
}

extension Array {
  /// The places of elements that fulfil a condition.
  fileprivate func indices(where condition: (Element) -> Bool) -> [Int] { indices.filter { condition(self[$0]) } }
}
