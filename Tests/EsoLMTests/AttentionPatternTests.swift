import EsoLM
import TestSupport
import Testing
import Torch

@Suite("Attention patterns")
struct AttentionPatternTests {
  static let patterns: [AttentionPattern] =
    [
      .causal, .cleanThenCausal, .causalThenWhole, .bidirectional, .twoStream, .cleanThenTwoStream,
      AttentionPattern(segments: .maskedTogether, streams: 2), AttentionPattern(segments: .whole, streams: 2),
    ]
    + [1, 2, 3, 6].flatMap { size in
      [1, 2].map { AttentionPattern(segments: .blocks(size), streams: $0) }
    }

  /// The rows that each row may look at.
  private func seen(_ pattern: AttentionPattern, length: Int, cleanCount: Int = 0) -> [[Int]] {
    let rows = 0..<pattern.streams * length
    return rows.map { row in
      rows.filter { pattern.allows(query: row, key: $0, length: length, cleanCount: cleanCount) }
    }
  }

  // MARK: The definition

  @Test func causalRowsSeeWhatComesBeforeThem() {
    #expect(seen(.causal, length: 4, cleanCount: 2) == (0..<4).map { Array(0...$0) })
  }

  @Test func bidirectionalRowsSeeEverything() {
    #expect(seen(.bidirectional, length: 3, cleanCount: 1) == Array(repeating: [0, 1, 2], count: 3))
  }

  @Test func cleanSlotsSeeEachOtherBothWays() {
    #expect(seen(.cleanThenCausal, length: 4, cleanCount: 2) == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2, 3]])
    #expect(seen(.causalThenWhole, length: 4, cleanCount: 2) == [[0], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3]])
  }

  @Test func masksOfTheSecondStreamSeeEarlierCleanTokensAndThemselves() {
    #expect(seen(.twoStream, length: 3) == [[0], [0, 1], [0, 1, 2], [3], [0, 4], [0, 1, 5]])
    #expect(
      seen(.cleanThenTwoStream, length: 4, cleanCount: 2)
        == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2, 3], [4, 5], [4, 5], [0, 1, 6], [0, 1, 2, 7]])
  }

  @Test func noisedBlocksSeeThemselvesAndEarlierCleanBlocks() {
    #expect(
      seen(.blockDiffusion(2), length: 4)
        == [[0, 1], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3], [4, 5], [4, 5], [0, 1, 6, 7], [0, 1, 6, 7]])
  }

  @Test func blocksOfOneAreTheTwoStreamsOfEsoLM() {
    #expect(seen(.blockDiffusion(1), length: 5) == seen(.twoStream, length: 5))
  }

  // MARK: The fast form

  /// What the network computes against the definition, in a network of which nothing is folded or skipped.
  @Test(arguments: patterns, [0, 1, 3, 5, 6])
  func theNetworkComputesWhatPatternsAllow(pattern: AttentionPattern, cleanCount: Int) {
    let mask = 12
    let model = TransformerWeights.random(.small(blocks: 3, conditioning: cleanCount == 3 ? nil : 8))
    // Masks behind the clean slots; for blocks also in between; and outputs on some of the clean slots.
    let masked = [Array(cleanCount..<6), Array(cleanCount..<6), [0, 3, 4].filter { $0 >= cleanCount }]
    let outputs = [masked[0], Array(0..<6), masked[2]]
    let sequences = zip(
      randomSequences(3, length: 6, tokens: 12), [[4, 1, 3, 0, 2, 5], [0, 1, 2, 3, 4, 5]] + [[5, 0, 1, 2, 4, 3]]
    )
    .enumerated().map { number, row in
      NetworkSequence(
        tokens: row.0, positions: row.1, cleanCount: cleanCount, masked: masked[number], outputs: outputs[number])
    }
    var input = NetworkInput()
    input.append(sequences, pattern: pattern, maskToken: mask)
    let expected = sequences.compactMap { sequence -> Tensor? in
      guard !sequence.outputs.isEmpty else { return nil }
      let clean = sequence.tokens.map(Int.init)
      var noised = clean
      for slot in sequence.masked { noised[slot] = mask }
      let isTwoStream = pattern.streams == 2
      let logits = model.referenceLogits(
        tokens: isTwoStream ? clean + noised : noised,
        positions: isTwoStream ? sequence.positions + sequence.positions : sequence.positions
      ) { pattern.allows(query: $0, key: $1, length: 6, cleanCount: cleanCount) }
      return logits.selecting(Tensor(sequence.outputs.map { Int64($0 + (isTwoStream ? 6 : 0)) }))
    }
    let found = withoutGradients { model.transformer().logits(input) }
    #expect(distance(found, .concatenated(expected)) < 1e-4)
  }

  /// Long enough for block-causal attention to be made of several pieces.
  @Test(arguments: [.blockDiffusion(4), .blockDiffusion(200), AttentionPattern(segments: .blocks(200), streams: 1)])
  func longBlocksAreComputedInPieces(pattern: AttentionPattern) {
    let length = 600
    let model = TransformerWeights.random(.small(hidden: 8, blocks: 2, conditioning: nil))
    let outputs = [0, 1, 255, 256, 257, 511, 512, 599]
    let tokens = randomSequences(1, length: length, tokens: 12)[0]
    var input = NetworkInput()
    input.append(
      [
        NetworkSequence(
          tokens: tokens, positions: Array(0..<length), cleanCount: 0, masked: outputs, outputs: outputs)
      ], pattern: pattern, maskToken: 12)
    let clean = tokens.map(Int.init)
    var noised = clean
    for slot in outputs { noised[slot] = 12 }
    let isTwoStream = pattern.streams == 2
    let expected = model.referenceLogits(
      tokens: isTwoStream ? clean + noised : noised,
      positions: isTwoStream ? Array(0..<length) + Array(0..<length) : Array(0..<length)
    ) { pattern.allows(query: $0, key: $1, length: length, cleanCount: 0) }
    let rows = Tensor(outputs.map { Int64($0 + (isTwoStream ? length : 0)) })
    let found = withoutGradients { model.transformer().logits(input) }
    #expect(distance(found, expected.selecting(rows)) < 2e-4)
  }
}
