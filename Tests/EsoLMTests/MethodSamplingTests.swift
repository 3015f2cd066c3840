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
    let request: PlanRequest
    var conditioning: Int? = 8

    func plan(seed: UInt64 = 3) throws -> UnmaskingPlan { try method.plan(request, seed: seed) }
  }

  private static let length = 16
  private static let mask: Int32 = 12

  static let cases: [Case] = esoteric + others

  private static let esoteric: [Case] = [1, 0.5, 0.125, 0].flatMap { alpha0 in
    ([1, 4, 1000] as [Int]).map { steps in
      Case(
        testDescription: "Eso-LM (A), α₀ \(alpha0), T \(steps)", method: EsotericMethod(.a, alpha0: alpha0),
        request: PlanRequest(length: length, steps: steps))
    }
  }

  private static let others: [Case] = {
    func request(_ steps: Int? = nil, _ schedule: PlanRequest.Schedule? = nil) -> PlanRequest {
      PlanRequest(length: length, steps: steps, schedule: schedule)
    }
    let plans: [(Int, PlanRequest.Schedule)] = [
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
          testDescription: "BD3-LM \(size), T \(steps ?? 0)", method: BlockDiffusionMethod(blockSize: size),
          request: request(steps, schedule))
      }
    }
    let given = Case(
      testDescription: "BD3-LM 4, first token given", method: BlockDiffusionMethod(blockSize: 4, firstToken: 5),
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

  private func network(_ test: Case) -> Network {
    Transformer.random(.small(conditioning: test.conditioning)).network()
  }

  private func generation(
    _ test: Case, batch: Int = 1, firstSequence: Int = 0, usesCache: Bool = true
  ) throws -> Generation {
    Generation(
      CachedNetwork(network(test)), rule: test.method.decoding, plan: try test.plan(), picker: try TokenPicker(),
      seed: 1, batch: batch, firstSequence: firstSequence, usesCache: usesCache)
  }

  private func tokens(_ generation: Generation) throws -> [[Int32]] {
    var generation = generation
    try generation.finish()
    return generation.tokens
  }

  // MARK: Steps

  @Test(arguments: cases)
  func everyPositionIsWrittenOnce(_ test: Case) throws {
    var generation = try generation(test, batch: 2)
    let given = try test.plan().givenCount - (Self.length < generation.plan.length ? 1 : 0)
    var written = [Set<Int>](repeating: [], count: 2)
    while let step = try generation.advance() {
      for (sequence, positions) in step.positions.enumerated() {
        for (position, token) in zip(positions, step.tokens[sequence]) {
          #expect(written[sequence].insert(position).inserted)
          #expect(generation.tokens[sequence][position] == token)
        }
      }
    }
    for sequence in 0..<2 {
      #expect(written[sequence] == Set(given..<Self.length))
      #expect(generation.tokens[sequence].count == Self.length)
      #expect(generation.tokens[sequence].allSatisfy { (0..<12).contains($0) })
    }
  }

  @Test func aGivenFirstTokenIsKept() throws {
    for test in Self.cases where test.method.decoding.start?.isText == true {
      let first = test.method.decoding.start?.token
      #expect(try tokens(generation(test, batch: 3)).allSatisfy { $0.first == first })
    }
  }

  // MARK: Exactness

  @Test(arguments: cases, [1, 8])
  func cachedAndRecomputedGenerationsAreTheSame(_ test: Case, batch: Int) throws {
    let cached = try tokens(generation(test, batch: batch))
    #expect(try cached == tokens(generation(test, batch: batch, usesCache: false)))
    var pair = try [true, false].map { try generation(test, batch: batch, usesCache: $0) }
    let forced = randomSequences(batch, length: Self.length, tokens: 12)
    while let first = pair[0].advance(forcing: forced) {
      #expect(distance(first, pair[1].advance(forcing: forced)!) < 1e-4)
    }
    #expect(pair[1].isFinished)
    #expect(pair[0].fedRows <= pair[1].fedRows)
  }

  @Test(arguments: cases)
  func aSequenceDoesNotDependOnItsBatch(_ test: Case) throws {
    let together = try tokens(generation(test, batch: 4, firstSequence: 5))
    for (number, sequence) in together.enumerated() {
      #expect(try tokens(generation(test, firstSequence: 5 + number)) == [sequence])
    }
  }

  /// What training sees of a half written sequence is what sampling sees of it.
  @Test(arguments: cases)
  func logitsAreThoseOfTheTrainingPass(_ test: Case) throws {
    let network = network(test)
    var generation = try generation(test, batch: 2)
    var forced = randomSequences(2, length: Self.length, tokens: 12)
    if let start = test.method.decoding.start, start.isText { for row in 0..<2 { forced[row][0] = start.token } }
    var written = try test.plan().givenCount
    let (orders, diffused) = (generation.orders, generation.plan.diffusedCount)
    while let logits = generation.advance(forcing: forced) {
      let slots = written..<written + logits.size(0) / 2
      var input = NetworkInput()
      let sequences = zip(forced, orders).map { tokens, order in
        pass(test.method, tokens, order, writing: slots, diffused: diffused)
      }
      input.append(sequences.map(\.sequence), pattern: sequences[0].pattern, maskToken: Int(Self.mask))
      #expect(distance(logits, withoutGradients { network.logits(input) }) < 1e-4)
      written = slots.upperBound
    }
  }

  /// The training pass that predicts the slots, with an output for each.
  private func pass(
    _ method: any GenerationMethod, _ tokens: [Int32], _ order: GenerationOrder, writing slots: Range<Int>,
    diffused: Int
  ) -> (sequence: NetworkSequence, pattern: AttentionPattern) {
    func sequence(_ pattern: AttentionPattern, cleanCount: Int, upTo end: Int) -> (NetworkSequence, AttentionPattern) {
      let positions = Array(order.positions[..<end])
      return (
        NetworkSequence(
          tokens: positions.map { tokens[$0] }, positions: positions, cleanCount: cleanCount,
          masked: Array(slots.lowerBound..<end), outputs: Array(slots)), pattern
      )
    }
    switch method {
    case is MaskedDiffusionMethod: return sequence(.bidirectional, cleanCount: slots.lowerBound, upTo: order.length)
    case is EsotericMethod where slots.lowerBound < diffused:
      return sequence(.cleanThenCausal, cleanCount: slots.lowerBound, upTo: slots.upperBound)
    case is EsotericMethod:
      return sequence(.cleanThenTwoStream, cleanCount: diffused, upTo: slots.upperBound)
    case let block as BlockDiffusionMethod:
      return sequence(.blockDiffusion(block.blockSize), cleanCount: 0, upTo: order.length)
    default:
      let start = method.decoding.start!
      let row = start.isText ? tokens : [start.token] + tokens
      let length = slots.lowerBound
      return (
        NetworkSequence(
          tokens: Array(row[..<length]), positions: Array(0..<length), cleanCount: length, masked: [],
          outputs: [length - 1]), .causal
      )
    }
  }

  // MARK: The law

  /// 4,000 sequences of 3 tokens, written from left to right, against their exact probabilities.
  @Test(arguments: [false, true])
  func autoregressiveSequencesComeAsOftenAsTheirLikelihoodSays(startIsText: Bool) throws {
    let network = Transformer.random(.small(vocabulary: 4, conditioning: nil)).network()
    let method = AutoregressiveMethod(start: .init(token: startIsText ? 1 : 3, isText: startIsText))
    var generation = Generation(
      CachedNetwork(network), rule: method.decoding, plan: try method.plan(PlanRequest(length: 3), seed: 1),
      picker: try TokenPicker(), seed: 1, batch: 4000)
    try generation.finish()
    let all = sequences(of: 3, length: 3).filter { !startIsText || $0[0] == 1 }
    let law = Likelihood(network, method: method)
      .logProbabilities(all.map { ($0, .leftToRight(length: 3)) }).map { exp($0.reduce(0, +)) }
    #expect(abs(law.reduce(0, +) - 1) < 1e-5)
    let counts = all.map { tokens in generation.tokens.count { $0 == tokens } }
    #expect(counts.reduce(0, +) == 4000)
    #expect(chiSquareScore(counts, law: law) < 4)
  }

  /// One token a step in random order: MDLM's law of two tokens, from its logits on every half written pair.
  @Test func maskedDiffusionFollowsItsConditionals() throws {
    let network = Transformer.random(.small(vocabulary: 4)).network()
    let method = MaskedDiffusionMethod()
    var generation = Generation(
      CachedNetwork(network), rule: method.decoding, plan: UnmaskingPlan(diffusionSteps: [1, 1]),
      picker: try TokenPicker(), seed: 1, batch: 4000)
    try generation.finish()
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
    let law = all.map { tokens in
      [[0, 1], [1, 0]].map { order in
        chance(tokens, of: order[0], given: []) * chance(tokens, of: order[1], given: [order[0]])
      }.mean
    }
    #expect(abs(law.reduce(0, +) - 1) < 1e-5)
    let counts = all.map { tokens in generation.tokens.count { $0 == tokens } }
    #expect(chiSquareScore(counts, law: law) < 4)
  }

  // MARK: Work

  /// Of a long text: BD3-LM runs a block for each token and one more to keep it, Eso-LM (B) two rows a token.
  @Test(arguments: [4, 16]) func rowsPerTokenAreAsCounted(blockSize: Int) throws {
    let length = 256
    let model = CachedNetwork(Transformer.random(.small(hidden: 4, blocks: 1, heads: 1, conditioning: nil)).network())
    func rows(_ method: any GenerationMethod) throws -> Double {
      var generation = Generation(
        model, rule: method.decoding, plan: try method.plan(PlanRequest(length: length, steps: nil), seed: 1),
        picker: try TokenPicker(), seed: 1)
      try generation.finish()
      return Double(generation.fedRows) / Double(length)
    }
    #expect(abs(try rows(BlockDiffusionMethod(blockSize: blockSize)) - Double(blockSize + 1)) < 0.1)
    #expect(abs(try rows(EsotericMethod(alpha0: 0)) - 2) < 0.1)
    #expect(try rows(AutoregressiveMethod(start: .init(token: 12, isText: false))) == 1)
  }

  // MARK: Requests that do not fit

  @Test func whatDoesNotBelongToAMethodIsNamed() {
    func refusal(_ method: any GenerationMethod, _ request: PlanRequest) -> String? {
      message { try method.plan(request, seed: 0) }
    }
    let ar = AutoregressiveMethod(start: .init(token: 12, isText: false))
    #expect(refusal(ar, PlanRequest(length: 8, alpha0: 0.5)) == "alpha0 is 0.5, expected none for AR")
    #expect(refusal(ar, PlanRequest(length: 8, schedule: .block)) == "schedule is block, expected left-to-right for AR")
    #expect(
      refusal(ar, PlanRequest(length: 8, steps: 4)) == "steps is 4, expected none for AR, which takes 8 for this length"
    )
    #expect(
      refusal(MaskedDiffusionMethod(), PlanRequest(length: 8, alpha0: 1)) == "alpha0 is 1.0, expected none for MDLM")
    #expect(
      refusal(MaskedDiffusionMethod(), PlanRequest(length: 8, schedule: .firstHitting))
        == "schedule is first-hitting, expected ancestral or left-to-right or block or block-shuffled for MDLM")
    let bd3lm = BlockDiffusionMethod(blockSize: 4)
    #expect(refusal(bd3lm, PlanRequest(length: 10)) == "length is 10, expected a multiple of the block size 4")
    #expect(
      refusal(bd3lm, PlanRequest(length: 8, steps: 2))
        == "steps is 2, expected none with first-hitting, which writes one token a step")
    #expect(
      refusal(EsotericMethod(alpha0: 0.5), PlanRequest(length: 8, alpha0: 0.5, schedule: .block))
        == "alpha0 is 0.5, expected 1 with schedule block")
    #expect(
      refusal(EsotericMethod(alpha0: 0.5), PlanRequest(length: 8, steps: 9, schedule: .block))
        == "steps is 9, expected 1 to the length 8 with schedule block")
    #expect(
      refusal(EsotericMethod(alpha0: 0.5), PlanRequest(length: 8, steps: 0)) == "steps is 0, expected 1 to 2^52")
  }
}
