import Corpora
import EsoLM
import Evaluation
import Foundation
import Tokenizers
import Training

/// The tables at the end of the demo.
struct DemoReport {
  private let trainer: Trainer
  private let network: Transformer
  private let isToyLanguage: Bool
  private let seed: UInt64

  init(_ trainer: Trainer, isToyLanguage: Bool, seed: UInt64) {
    self.trainer = trainer
    self.isToyLanguage = isToyLanguage
    self.seed = seed
    network = trainer.learner.average.transformer()
  }

  private var tokenizer: any Tokenizer { trainer.run.tokenizer }
  private var alpha0: Double { trainer.run.configuration.method.alpha0 ?? 1 }
  private var method: String { "α₀ = \(alpha0)" }

  // MARK: Perplexity

  /// How well the model predicts validation text, beside the best that any model could do on the same text.
  func perplexities() throws -> String {
    let blocks = trainer.data.validation.first(64)
    let evaluation = try PerplexityEvaluation(
      Likelihood(network, method: trainer.run.method), blocks: blocks, seed: seed)
    var line = ShareLine()
    defer { line.clear() }
    var rows = [("NELBO", evaluation.nelbo(draws: 4) { line.show("NELBO", $0) }.nats)]
    rows += evaluation.exact(orders: 8) { line.show("exact likelihood", $0) }.filter { [1, 8].contains($0.orders) }
      .map { ("exact, \($0.orders) order\($0.orders == 1 ? "" : "s")", $0.estimate.nats) }
    var truth: Double?
    if isToyLanguage {
      let quality = ToyLanguage.quality(of: blocks.map { tokenizer.decode($0) })
      truth = quality.logProbabilityPerCharacter.map { -$0 }
    }
    if let truth { rows.append(("true entropy", truth)) }
    var table = Table(["perplexity per character", "perplexity", "nats", "bits", "above the best"])
    for (name, nats) in rows {
      table.add([
        name, Format.number(exp(nats), digits: 3), Format.number(nats, digits: 4),
        Format.number(nats / log(2), digits: 4), truth.map { Format.number(nats - $0, digits: 4) } ?? "–",
      ])
    }
    return "\nHow well it predicts \(blocks.count) unseen sequences (\(method)):\n\(table.text)\n"
  }

  // MARK: Sampling

  private struct Run {
    var texts: [String]
    var tokens: [[Int32]]
    var seconds: Double
    /// Of a text, on average.
    var calls: Int
  }

  private func sample(_ request: GenerationRequest, batch: Int, usesCache: Bool) throws -> Run {
    let cached = CachedTransformer(network)
    let sampler = Sampler(cached, usesCache: usesCache)
    for number in 0..<batch {
      var request = request
      request.picker = try TokenPicker(topP: 0.95)
      request.seed = seed
      request.number = number
      sampler.add(try trainer.run.method.generation(request, for: cached.configuration))
    }
    var line = ShareLine()
    defer { line.clear() }
    var written = WritingShare(of: batch)
    let holes = request.holes.count
    let start = ContinuousClock.now
    let texts = try sampler.finish { step in
      written.add(step, holes: holes)
      line.show(usesCache ? "sampling" : "sampling without a cache", written.share)
    }
    let seconds = (ContinuousClock.now - start).seconds
    return Run(
      texts: texts.map { tokenizer.decode($0.tokens) }, tokens: texts.map(\.tokens), seconds: seconds,
      calls: texts.reduce(0) { $0 + $1.networkCalls } / texts.count)
  }

  /// Speed and quality over plans: many tokens at once, or few, or from left to right.
  func sampling(batch: Int = 32) throws -> String {
    let length = trainer.run.configuration.method.length
    let quality = isToyLanguage ? ["grammatical"] : []
    var table = Table(["plan", "NFE", "s, cached", "s, recomputed", "ratio", "same text"] + quality)
    var examples: [String] = []
    for (alpha0, steps) in [(1, 8), (1, 32), (1, 128), (0.5, 8), (0.5, 128), (0.125, 32), (0, 1)] {
      let request = GenerationRequest(length: length, steps: steps, alpha0: alpha0)
      let cached = try sample(request, batch: batch, usesCache: true)
      let recomputed = try sample(request, batch: batch, usesCache: false)
      let name = alpha0 == 0 ? "α₀ = 0" : "α₀ = \(Format.number(alpha0, digits: 3)), T = \(steps)"
      let share =
        isToyLanguage
        ? [Format.percent(ToyLanguage.quality(of: cached.texts, skippingFirst: true).grammaticalShare)] : []
      table.add(
        [
          name, "\(cached.calls)", Format.seconds(cached.seconds), Format.seconds(recomputed.seconds),
          Format.number(recomputed.seconds / cached.seconds, digits: 1) + "×",
          cached.tokens == recomputed.tokens ? "yes" : "NO",
        ] + share)
      if [(1, 8), (1, 128), (0, 1)].contains(where: { $0 == (alpha0, steps) }) {
        examples += cached.texts.prefix(2).map { "  [\(name)] \($0.replacingOccurrences(of: "\n", with: "⏎"))" }
      }
    }
    let explanation =
      isToyLanguage ? " Grammatical is the share of complete sentences that the language has." : ""
    return """
      Sampling \(batch) sequences of \(length) characters at a time. NFE counts the network calls of a text.\(explanation)
      \(table.text)

      \(examples.joined(separator: "\n"))

      """
  }

  /// What the cache saves where it matters: long sequences, one token a call.
  func longSequences() throws -> String {
    let length = 512
    let request = GenerationRequest(length: length, steps: length, schedule: .blockShuffled)
    var table = Table(["α₀ = 1, L = NFE = \(length)", "s, cached", "s, recomputed", "ratio", "same text"])
    for batch in [1, 8] {
      let cached = try sample(request, batch: batch, usesCache: true)
      let recomputed = try sample(request, batch: batch, usesCache: false)
      table.add([
        "batch \(batch)", Format.seconds(cached.seconds), Format.seconds(recomputed.seconds),
        Format.number(recomputed.seconds / cached.seconds, digits: 1) + "×",
        cached.tokens == recomputed.tokens ? "yes" : "NO",
      ])
    }
    return "\(table.text)\n"
  }
}
