import EsoLM
import Randomness
import TestSupport
import Testing
import Torch

/// Decoding as devices other than the CPU do it: on the CPU, where the operations are the same, and on a GPU, where there
/// is one.
@Suite("Decoding on devices")
struct DeviceTests {
  private static func weights(_ device: Device) throws -> TransformerWeights {
    let weights = TransformerWeights.random(.small(vocabulary: 50, hidden: 32, heads: 2))
    let parameters = Dictionary(uniqueKeysWithValues: weights.namedParameters.map { ($0.name, $0.tensor) })
    return try TransformerWeights(weights.configuration, parameters: parameters, device: device)
  }

  /// A network whose calls are made of single operations, or, without a device, the CPU's own.
  private static func network(_ device: Device?, cachePrecision: Precision = .float32) throws -> CachedTransformer {
    try CachedTransformer(
      weights(device ?? .cpu).transformer(), precision: nil, cachePrecision: cachePrecision, fuses: device == nil)
  }

  /// Sequences of different length and prompt.
  private func generations(_ method: any GenerationMethod, for network: CachedTransformer) throws -> [Generation] {
    try (0..<12).map { number in
      var generator = CounterGenerator(seed: 4, stream: .toyLanguage, major: number)
      // Some are longer than a page.
      let length = 4 * (number < 3 ? 40 : Int.random(in: 3...9, using: &generator))
      let prompt = number.isMultiple(of: 3) ? 0 : Int.random(in: 0...length / 2, using: &generator)
      let template: [Int32?] = (0..<length).map { $0 < prompt ? Int32.random(in: 0..<49, using: &generator) : nil }
      return try method.generation(
        GenerationRequest(
          template: template, steps: method.diffusionPass == nil ? nil : length / 4,
          picker: TokenPicker(topP: 0.95), seed: 3, number: number), for: network.configuration)
    }
  }

  /// Together and in turn, with a cache and without: the tokens that the CPU's one operation writes, and log-probabilities
  /// like its own.
  @Test(arguments: BatchInvarianceTests.methods.indices, [Device.cpu])
  func textsAreThoseOfTheCPU(index: Int, device: Device) throws {
    let method = BatchInvarianceTests.methods[index]
    let reference = try Self.network(nil)
    func texts(_ network: CachedTransformer, usesCache: Bool = true, places: Int = 5) throws -> [Generation] {
      let sampler = Sampler(network, places: places, usesCache: usesCache)
      for generation in try generations(method, for: network) { sampler.add(generation) }
      return try sampler.finish()
    }
    let expected = try texts(reference)
    for (usesCache, places) in [(true, 5), (true, 1), (false, 5)] {
      let found = try texts(Self.network(device), usesCache: usesCache, places: places)
      #expect(found.map(\.tokens) == expected.map(\.tokens))
      #expect(distance(found.map(\.modelLogProbability), expected.map(\.modelLogProbability)) < 1e-3)
    }
  }

  /// Logits of one call over caches of any fill, in both precisions of caches.
  @Test(arguments: [Device.cpu], [Precision.float32, .bfloat16])
  func logitsAreThoseOfTheCPU(device: Device, cachePrecision: Precision) throws {
    let networks = [
      try Self.network(nil, cachePrecision: cachePrecision), try Self.network(device, cachePrecision: cachePrecision),
    ]
    let caches = networks.map { network in (0..<5).map { _ in network.makeCache() } }
    for call in 0..<12 {
      var generator = CounterGenerator(seed: 9, stream: .toyLanguage, major: call)
      var feed = DecodingFeed()
      let members = (0..<5).filter { _ in generator.uniform() < 0.7 }
      for member in members {
        let stored = caches[0][member].count
        let rows = Int.random(in: 1...40, using: &generator)
        let kept = Int.random(in: 0...rows, using: &generator)
        feed.append(
          tokens: (0..<rows).map { _ in Int32.random(in: 0..<50, using: &generator) },
          positions: (0..<rows).map { _ in Int.random(in: 0..<400, using: &generator) },
          visible: (0..<rows).map { _ in Int.random(in: 1...stored + rows, using: &generator) },
          outputs: Int.random(in: 0..<rows, using: &generator)..<rows, keptCount: kept)
      }
      guard !members.isEmpty else { continue }
      let logits = zip(networks, caches).map { network, caches in
        network.logits(feed, caches: members.map { caches[$0] }).to(.cpu)
      }
      // Rounding to 16 bits may fall to either side.
      #expect(distance(logits[0], logits[1]) < (cachePrecision == .float32 ? 1e-4 : 1e-2))
      #expect(caches[0].map(\.count) == caches[1].map(\.count))
    }
  }

  /// A copy of a cache goes its own way, also after pages moved.
  @Test(arguments: [Device.cpu]) func cachesThatShareBeginningsGoTheirOwnWays(device: Device) throws {
    let network = try Self.network(device)
    func feed(_ token: Int32, at position: Int, count: Int) -> DecodingFeed {
      var feed = DecodingFeed()
      feed.append(
        tokens: Array(repeating: token, count: count), positions: Array(position..<position + count),
        visible: Array(position + 1...position + count), outputs: count - 1..<count, keptCount: count)
      return feed
    }
    let first = network.makeCache()
    _ = network.logits(feed(1, at: 0, count: 200), caches: [first])
    let second = first.copy(upTo: 150)
    let before = network.logits(feed(2, at: 200, count: 1), caches: [first]).to(.cpu)
    first.truncate(to: 200)
    let others = (0..<20).map { _ in network.makeCache() }
    for other in others { _ = network.logits(feed(3, at: 0, count: 130), caches: [other]) }
    _ = network.logits(feed(4, at: 150, count: 30), caches: [second])
    #expect(distance(network.logits(feed(2, at: 200, count: 1), caches: [first]).to(.cpu), before) < 1e-6)
  }

  @Test(.enabled(if: Device.cuda.isAvailable, "libtorch finds no CUDA device")) func aGPUDoesTheSame() throws {
    for index in BatchInvarianceTests.methods.indices { try textsAreThoseOfTheCPU(index: index, device: .cuda) }
    for precision in [Precision.float32, .bfloat16] {
      try logitsAreThoseOfTheCPU(device: .cuda, cachePrecision: precision)
    }
    try cachesThatShareBeginningsGoTheirOwnWays(device: .cuda)

    // A loss and its gradients.
    let batch = try EsotericMethod(alpha0: 0.5).trainingBatch(
      randomSequences(4, length: 24, tokens: 49), maskToken: 49, seed: 1, step: 0)
    let (cpu, cuda) = (try Self.weights(.cpu), try Self.weights(.cuda))
    let losses = [cpu, cuda].map { model in
      let loss = model.transformer().loss(of: batch).loss
      loss.backward()
      return loss.item
    }
    #expect(abs(losses[0] - losses[1]) < 1e-4)
    for (a, b) in zip(cpu.gradients, cuda.gradients) { #expect(distance(a, b.to(.cpu)) < 1e-4) }
  }
}
