import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

/// Self-speculation against writing one token at a time in the same order.
@Suite("Self-speculation")
struct SpeculativePlanTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let width: Speculation.Width
    var order = WritingOrder.random
    var alpha0 = 1.0
    var template = [Int32?](repeating: nil, count: 5)
    var picker = TokenPicker.plain

    var request: GenerationRequest {
      GenerationRequest(
        template: template, alpha0: alpha0, draft: try! Speculation(width, order: order), picker: picker, seed: 6)
    }
    var holes: [Int] { template.indices.filter { template[$0] == nil } }
  }

  static let cases: [Case] = [
    Case(testDescription: "random", width: .fixed(2)),
    Case(testDescription: "one draft, half at random", width: .fixed(1), alpha0: 0.5),
    Case(testDescription: "left to right, all at once", width: .fixed(4), order: .leftToRight),
    Case(
      testDescription: "farthest first, holes, top-p, warm", width: .fixed(3), order: .farthestFirst,
      template: [nil, 2, nil, nil, nil, 0, nil], picker: try! TokenPicker(temperature: 1.4, topP: 0.85)),
    Case(
      testDescription: "auto, a prompt, cold", width: .automatic(.float32), alpha0: 0.5,
      template: [1, 0, 2, nil, nil, nil, nil], picker: try! TokenPicker(temperature: 0.7)),
    Case(testDescription: "top-k", width: .fixed(2), order: .leftToRight, picker: try! TokenPicker(topK: 2)),
  ]

  private static let tiny = TransformerConfiguration.small(vocabulary: 4)
  private static let method = try! EsotericMethod(alpha0: 1)
  private let network = CachedTransformer(TransformerWeights.random(tiny).transformer())

  /// Texts written one token a call, each forced.
  private func single(
    _ texts: [[Int32]], _ order: [Int], _ request: GenerationRequest, by network: CachedTransformer
  ) throws -> [Generation] {
    var request = request
    (request.draft, request.alpha0) = (nil, nil)
    let generation = try Generation(
      request, rule: .causal, plan: FixedPlan(UnmaskingPlan(steps: order.map { [$0] })), for: network.configuration)
    return try forced(texts.map { _ in generation }, texts, by: network)
  }

  private func fillings(_ test: Case) -> [[Int32]] {
    sequences(of: 3, length: test.holes.count).map { filling in
      var text = test.template.map { $0 ?? 0 }
      for (hole, token) in zip(test.holes, filling) { text[hole] = token }
      return text
    }
  }

  // MARK: The distribution

  /// 100,000 texts against what writing one token at a time lets expect, exactly, in the order that each has. A
  /// right sampler fails once in 30,000 seeds.
  @Test(arguments: cases)
  func textsComeAsOftenAsOneTokenAtATime(_ test: Case) throws {
    let texts = fillings(test)
    let total = 100_000
    var orders: [[Int]: Int] = [:]
    var counts: [[Int32]: Int] = [:]
    var (drafts, calls) = (DraftCounts(), 0)
    for first in stride(from: 0, to: total, by: 10_000) {
      let some = try Self.method.generations(test.request, count: 10_000, first: first, for: Self.tiny)
      for generation in some { orders[try #require(generation.plan as? SpeculativePlan).order, default: 0] += 1 }
      // One thread: other tests run beside this one.
      for text in try withThreads(1, { try written(some, by: network, places: 1024) }) {
        counts[text.tokens, default: 0] += 1
        drafts.add(try #require(text.draftCounts))
        calls += text.networkCalls
      }
    }
    var expected = [Double](repeating: 0, count: texts.count)
    for (order, count) in orders {
      for (place, text) in try single(texts, order, test.request, by: network).enumerated() {
        expected[place] += exp(text.logProbability) * Double(count) / Double(total)
      }
    }
    #expect(abs(expected.reduce(0, +) - 1) < 1e-4)
    #expect(texts.reduce(0) { $0 + counts[$1, default: 0] } == total)
    #expect(chiSquareScore(texts.map { counts[$0, default: 0] }, distribution: expected) < 4)
    // There was something to find: drafts of both kinds, and calls saved.
    #expect(drafts.rejections > 1000 && drafts.accepted.reduce(0, +) > 1000)
    #expect(calls < total * test.holes.count)
  }

  // MARK: Call by call

  /// A plan that notes what it was given and what came of it.
  private struct Noting: DecodingPlan {
    final class Notes: @unchecked Sendable {
      var calls: [(call: PlannedCall, distributions: [TokenDistribution], drawn: [PlannedCall.Drawn])] = []
    }
    var plan: SpeculativePlan
    let notes = Notes()
    let drawsTokens = true

    mutating func next(after generation: Generation) -> PlannedCall? { plan.next(after: generation) }
    mutating func draw(
      from call: PlannedCall, distributions: [TokenDistribution], using generator: inout CounterGenerator
    ) -> [PlannedCall.Drawn] {
      let drawn = plan.draw(from: call, distributions: distributions, using: &generator)
      notes.calls.append((call, distributions, drawn))
      return drawn
    }
  }

  /// Every token was drawn from what the network says of it given those before it in order, one at a time: also where
  /// wrong drafts and masks stood beside it in the call. What a call wrote are its first drafts, of which each has a
  /// chance there, and one more token.
  @Test(arguments: cases)
  func everyTokenIsOneThatItsOwnDistributionKeeps(_ test: Case) throws {
    for generation in try Self.method.generations(test.request, count: 40, for: Self.tiny) {
      let plan = Noting(plan: try #require(generation.plan as? SpeculativePlan))
      var request = test.request
      (request.draft, request.alpha0, request.number) = (nil, nil, generation.number)
      let text = try written(
        [Generation(request, rule: .causal, plan: plan, for: Self.tiny)], by: network)[0]
      #expect(Array(text.order.suffix(test.holes.count)) == plan.plan.order)
      for (step, note) in zip(text.history, plan.notes.calls) {
        let tokens = note.drawn.map(\.token)
        #expect(step.tokens == tokens && step.isOneAtATime && step.candidates == nil)
        for (place, drawn) in note.drawn.enumerated() {
          #expect(note.distributions[drawn.place].probability(of: drawn.token) > 0)
          guard place < note.drawn.count - 1 else { break }
          #expect(drawn.place == note.call.positions.count + place && drawn.token == note.call.drafts[place].token)
        }
      }
      let one = try single([text.tokens], plan.plan.order, test.request, by: network)[0]
      #expect(distance(text.history.flatMap(\.logProbabilities), one.history.flatMap(\.logProbabilities)) < 2e-6)
      let models = text.history.flatMap(\.modelLogProbabilities)
      #expect(distance(models, one.history.flatMap(\.modelLogProbabilities)) < 2e-6)
      let single = try #require(try text.oneAtATimeLogProbabilities(under: network))
      #expect(distance(single, models) == 0)
      let again = try #require(try text.replayedLogProbabilities(under: network))
      #expect(distance(again.map(\.model), models) < 2e-6)
    }
  }

  /// What a call is fed, and what each row sees.
  @Test func masksThatCheckSeeTheDraftsBeforeThemAndNoMask() throws {
    let network = SpyNetwork(.small())
    var request = GenerationRequest(length: 9, draft: try Speculation(.fixed(2), order: .leftToRight))
    request.template[0] = 7
    let text = try written([Self.method.generation(request, for: .small())], by: network)[0]
    // Tokens do not depend on each other here: all drafts are right.
    #expect(text.history.map(\.positions) == [[1], [2, 3, 4], [5, 6, 7], [8]])
    let (first, second) = (network.feeds[0], network.feeds[1])
    #expect((first.tokens, first.positions) == ([7, 12, 12, 12], [0, 1, 2, 3]))
    #expect((first.visible, first.outputs) == ([1, 2, 3, 4], [1, 2, 3]))
    #expect(first.isApart == [false, false, false, false] && first.sequences[0].keptCount == 1)
    let drafts = text.tokens[2...3]
    #expect(second.tokens == [text.tokens[1]] + drafts + [12, 12, 12, 12, 12])
    #expect(second.positions == [1, 2, 3, 4, 5, 6, 2, 3])
    #expect(second.visible == [2, 3, 4, 5, 6, 7, 2, 3])
    #expect(second.isApart == [false, false, false, false, false, false, true, true])
    #expect(second.outputs == [3, 4, 5, 6, 7] && second.sequences[0].keptCount == 3)
    #expect(text.fedRows == network.feeds.reduce(0) { $0 + $1.tokens.count })
  }

  private final class SpyNetwork: DecodingNetwork {
    private let network: FunctionNetwork
    var feeds: [DecodingFeed] = []
    var configuration: TransformerConfiguration { network.configuration }

    init(_ configuration: TransformerConfiguration) {
      network = FunctionNetwork(configuration) { position, _ in (0..<13).map { Float(($0 * position) % 5) } }
    }
    func makeCache() -> FunctionNetwork.Cache { network.makeCache() }
    func logits(_ feed: DecodingFeed, caches: [FunctionNetwork.Cache]) -> Tensor {
      feeds.append(feed)
      return network.logits(feed, caches: caches)
    }
  }

  // MARK: How many calls

  @Test(arguments: [0, 1, 3, 7]) func draftsThatAreRightSaveCalls(width: Int) throws {
    let network = FunctionNetwork(.small()) { position, _ in (0..<13).map { Float(($0 * position) % 5) } }
    let request = GenerationRequest(length: 33, draft: try Speculation(.fixed(width)))
    let generation = try Self.method.generation(request, for: .small())
    #expect(generation.remainingCalls == (width == 0 ? 33 : nil))
    let text = try written([generation], by: network)[0]
    #expect(text.networkCalls == 1 + (32 + width) / (width + 1))
    let counts = try #require(text.draftCounts)
    #expect(counts.rejections == 0 && counts.accepted == counts.drafted && counts.drafted.count == width)
  }

  /// As long as drafts are right more of them are made; where they are wrong, few.
  @Test func theWidthFollowsAcceptance() throws {
    func width(_ logits: @escaping (_ position: Int, _ visible: Int) -> [Float]) throws -> Double {
      let network = FunctionNetwork(.small(), logits)
      let request = GenerationRequest(
        length: 400, draft: try Speculation(.automatic(.float32), order: .leftToRight), seed: 2)
      let text = try written([Self.method.generation(request, for: .small())], by: network)[0]
      let counts = try #require(text.draftCounts)
      return Double(counts.drafted.reduce(0, +)) / Double(try #require(counts.drafted.first))
    }
    let right = try width { position, _ in (0..<13).map { Float(($0 * position) % 5) } }
    // Every look at a mask is certain of another token.
    var looks = 0
    let wrong = try width { _, _ in
      looks += 1
      return (0..<13).map { $0 == (7 * looks) % 12 ? 30 : 0 }
    }
    #expect(right > 8 && wrong < 3)
  }

  // MARK: Exactness

  private static let requests: [GenerationRequest] = [
    GenerationRequest(length: 24, draft: try! Speculation(.fixed(3)), seed: 1),
    GenerationRequest(
      template: [5, nil, nil, 3] + [Int32?](repeating: nil, count: 20), alpha0: 0.5,
      draft: try! Speculation(.automatic(.int8), order: .farthestFirst), picker: try! TokenPicker(topP: 0.9), seed: 1),
    GenerationRequest(
      template: [Int32?](repeating: 4, count: 12) + [Int32?](repeating: nil, count: 12),
      draft: try! Speculation(.fixed(8), order: .leftToRight), seed: 1),
  ]

  @Test(arguments: requests.indices)
  func neitherTheCacheNorTheBatchChangesAText(index: Int) throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    let all = try Self.method.generations(Self.requests[index], count: 8, for: network.configuration)
    let together = try written(all, by: network)
    #expect(Set(together.map(\.tokens)).count == 8)
    for (one, among) in zip(all, together) { #expect(try written([one], by: network)[0].history == among.history) }
    #expect(try written(all, by: network, places: 3).map(\.history) == together.map(\.history))
    let recomputed = try written(all, by: network, usesCache: false)
    #expect(recomputed.map(\.tokens) == together.map(\.tokens) && recomputed.map(\.order) == together.map(\.order))
    // Together with others that are written otherwise.
    let others = try Self.method.generations(
      GenerationRequest(length: 20, steps: 6, seed: 8), count: 4, for: network.configuration)
    #expect(try Array(written(all + others, by: network).prefix(8)).map(\.history) == together.map(\.history))
    #expect(network.cacheByteCount == 0)
    // A copy goes on from where it was copied, without what the cache held.
    let sampler = Sampler(network)
    let id = sampler.add(all[0])
    for _ in 0..<3 { _ = try sampler.advance() }
    let half = try #require(sampler[id])
    #expect(try written([half], by: network)[0].tokens == together[0].tokens)
  }

  /// At temperature 0 there is one text.
  @Test(arguments: [1, 0.5, 0]) func theLikeliestTokensAreThoseOfOneAtATime(alpha0: Double) throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    func text(_ width: Int) throws -> Generation {
      let request = GenerationRequest(
        length: 24, alpha0: alpha0, draft: try Speculation(.fixed(width)), picker: try TokenPicker(temperature: 0),
        seed: 2)
      return try written([Self.method.generation(request, for: network.configuration)], by: network)[0]
    }
    let one = try text(0)
    #expect(one.networkCalls == 24)
    for width in [1, 4, 30] {
      let drafted = try text(width)
      #expect(drafted.tokens == one.tokens && drafted.order == one.order && drafted.networkCalls < 24)
    }
  }

  @Test func aTextThatIsCutEndsThere() throws {
    let network = CachedTransformer(TransformerWeights.random().transformer())
    let sampler = Sampler(network)
    var generation = try Self.method.generation(Self.requests[0], for: network.configuration)
    generation.cut(at: 7)
    sampler.add(generation)
    let text = try sampler.finish()[0]
    #expect(text.tokens.count == 7 && !text.tokens.contains(12) && text.order.allSatisfy { $0 < 7 })
    let stopped = try Self.method.generation(
      GenerationRequest(
        template: Array(repeating: nil, count: 40), draft: Speculation(.fixed(5), order: .leftToRight),
        stop: StopTokens([0, 1, 2]), seed: 3), for: network.configuration)
    let short = try written([stopped], by: network)[0]
    #expect(short.finishReason == .stop && short.tokens.allSatisfy { $0 > 2 } && short.tokens.count < 40)
  }

  // MARK: Orders

  @Test(arguments: [0, 1, 2, 3]) func farthestFirstIsWhatItSays(number: Int) throws {
    var generator = CounterGenerator(seed: 4, stream: .toyLanguage, major: number)
    let length = 60
    var template = [Int32?](repeating: nil, count: length)
    if number > 0 { for _ in 0..<12 { template[Int.random(in: 0..<length, using: &generator)] = 1 } }
    func order(_ order: WritingOrder, alpha0: Double = 1) throws -> [Int] {
      let request = GenerationRequest(
        template: template, alpha0: alpha0, draft: try Speculation(.fixed(4), order: order), seed: UInt64(number))
      let generation = try Self.method.generation(request, for: .small())
      return try #require(generation.plan as? SpeculativePlan).order
    }
    let holes = template.indices.filter { template[$0] == nil }
    #expect(try order(.leftToRight) == holes)
    let farthest = try order(.farthestFirst)
    #expect(farthest.sorted() == holes)
    #expect(isFarthestFirst(farthest, from: template.indices.filter { template[$0] != nil }))
    #expect(try !isFarthestFirst(order(.random), from: template.indices.filter { template[$0] != nil }))
    // The share that is not diffused follows from left to right, and is the same as in random order.
    let (half, random) = (try order(.farthestFirst, alpha0: 0.5), try order(.random, alpha0: 0.5))
    let common = zip(half.reversed(), random.reversed()).prefix { $0 == $1 }.count
    #expect(half.sorted() == holes && Array(half.suffix(common)) == half.suffix(common).sorted())
    #expect(common > 10 && common < half.count - 10)
  }

  // MARK: Faults

  @Test func whatMakesNoSenseIsRefused() throws {
    for width in [-1, 65, .min, .max] { #expect(refusedField { try Speculation(.fixed(width)) } == "draft") }
    func refused(_ request: GenerationRequest, _ method: any GenerationMethod = Self.method) -> String? {
      refusedField { try method.generation(request, for: .small()) }
    }
    let draft = try Speculation(.fixed(4))
    #expect(refused(GenerationRequest(length: 8, steps: 2, draft: draft)) == "steps")
    #expect(refused(GenerationRequest(length: 8, schedule: .block, draft: draft)) == "schedule")
    for method in [
      AutoregressiveMethod(start: .init(token: 12, isText: false)), try BlockDiffusionMethod(blockSize: 4),
      MaskedDiffusionMethod(), try EsotericMethod(.a, alpha0: 0.5),
    ] as [any GenerationMethod] {
      #expect(refused(GenerationRequest(length: 8, draft: draft), method) == "draft")
    }
  }
}
