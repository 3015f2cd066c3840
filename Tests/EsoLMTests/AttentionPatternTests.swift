import EsoLM
import TestSupport
import Testing
import Torch

@Suite("Attention patterns")
struct AttentionPatternTests {
  @Test func causalRowsSeeWhatComesBeforeThem() {
    #expect(AttentionPattern.causal.streams == 1)
    for row in 0..<4 {
      #expect((0..<4).filter { AttentionPattern.causal.allows(query: row, key: $0, length: 4) } == Array(0...row))
    }
  }

  @Test func masksOfTheSecondStreamSeeEarlierCleanTokensAndThemselves() {
    let seen = (0..<6).map { row in (0..<6).filter { AttentionPattern.twoStream.allows(query: row, key: $0, length: 3) }
    }
    #expect(seen == [[0], [0, 1], [0, 1, 2], [3], [0, 4], [0, 1, 5]])
    #expect(AttentionPattern.twoStream.streams == 2)
  }

  /// The fast paths against the definition, in a network of which nothing is folded or skipped.
  @Test(arguments: [nil, 8], 0...5)
  func theNetworkComputesWhatPatternsAllow(conditioning: Int?, cleanCount: Int) {
    let model = Transformer.random(.small(blocks: 3, conditioning: conditioning))
    let (length, mask) = (5, model.configuration.maskToken)
    let orders = [[4, 1, 3, 0, 2], [0, 1, 2, 3, 4]].map { GenerationOrder(positions: $0, cleanCount: cleanCount) }
    let sequences = zip(randomSequences(2, length: length, tokens: 12), orders).map { ($0, $1) }
    for pattern in AttentionPattern.allCases {
      var input = NetworkInput()
      input.append(sequences, pattern: pattern, maskToken: mask)
      let expected = sequences.map { tokens, order in
        let clean = order.positions.map { Int(tokens[$0]) }
        let masks = [Int](repeating: mask, count: length)
        let isTwoStream = pattern == .twoStream
        let logits = model.referenceLogits(
          tokens: isTwoStream ? clean + masks : Array(clean[..<cleanCount] + masks[cleanCount...]),
          positions: isTwoStream ? order.positions + order.positions : order.positions
        ) { pattern.allows(query: $0, key: $1, length: length) }
        return logits.narrowed(dim: 0, to: logits.size(0) - order.maskedCount..<logits.size(0))
      }
      let found = withoutGradients { model.network().logits(input) }
      #expect(distance(found, .concatenated(expected)) < 1e-4)
    }
  }
}
