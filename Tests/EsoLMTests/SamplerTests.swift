import EsoLM
import Foundation
import Randomness
import Synchronization
import TestSupport
import Testing
import Torch

@Suite("Sampler")
struct SamplerTests {
  private let network = CachedTransformer(TransformerWeights.random().transformer())
  private static let method = try! EsotericMethod(alpha0: 1)
  private static let length = 16

  /// Requests for one length: the paper's plans, and both kinds of block schedules.
  private static let requests: [GenerationRequest] =
    [1, 0.5, 0.125, 0].flatMap { alpha0 in
      [1, 4, 16, 1000].map { GenerationRequest(length: length, steps: $0, alpha0: alpha0, seed: 1) }
    }
    + [1, 3, 8, 16].flatMap { steps in
      [.block, .blockShuffled].map { GenerationRequest(length: length, steps: steps, schedule: $0, seed: 1) }
    }

  private func generations(_ request: GenerationRequest, count: Int, first: Int = 0) throws -> [Generation] {
    try Self.method.generations(request, count: count, first: first, for: network.configuration)
  }

  // MARK: Steps

  @Test(arguments: requests.indices)
  func everyPositionIsWrittenOnceAsPlanned(index: Int) throws {
    let all = try generations(Self.requests[index], count: 3)
    let sampler = Sampler(network)
    let ids = all.map { sampler.add($0) }
    var written = [[[Int]]](repeating: [], count: 3)
    for (id, generation) in zip(ids, all) {
      #expect(sampler[id]?.tokens == Array(repeating: 12, count: Self.length))
      #expect(generation.finalTokens.isEmpty && !generation.isFinished)
    }
    while !sampler.isEmpty {
      let before = ids.map { sampler[$0]?.tokens }
      for step in try sampler.advance() {
        let place = ids.firstIndex(of: step.id)!
        #expect(step.index == written[place].count)
        written[place].append(step.written.positions)
        var expected = before[place]!
        for (position, token) in zip(step.written.positions, step.written.tokens) { expected[position] = token }
        let now = try #require(step.finished ?? sampler[step.id])
        #expect(now.tokens == expected)
        #expect(now.finalTokens.elementsEqual(expected.prefix { $0 != 12 }))
        #expect((step.finished == nil) == (sampler[step.id] != nil))
        if let finished = step.finished {
          #expect(finished.finishReason == .length && finished.networkCalls == written[place].count)
          #expect(finished.order == written[place].flatMap { $0 })
          #expect(finished.tokens.allSatisfy { (0..<12).contains($0) })
        }
      }
    }
    for (generation, written) in zip(all, written) {
      #expect(written == (generation.plan as? FixedPlan)?.plan.steps)
    }
  }

  // MARK: Exactness

  @Test(arguments: requests.indices, [1, 8])
  func cachedAndRecomputedGenerationsAreTheSame(index: Int, batch: Int) throws {
    let all = try generations(Self.requests[index], count: batch)
    let cached = try written(all, by: network)
    #expect(try cached.map(\.tokens) == written(all, by: network, usesCache: false).map(\.tokens))
    let texts = randomSequences(batch, length: Self.length, tokens: 12)
    let pair = try [true, false].map { try forcedLogits(all, texts, by: network, usesCache: $0) }
    #expect(pair[0].map(\.count) == cached.map(\.networkCalls))
    for (cached, recomputed) in zip(pair[0].joined(), pair[1].joined()) {
      #expect(distance(cached, recomputed) < 1e-4)
    }
  }

  @Test(arguments: requests.indices)
  func aSequenceDoesNotDependOnItsBatch(index: Int) throws {
    let all = try generations(Self.requests[index], count: 8, first: 5)
    let together = try written(all, by: network)
    for (one, among) in zip(all, together) {
      let alone = try written([one], by: network)[0]
      #expect(alone.history == among.history)
    }
    #expect(Set(together.map(\.tokens)).count == 8)
  }

