import EsoLM
import Randomness
import Torch

/// Whether a sequence is the same alone and among others, for one network and method.
public struct BatchInvariance {
  /// What came of it.
  public struct Report: Sendable, Codable {
    /// Sequences that were written together and then each alone, on every number of threads.
    public let sequences: Int
    /// The numbers of threads that were tried.
    public let threads: [Int]
    /// Those whose tokens differed.
    public internal(set) var otherTokens = 0
    /// Those whose log-probabilities, which are functions of all logits, differed in a bit or more.
    public internal(set) var otherBits = 0
    /// Whether bits are promised: on a CPU.
    public let promisesBits: Bool

    /// Whether all that is promised holds.
    public var passed: Bool { otherTokens == 0 && (otherBits == 0 || !promisesBits) }
  }

  private let network: CachedTransformer
  private let method: any GenerationMethod
  private let length: Int
  private let seed: UInt64

  /// - Parameters:
  ///   - network: what writes.
  ///   - cachePrecision: how keys and values are kept.
  ///   - method: how it writes.
  ///   - length: of the longest sequences.
  ///   - seed: of the texts.
  public init(
    _ network: Transformer, cachePrecision: Precision = .float32, method: any GenerationMethod, length: Int,
    seed: UInt64 = 0
  ) throws {
    self.network = try CachedTransformer(network, cachePrecision: cachePrecision)
    self.method = method
    self.length = length
    self.seed = seed
  }

  /// Writes sequences with different prompts, lengths, plans, seeds and ways of drawing, which join and leave at random
  /// calls, and then each alone.
  public func check(sequences count: Int = 64, progress: (_ share: Double) -> Void = { _ in }) throws -> Report {
    var generator = CounterGenerator(seed: seed, stream: .toyLanguage)
    let all = try (0..<count).map { try sequence($0, &generator) }
    let together = try writeTogether(all, &generator)
    // Elsewhere the CPU's threads compute nothing.
    let threads = network.device == .cpu ? Array(Set([1, Torch.threadCount])).sorted() : [Torch.threadCount]
    var report = Report(
      sequences: count, threads: threads,
      promisesBits: network.device == .cpu)
    for (place, generation) in all.enumerated() {
      let alone = try threads.map { threads in
        try Torch.withThreads(atMost: threads) {
          let sampler = Sampler(network, prefixMemory: 0)
          sampler.add(generation)
          return try sampler.finish()[0]
        }
      }
      if alone.contains(where: { $0.tokens != together[place].tokens }) { report.otherTokens += 1 }
      if alone.contains(where: { $0.history != together[place].history }) { report.otherBits += 1 }
      progress(Double(place + 1) / Double(count))
    }
    return report
  }

  private func writeTogether(_ all: [Generation], _ generator: inout CounterGenerator) throws -> [Generation] {
    let sampler = Sampler(network, places: max(2, all.count / 2))
    var places: [Generation.ID: Int] = [:]
    var found: [Int: Generation] = [:]
    var next = 0
    while next < all.count || !sampler.isEmpty {
      for _ in 0..<1 + generator.integer(below: 4) where next < all.count {
        places[sampler.add(all[next])] = next
        next += 1
      }
      for step in try sampler.advance() { if let text = step.finished { found[places[step.id]!] = text } }
    }
    return all.indices.map { found[$0]! }
  }

  private func sequence(_ number: Int, _ generator: inout CounterGenerator) throws -> Generation {
    let unit = method.lengthUnit
    let (shortest, longest) = (max(1, self.length / unit / 4), max(1, self.length / unit))
    let length = (shortest + generator.integer(below: longest - shortest + 1)) * unit
    let prompt = generator.integer(below: length * 3 / 4 + 1)
    let vocabulary = network.configuration.vocabularySize
    let template: [Int32?] = (0..<max(2, length)).map { position in
      guard position < prompt else { return nil }
      let token = generator.integer(below: vocabulary)
      return Int32(token == network.configuration.maskToken ? (token + 1) % vocabulary : token)
    }
    return try method.generation(
      GenerationRequest(
        template: template,
        steps: method.diffusionPass == nil ? nil : 1 + generator.integer(below: length),
        picker: TokenPicker(temperature: [0.7, 1, 1.3][number % 3], topP: [0.9, 1][number % 2]),
        seed: seed &+ UInt64(number % 5), number: number), for: network.configuration)
  }
}
