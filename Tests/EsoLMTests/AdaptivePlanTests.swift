import EsoLM
import Foundation
import TestSupport
import Testing
import Torch

@Suite("Adaptive plan")
struct AdaptivePlanTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var method: any GenerationMethod = try! EsotericMethod(alpha0: 1)
    let choice: AdaptiveChoice
    var template: [Int32?] = [nil, nil, nil, nil]
    var alpha0: Double?
    var picker = TokenPicker.plain

    var request: GenerationRequest {
      GenerationRequest(
        template: template, alpha0: method is MaskedDiffusionMethod ? nil : alpha0, schedule: .adaptive, choice: choice,
        picker: picker, seed: 3)
    }
  }

  static let cases: [Case] = {
    var cases: [Case] = []
    for (measure, threshold) in [(.entropy, 0.9), (.margin, 0.3), (.probability, 0.6)]
      as [(AdaptiveChoice.Measure, Double)]
    {
      cases += [
        Case(testDescription: "\(measure)", choice: try! AdaptiveChoice(measure, threshold: threshold)),
        Case(
          testDescription: "\(measure), 2 candidates",
          choice: try! AdaptiveChoice(measure, threshold: threshold, window: 2)),
        Case(
          testDescription: "\(measure), 3 calls, holes", choice: try! AdaptiveChoice(measure, calls: 3, window: 3),
          template: [2, nil, nil, 0, nil, nil]),
        Case(
          testDescription: "\(measure), top-p, warm", choice: try! AdaptiveChoice(measure, threshold: threshold),
          template: [nil, nil, 1, nil, nil], picker: try! TokenPicker(temperature: 3, topP: 0.9)),
      ]
    }
    for order in [WritingOrder.farthestFirst, .leftToRight] {
      cases += [
        Case(
          testDescription: "\(order)", choice: try! AdaptiveChoice(threshold: 0.9, window: 3, order: order)),
        Case(
          testDescription: "\(order), 3 calls, holes",
          choice: try! AdaptiveChoice(.margin, calls: 3, window: 3, order: order),
          template: [2, nil, nil, 0, nil, nil]),
        Case(
          testDescription: "\(order), half of it, top-p",
          choice: try! AdaptiveChoice(.probability, calls: 3, order: order), alpha0: 0.5,
          picker: try! TokenPicker(temperature: 3, topP: 0.9)),
      ]
    }
    let choice = try! AdaptiveChoice(threshold: 0.9)
    cases += [
      Case(testDescription: "half of it", choice: choice, alpha0: 0.5),
      Case(testDescription: "half of it, 3 calls", choice: try! AdaptiveChoice(calls: 3), alpha0: 0.5),
      Case(testDescription: "Eso-LM (A)", method: try! EsotericMethod(.a, alpha0: 1), choice: choice),
      Case(
        testDescription: "Eso-LM (A), half", method: try! EsotericMethod(.a, alpha0: 1), choice: choice, alpha0: 0.5),
      Case(testDescription: "MDLM", method: MaskedDiffusionMethod(), choice: choice, template: [nil, nil, 1, nil]),
      Case(
        testDescription: "MDLM, 2 calls", method: MaskedDiffusionMethod(),
        choice: try! AdaptiveChoice(.margin, calls: 2),
        template: [nil, nil, 1, nil]),
    ]
    return cases
  }()

  private static let tiny = TransformerConfiguration.small(vocabulary: 4)
  private let network = CachedTransformer(TransformerWeights.random(tiny).transformer())

  private func texts(_ test: Case) -> [[Int32]] {
    let holes = test.request.holes
    return sequences(of: 3, length: holes.count).map { filling in
      var text = test.template.map { $0 ?? 0 }
      for (hole, token) in zip(holes, filling) { text[hole] = token }
      return text
    }
  }

  /// Texts as one plan writes them if every draw gives their tokens.
  private func forced(_ generation: Generation, _ texts: [[Int32]]) throws -> [Generation] {
    try TestSupport.forced(texts.map { _ in generation }, texts, by: network)
  }

  // MARK: The distribution is proper

  @Test(arguments: cases)
  func probabilitiesOfAllTextsAddUpToOne(_ test: Case) throws {
    var callCounts: Set<Int> = []
    for generation in try test.method.generations(test.request, count: 2, for: Self.tiny) {
      var sum = 0.0
      let texts = texts(test)
      for (text, written) in zip(texts, try forced(generation, texts)) {
        sum += exp(written.logProbability)
        callCounts.insert(written.networkCalls)
        #expect(written.tokens == text)
        // A text that top-p leaves out has no chance; a method without a pass tells none.
        guard written.logProbability.isFinite, let again = try written.replayedLogProbabilities(under: network)
        else { continue }
        #expect(distance(again.map(\.drawn), written.history.flatMap(\.logProbabilities)) < 2e-6)
        #expect(distance(again.map(\.model), written.history.flatMap(\.modelLogProbabilities)) < 2e-6)
      }
      #expect(abs(sum - 1) < 1e-5)
    }
    if let calls = test.choice.calls { #expect(callCounts == [calls]) }
  }

  /// 3,000 texts against the mean of the distributions of their plans, which differ in the order of candidates alone. A right
  /// sampler fails once in 30,000 seeds.
  @Test(arguments: cases)
  func textsComeAsOftenAsTheirProbabilitiesSay(_ test: Case) throws {
    let all = try test.method.generations(test.request, count: 3000, for: Self.tiny)
    let found = try written(all, by: network)
    let texts = texts(test)
    var distributions: [[Int]: [Double]] = [:]
    var expected = [Double](repeating: 0, count: texts.count)
    for generation in all {
      let order = try #require(generation.plan as? AdaptivePlan).candidates
      let distribution = try distributions[order] ?? forced(generation, texts).map { exp($0.logProbability) }
      distributions[order] = distribution
      for (place, chance) in distribution.enumerated() { expected[place] += chance / Double(all.count) }
    }
    let counts = texts.map { text in found.count { $0.tokens == text } }
    #expect(counts.reduce(0, +) == all.count)
    #expect(chiSquareScore(counts, distribution: expected) < 4)
  }

  /// Where several candidates are written, one call is saved, which some thresholds do and others do not.
  @Test func thresholdsTradeCallsForCertainty() throws {
    func calls(_ choice: AdaptiveChoice) throws -> Int {
      let request = GenerationRequest(length: 24, schedule: .adaptive, choice: choice, seed: 4)
      return try written(EsotericMethod(alpha0: 1).generations(request, count: 4, for: Self.tiny), by: network)
        .reduce(0) { $0 + $1.networkCalls }
    }
    // No candidate is sure enough: one a call. Every one is: all but the first in calls of 8.
    for (measure, none, all) in [(.entropy, 0, 2), (.margin, 1, 0), (.probability, 1, 0)]
      as [(AdaptiveChoice.Measure, Double, Double)]
    {
      #expect(try calls(AdaptiveChoice(measure, threshold: none)) == 4 * 24)
      #expect(try calls(AdaptiveChoice(measure, threshold: all, window: 8, order: .leftToRight)) == 4 * (1 + 3))
    }
  }

  // MARK: What is chosen

  /// Positions of which the network is the surer the larger they are, whatever is written.
  private func ordered() -> FunctionNetwork {
    FunctionNetwork(.small()) { position, _ in [Float(position)] + [Float](repeating: 0, count: 12) }
  }

  @Test(arguments: AdaptiveChoice.Measure.allCases)
  func theSurestAreWritten(measure: AdaptiveChoice.Measure) throws {
    let network = ordered()
    let length = 12
    for calls in 1...length {
      let request = GenerationRequest(
        length: length, schedule: .adaptive,
        choice: try AdaptiveChoice(measure, calls: calls, window: 5, order: .leftToRight), seed: 2)
      let generation = try EsotericMethod(alpha0: 1).generation(request, for: network.configuration)
      var open = try #require(generation.plan as? AdaptivePlan).candidates
      let text = try written([generation], by: network)[0]
      #expect(text.networkCalls == calls && text.order.sorted() == Array(0..<length))
      for (number, call) in text.history.enumerated() {
        #expect((call.candidates ?? call.positions) == Array(open.prefix((call.candidates ?? call.positions).count)))
        // None that was left is surer.
        let left = Set(call.candidates ?? []).subtracting(call.positions)
        #expect(left.allSatisfy { other in call.positions.allSatisfy { $0 > other } })
        if number == 0, calls > 1 { #expect(call.positions == [open[0]]) }
        open.removeAll(where: call.positions.contains)
      }
    }
  }

  /// Sixty-two holes and twelve candidates: those of a call lie at least five apart, but from left to right.
  @Test(arguments: WritingOrder.allCases)
  func candidatesStandInTheOrderThatIsAskedForAndApart(order: WritingOrder) throws {
    let network = ordered()
    var template = [Int32?](repeating: nil, count: 64)
    (template[0], template[40]) = (1, 1)
    // All candidates are sure enough.
    let request = GenerationRequest(
      template: template, schedule: .adaptive, choice: try AdaptiveChoice(threshold: 9, window: 12, order: order),
      seed: 2)
    let generation = try EsotericMethod(alpha0: 1).generation(request, for: network.configuration)
    let candidates = try #require(generation.plan as? AdaptivePlan).candidates
    #expect(candidates.sorted() == request.holes)
    #expect((candidates == request.holes) == (order == .leftToRight))
    #expect(isFarthestFirst(candidates, from: [0, 40]) == (order == .farthestFirst))
    let text = try written([generation], by: network)[0]
    #expect(text.history[0].positions.contains(candidates[0]))
    let gaps = text.history.map(\.positions).map { $0.sorted() }.flatMap { zip($0, $0.dropFirst()).map { $1 - $0 } }
    #expect(gaps.min() == (order == .leftToRight ? 1 : 5))
  }

  /// Where a call must write more than lie apart, closer ones follow.
  @Test(arguments: [2, 3, 4, 7, 20])
  func asManyAreWrittenAsMustBe(calls: Int) throws {
    let request = GenerationRequest(
      length: 64, schedule: .adaptive, choice: try AdaptiveChoice(calls: calls, window: 2), seed: 2)
    let text = try written([EsotericMethod(alpha0: 1).generation(request, for: .small())], by: ordered())[0]
    let rest = 63, most = (rest + calls - 2) / (calls - 1)
    #expect(text.history.count == calls && text.history[0].positions.count == 1)
    #expect(text.history.dropFirst().allSatisfy { most - 1...most ~= $0.positions.count })
    #expect(text.order.sorted() == Array(0..<64))
  }

  @Test func exactlyThoseThatAreSureEnoughAreWritten() throws {
    let network = ordered()
    let logits = Tensor((0..<12).flatMap { [Float($0)] + [Float](repeating: 0, count: 12) }, shape: [12, 13])
    let distributions = TokenPicker.plain.distribution(of: logits, excluding: 12)
    let kinds: [(AdaptiveChoice.Measure, Double, ([Double]) -> Bool)] = [
      (.entropy, 0.7, { -$0.reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) } <= 0.7 }),
      (.margin, 0.6, { $0.sorted()[12] - $0.sorted()[11] >= 0.6 }), (.probability, 0.8, { $0.max()! >= 0.8 }),
    ]
    for (measure, threshold, isSure) in kinds {
      let sure = Set((0..<12).filter { isSure(distributions[$0]) })
      #expect((2...10).contains(sure.count))
      let request = GenerationRequest(
        length: 12, schedule: .adaptive,
        choice: try AdaptiveChoice(measure, threshold: threshold, window: 12), seed: 2)
      let text = try written([EsotericMethod(alpha0: 1).generation(request, for: .small())], by: network)[0]
      // The first call writes one of them or another, the second all that are sure, the others one each, surest first.
      #expect(Set(text.history[1].positions) == sure.subtracting(text.history[0].positions))
      let rest = text.history.dropFirst(2).flatMap(\.positions)
      #expect(rest == rest.sorted(by: >) && rest.count == text.history.count - 2)
    }
  }

  // MARK: Exactness

  private static let requests: [GenerationRequest] = [
    GenerationRequest(length: 16, schedule: .adaptive, seed: 1),
    GenerationRequest(length: 16, alpha0: 0.5, schedule: .adaptive, choice: try! AdaptiveChoice(calls: 11), seed: 1),
    GenerationRequest(
      template: [5, nil, nil, 3] + [Int32?](repeating: nil, count: 12), schedule: .adaptive,
      choice: try! AdaptiveChoice(.margin, calls: 9, window: 6), picker: try! TokenPicker(topP: 0.9), seed: 1),
  ]

  @Test(arguments: requests.indices)
  func neitherTheCacheNorTheBatchChangesAText(index: Int) throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    let all = try EsotericMethod(alpha0: 1).generations(Self.requests[index], count: 8, for: network.configuration)
    let together = try written(all, by: network)
    #expect(together.contains { text in text.history.contains { $0.candidates != nil } })
    #expect(Set(together.map(\.tokens)).count == 8)
    for (one, among) in zip(all, together) { #expect(try written([one], by: network)[0].history == among.history) }
    let recomputed = try written(all, by: network, usesCache: false)
    #expect(recomputed.map(\.tokens) == together.map(\.tokens) && recomputed.map(\.order) == together.map(\.order))
    #expect(try written(all, by: network, places: 3).map(\.history) == together.map(\.history))
  }

  @Test func aTextThatIsCutEndsThere() throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    var generation = try EsotericMethod(alpha0: 1).generation(Self.requests[0], for: network.configuration)
    generation.cut(at: 5)
    let text = try written([generation], by: network)[0]
    #expect(text.tokens.count == 5 && !text.tokens.contains(12) && text.order.allSatisfy { $0 < 5 })
  }

  // MARK: Faults

  @Test func whatMakesNoSenseIsRefused() throws {
    for threshold in [-0.1, .nan, .infinity] {
      for measure in AdaptiveChoice.Measure.allCases {
        #expect(refusedField { try AdaptiveChoice(measure, threshold: threshold) } == "threshold")
      }
    }
    #expect(refusedField { try AdaptiveChoice(.margin, threshold: 1.1) } == "threshold")
    #expect(refusedField { try AdaptiveChoice(threshold: 1, calls: 4) } == "calls")
    for count in badCounts {
      #expect(refusedField { try AdaptiveChoice(calls: count) } == "calls")
      #expect(refusedField { try AdaptiveChoice(window: count) } == "window")
    }
    let choice = try AdaptiveChoice()
    func refused(_ request: GenerationRequest, _ method: any GenerationMethod = try! EsotericMethod(alpha0: 1))
      -> String?
    {
      refusedField { try method.generation(request, for: .small()) }
    }
    #expect(refused(GenerationRequest(length: 8, schedule: .block, choice: choice)) == "schedule")
    #expect(refused(GenerationRequest(length: 8, choice: choice)) == "schedule")
    #expect(refused(GenerationRequest(length: 8, steps: 2, schedule: .adaptive)) == "steps")
    for calls in [4, 9] {
      let choice = try AdaptiveChoice(calls: calls)
      #expect(refused(GenerationRequest(length: 8, alpha0: 0.5, schedule: .adaptive, choice: choice)) == "calls")
    }
    for method in [
      AutoregressiveMethod(start: .init(token: 12, isText: false)), try BlockDiffusionMethod(blockSize: 4),
    ] as [any GenerationMethod] {
      #expect(refused(GenerationRequest(length: 8, schedule: .adaptive), method) == "schedule")
    }
  }
}