  @Test func seedsAndNumbersGiveOtherSequences() throws {
    var request = GenerationRequest(length: Self.length, steps: 4, seed: 1)
    let first = try written(generations(request, count: 2), by: network)
    #expect(try first.map(\.history) == written(generations(request, count: 2), by: network).map(\.history))
    #expect(first[0].order != first[1].order)
    request.seed = 2
    #expect(try first.map(\.tokens) != written(generations(request, count: 2), by: network).map(\.tokens))
  }

  /// What training sees of a half written sequence is what sampling sees of it.
  @Test(arguments: requests.indices)
  func logitsAreThoseOfTheDiffusionPass(index: Int) throws {
    let model = TransformerWeights.random().transformer()
    let texts = randomSequences(2, length: Self.length, tokens: 12)
    let all = try generations(Self.requests[index], count: 2)
    let logits = try forcedLogits(all, texts, by: network)
    for (place, generation) in all.enumerated() {
      let steps = try #require(generation.plan as? FixedPlan).plan.steps
      var order = steps.flatMap { $0 }
      var count = 0
      for (step, logits) in zip(steps, logits[place]) {
        var input = NetworkInput()
        input.append(
          [(texts[place], GenerationOrder(positions: order, cleanCount: count))], pattern: .causal, maskToken: 12)
        // The pass has logits for all masks, of which a step writes the first.
        let expected = withoutGradients { model.logits(input) }.narrowed(dim: 0, to: 0..<step.count)
        #expect(distance(logits, expected) < 1e-4)
        count += step.count
        order = Array(order)
      }
    }
  }

