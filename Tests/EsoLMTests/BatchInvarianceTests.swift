import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

/// A sequence's logits are the same bit for bit whoever shares its calls, in every precision.
@Suite("Batch invariance", .serialized)
struct BatchInvarianceTests {
  /// Heads of 32 are read where they lie, of 8 they are filled up.
  private static func network(
    hidden: Int, heads: Int, conditioning: Int?, precision: Precision, cachePrecision: Precision
  ) throws -> CachedTransformer {
    try CachedTransformer(
      TransformerWeights.random(.small(vocabulary: 50, hidden: hidden, heads: heads, conditioning: conditioning))
        .transformer(), precision: precision, cachePrecision: cachePrecision)
  }

  struct Kind: Sendable {
    let hidden: Int
    let heads: Int
    let precision: Precision
    let cachePrecision: Precision
  }
  static let kinds = [
    Kind(hidden: 64, heads: 2, precision: .float32, cachePrecision: .float32),
    Kind(hidden: 32, heads: 4, precision: .float32, cachePrecision: .bfloat16),
    Kind(hidden: 64, heads: 2, precision: .bfloat16, cachePrecision: .bfloat16),
    Kind(hidden: 32, heads: 4, precision: .int8, cachePrecision: .float32),
  ]

  static let methods: [any GenerationMethod] = [
    try! EsotericMethod(alpha0: 0.5), try! EsotericMethod(.a, alpha0: 0.5), MaskedDiffusionMethod(),
    try! BlockDiffusionMethod(blockSize: 4), AutoregressiveMethod(start: .init(token: 49, isText: false)),
  ]

  /// Requests of different length, prompt, plan and way of drawing.
  private func requests(_ method: any GenerationMethod, count: Int) throws -> [GenerationRequest] {
    try (0..<count).map { number in
      var generator = CounterGenerator(seed: 8, stream: .toyLanguage, major: number)
      let length = 4 * Int.random(in: 3...12, using: &generator)
      let prompt = Int.random(in: 0...min(16, length - 4), using: &generator)
      let template: [Int32?] = (0..<length).map { $0 < prompt ? Int32.random(in: 0..<49, using: &generator) : nil }
      return GenerationRequest(
        template: template,
        steps: method is AutoregressiveMethod || method is BlockDiffusionMethod
          ? nil : Int.random(in: 1...length, using: &generator),
        picker: try TokenPicker(
          temperature: [0.7, 1, 1, 1.3].randomElement(using: &generator)!,
          topP: [0.9, 1].randomElement(using: &generator)!),
        seed: UInt64(number % 3), number: number)
    }
  }

  @Test(arguments: methods.indices, kinds)
  func aSequenceAmongOthersIsTheSequenceAlone(index: Int, kind: Kind) throws {
    let method = Self.methods[index]
    let network = try Self.network(
      hidden: kind.hidden, heads: kind.heads, conditioning: method is AutoregressiveMethod ? nil : 8,
      precision: kind.precision, cachePrecision: kind.cachePrecision)
    let all = try requests(method, count: 64).map { try method.generation($0, for: network.configuration) }

    // They join and leave at random calls.
    var generator = CounterGenerator(seed: 9, stream: .toyLanguage)
    let sampler = Sampler(network, places: 24)
    var (places, found, next) = ([Generation.ID: Int](), [Int: Generation](), 0)
    while next < all.count || !sampler.isEmpty {
      for _ in 0..<Int.random(in: 0...5, using: &generator) where next < all.count {
        places[sampler.add(all[next])] = next
        next += 1
      }
      guard !sampler.isEmpty else { continue }
      if Int.random(in: 0..<8, using: &generator) == 0, let id = sampler.ids.randomElement(using: &generator) {
        // Taken out, it comes back as it was: what it had in the cache is computed anew.
        let generation = sampler.remove(id)!
        if !(method is BlockDiffusionMethod), generation.networkCalls == 0 {
          places[sampler.add(generation)] = places[id]
        } else {
          found[places[id]!] = nil
        }
        continue
      }
      for step in try sampler.advance() { if let text = step.finished { found[places[step.id]!] = text } }
    }
    #expect(found.count > 32)
    for threads in 1...3 {
      try withThreads(threads) {
        for (place, text) in found {
          let alone = try written([all[place]], by: network)[0]
          #expect(alone.tokens == text.tokens)
          // Log-probabilities are functions of all logits of their rows.
          #expect(alone.history == text.history)
        }
      }
    }
  }
}
