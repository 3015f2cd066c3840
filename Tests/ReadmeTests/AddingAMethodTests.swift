import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

/// The example of the article about adding a method is one that trains and writes.
@Suite("Adding a method") struct AddingAMethodTests {
  private let method = LeftToRightDiffusionMethod()

  @Test func theArticleShowsThisFile() throws {
    let shown = try Markdown(name: "Documentation.docc/AddingAMethod.md").code("swift").joined(separator: "\n")
    let source = try String(
      contentsOfFile: "\(Markdown.root)/Tests/ReadmeTests/LeftToRightDiffusionMethod.swift", encoding: .utf8)
    #expect(shown.hasPrefix(source))
  }

  /// Shares of a batch have losses that add up to that of the whole, as is asked of every method.
  @Test func itsSharesAddUp() throws {
    let network = TransformerWeights.random(.small(conditioning: 8)).transformer()
    let texts = (0..<6).map { number in PaddedTokens((0..<10).map { Int32(($0 * (number + 3)) % 11) }) }
    func loss(_ share: BatchShare) -> Double {
      network.loss(of: method.trainingBatch(share, maskToken: 12, seed: 1, step: 3)).loss.item
    }
    let whole = loss(BatchShare(texts))
    let parts = (0..<2).map { part in
      loss(BatchShare(part, of: 2, contentCounts: texts.map(\.contentCount)) { texts[$0] })
    }
    #expect(whole > 1 && abs(parts[0] + parts[1] - whole) < 1e-5 * whole, "\(parts) \(whole)")
  }

  @Test func itWritesTheSameWithACacheAndWithout() throws {
    let network = CachedTransformer(TransformerWeights.random(.small(conditioning: 8)).transformer())
    let request = GenerationRequest(length: 16, steps: 5, schedule: .block, seed: 1)
    let texts = try method.generations(request, count: 3, for: network.configuration)
    let cached = try written(texts, by: network)
    let recomputed = try written(texts, by: network, usesCache: false)
    #expect(cached.map(\.tokens) == recomputed.map(\.tokens))
    #expect(cached.allSatisfy { !$0.tokens.contains(12) } && Set(cached.map(\.tokens)).count == 3)
  }

  @Test func itRefusesWhatItHasNot() {
    #expect(Algorithm.leftToRightDiffusion.rawValue == "ltr-diffusion")
    #expect(throws: ConfigurationError.self) {
      try method.generation(GenerationRequest(length: 8, alpha0: 0.5), for: .small(conditioning: 8))
    }
  }
}