  @Test func aCopyGoesOnFromWhereItWasCopied() throws {
    let generation = try generations(Self.requests[5], count: 1)[0]
    let whole = try written([generation], by: network)[0]
    let sampler = Sampler(network)
    let id = sampler.add(generation)
    _ = try sampler.advance()
    _ = try sampler.advance()
    let half = try #require(sampler[id])
    // The copy, in a sampler of its own that knows no cache, and the original, which does not notice.
    #expect(try written([half], by: network)[0].tokens == whole.tokens)
    #expect(
      try written([half], by: CachedTransformer(TransformerWeights.random().transformer()))[0].tokens == whole.tokens)
    #expect(half.tokens.contains(12))
    #expect(try sampler.finish()[0].history == whole.history)
  }

  // MARK: Joining and leaving

  @Test func sequencesWaitForAPlace() throws {
    let all = try generations(Self.requests[7], count: 7)
    let sampler = Sampler(network, writing: all, places: 2)
    var most = 0
    var finished: [Generation] = []
    while !sampler.isEmpty {
      let steps = try sampler.advance()
      most = max(most, steps.count)
      finished += steps.compactMap(\.finished)
    }
    #expect(most == 2)
    #expect(Set(finished.map(\.tokens)) == Set(try written(all, by: network).map(\.tokens)))
  }

  @Test func whatIsTakenOutCostsNothing() throws {
    let all = try generations(Self.requests[7], count: 3)
    let sampler = Sampler(network, places: 2)
    let ids = all.map { sampler.add($0) }
    _ = try sampler.advance()
    #expect(sampler.remove(ids[0])?.networkCalls == 1)
    #expect(sampler.remove(ids[0]) == nil)
    #expect(sampler.ids == [ids[1], ids[2]])
    let rest = try sampler.finish()
    #expect(try rest.map(\.tokens) == all[1...].map { try written([$0], by: network)[0].tokens })
    #expect(network.cacheByteCount == 0)
  }

  @Test func aTextThatIsCutEndsThere() throws {
    let sampler = Sampler(network)
    var generation = try generations(
      GenerationRequest(length: Self.length, alpha0: 0, seed: 1), count: 1)[0]
    generation.cut(at: 5)
    #expect(!generation.isFinished)
    sampler.add(generation)
    let text = try sampler.finish()[0]
    #expect(text.tokens.count == 5 && !text.tokens.contains(12) && text.networkCalls == 5)
  }

  /// 64 texts of 1,024 tokens, of which 60 stop after 32: what they hold against 64 whole ones.
  @Test func memoryFollowsWhatIsWritten() throws {
    struct After: StopCondition {
      let count: Int
      func end(of tokens: ArraySlice<Int32>, given: Int, known: Int) -> Int? { tokens.count >= count ? count : nil }
    }
    let network = CachedTransformer(TransformerWeights.random(.small(hidden: 4, blocks: 1, heads: 1)).transformer())
    let all = try (0..<64).map { number in
      try EsotericMethod(alpha0: 0).generation(
        GenerationRequest(
          template: Array(repeating: nil, count: 1024), stop: number < 4 ? nil : After(count: 32), number: number),
        for: network.configuration)
    }
    let texts = try written(all, by: network)
    #expect(texts.map(\.networkCalls) == Array(repeating: 1024, count: 4) + Array(repeating: 32, count: 60))
    #expect(texts.map(\.tokens.count) == texts.map(\.networkCalls))
    // Keys and values of a block, 4 wide, in float32.
    let whole = 64 * 1024 * 2 * 4 * 4
    #expect(network.peakCacheByteCount * 100 < 15 * whole)
    #expect(network.cacheByteCount == 0)
  }

  // MARK: What is given is fed once

  @Test func samplesOfOnePromptShareIt() throws {
    let prompt = randomSequences(1, length: 300, tokens: 12)[0]
    let request = GenerationRequest(
      template: prompt + [Int32?](repeating: nil, count: 3), alpha0: 0, seed: 3)
    let all = try generations(request, count: 4)
    let sampler = Sampler(network, writing: all)
    network.resetPeak()
    let texts = try sampler.finish()
    // 300 rows in two pieces, then two rows a token, and the first token's mask alone.
    #expect(texts.reduce(0) { $0 + $1.fedRows } == 300 + 4 * 5)
    // Pages of 128 slots: three that are shared, of which each sequence, and what is kept for later ones, needs its own
    // last one.
    let page = 2 * 2 * 128 * 16 * 4
    #expect(network.peakCacheByteCount <= (3 + 4) * page)
    for (one, among) in zip(all, texts) {
      #expect(try written([one], by: network)[0].history == among.history)
    }
    // A later one finds it.
    let later = try generations(request, count: 1, first: 9)
    sampler.add(later[0])
    #expect(try sampler.finish()[0].fedRows == 5)
    // One that begins alike finds whole pieces.
    var other = request
    other.template[270] = (prompt[270] + 1) % 12
    sampler.add(try generations(other, count: 1)[0])
    let found = try sampler.finish()[0]
    #expect(found.fedRows == 44 + 5)
    #expect(try written(generations(other, count: 1), by: network)[0].history == found.history)
  }

  @Test func givenTokensEnterTheCacheOnce() throws {
    let network = FunctionNetwork(.small()) { _, _ in [Float](repeating: 0, count: 13) }
    let template = [Int32?](repeating: 1, count: 40) + [Int32?](repeating: nil, count: 3)
    let generation = try EsotericMethod(alpha0: 0).generation(
      GenerationRequest(template: template), for: network.configuration)
    #expect(try written([generation], by: network)[0].fedRows == 45)
    #expect(network.calls == [40, 1, 2, 2])
  }

  // MARK: Plans that decide as they go

  /// Writes two, takes them back once, and writes the rest.
  private struct Wavering: DecodingPlan {
    var calls = 0

    mutating func next(after generation: Generation) -> PlannedCall? {
      defer { calls += 1 }
      switch calls {
      case 0: return PlannedCall(positions: [3, 1])
      case 1: return PlannedCall(positions: [0])
      case 2: return PlannedCall(positions: [2], takesBack: 1)
      case 3: return PlannedCall(positions: [0])
      default: return nil
      }
    }
  }

  @Test func slotsCanBeTakenBack() throws {
    let request = GenerationRequest(length: 4, seed: 4)
    let wavering = try Generation(request, rule: .causal, plan: Wavering(), for: network.configuration)
    let straight = try Generation(
      request, rule: .causal, plan: FixedPlan(UnmaskingPlan(steps: [[3, 1], [2], [0]])), for: network.configuration)
    let texts = try [wavering, straight].map { generation in
      let sampler = Sampler(network, writing: [generation])
      while true {
        let steps = try sampler.advance(forcing: { _ in [5, 0, 7, 3] })
        if let finished = steps.first?.finished { return finished }
      }
    }
    let (a, b) = (texts[0], texts[1])
    #expect(a.order == b.order && a.history.count == b.history.count)
    #expect((a.networkCalls, b.networkCalls) == (4, 3))
    #expect(distance(a.history.flatMap(\.modelLogProbabilities), b.history.flatMap(\.modelLogProbabilities)) < 1e-5)
    // Without and with a cache. What is written in a slot anew is drawn anew.
    let free = try [true, false].map { try written([wavering], by: network, usesCache: $0)[0] }
    #expect(free[0].tokens == free[1].tokens)
    let flat = FunctionNetwork(.small(vocabulary: 1000)) { _, _ in [Float](repeating: 0, count: 1000) }
    var drawn: [Int: [Int32]] = [:]
    let sampler = Sampler(
      flat, writing: [try Generation(request, rule: .causal, plan: Wavering(), for: flat.configuration)])
    try sampler.finish { drawn[$0.written.positions.first ?? -1, default: []] += $0.written.tokens }
    #expect(Set(drawn[0, default: []] + drawn[2, default: []]).count == 3)
  }

  // MARK: As a stream

  @Test func stepsComeAsAStream() async throws {
    let all = try generations(Self.requests[6], count: 3)
    let whole = try written(all, by: network)
    var finished: [Generation.ID: Generation] = [:]
    let sampler = Sampler(CachedTransformer(TransformerWeights.random().transformer()), places: 2)
    for try await step in Sampler.steps(of: all, with: sampler) {
      if let generation = step.finished { finished[step.id] = generation }
    }
    #expect(finished.sorted { $0.key < $1.key }.map(\.value.history) == whole.map(\.history))
  }

  @Test func aStreamThatNobodyReadsEnds() async throws {
    let configuration = TransformerConfiguration.small()
    let calls = Counter()
    @Sendable func sampler() -> Sampler<FunctionNetwork> {
      Sampler(
        FunctionNetwork(configuration) { _, _ in
          calls.add()
          return [Float](repeating: 0, count: 13)
        })
    }
    let request = GenerationRequest(length: 100_000, alpha0: 0)
    let generation = try EsotericMethod(alpha0: 0).generation(request, for: configuration)
    for try await _ in Sampler.steps(of: [generation], with: sampler()) { break }
    // Nothing is written ahead of who reads.
    #expect(calls.count == 1)
    let task = Task {
      for try await _ in Sampler.steps(of: [generation], with: sampler()) where calls.count == 3 {
        withUnsafeCurrentTask { $0?.cancel() }
      }
    }
    _ = await task.result
    #expect(calls.count == 3)
  }

  private final class Counter: Sendable {
    private let value = Mutex(0)
    func add() { value.withLock { $0 += 1 } }
    var count: Int { value.withLock { $0 } }
  }

  // MARK: Faults

  @Test func damagedLogitsAreAnError() throws {
    let network = FunctionNetwork(.small()) { _, _ in [.nan] + [Float](repeating: 0, count: 12) }
    let generation = try EsotericMethod(alpha0: 1).generation(
      GenerationRequest(length: 4), for: network.configuration)
    let sampler = Sampler(network, writing: [generation])
    #expect(throws: LogitsError.self) { try sampler.advance() }
  }
}
