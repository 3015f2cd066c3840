import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing

/// BD3-LM's masks that are drawn again until their share of a block lies in the range of times.
@Suite("Masks within a range")
struct ClippedNoiseTests {
  private let maskToken = 12

  /// The masks of the blocks of one sequence, drawn at the same time, as positions inside the block.
  private func masks(
    _ method: BlockDiffusionMethod, at time: Double, blocks: Int, number: Int = 0
  ) -> [[Int]] {
    var generator = CounterGenerator(seed: 5, stream: .corruption, major: number)
    let size = method.blockSize
    let text = PaddedTokens([Int32](repeating: 1, count: size * blocks))
    let masked = method.member(
      text, times: Array(repeating: time, count: blocks), within: method.noiseRange, scale: 1, using: &generator
    ).sequence.masked
    var result = [[Int]](repeating: [], count: blocks)
    for position in masked { result[position / size].append(position % size) }
    return result
  }

  @Test func everyBlockOfABatchHasTwoOrThreeMasksOfFour() {
    func counts(_ method: BlockDiffusionMethod) -> [Int] {
      (0..<10).flatMap { step in
        let texts = [[Int32]](repeating: [Int32](0..<12), count: 100)
        let batch = method.trainingBatch(texts, maskToken: maskToken, seed: 3, step: step)
        var counts = [Int](repeating: 0, count: 300)
        // A token's own number is its position.
        for (target, sequence) in zip(batch.targets, batch.sequences) { counts[sequence * 3 + Int(target) / 4] += 1 }
        return counts
      }
    }
    #expect(
      Set(counts(try! BlockDiffusionMethod(blockSize: 4, noiseRange: 0.3...0.8, resamplesMasks: true))) == [2, 3])
    // Otherwise two of five blocks have another number.
    let free = counts(try! BlockDiffusionMethod(blockSize: 4, noiseRange: 0.3...0.8))
    #expect(abs(Double(free.count { ![2, 3].contains($0) }) / 3000 - 0.406) < 0.04)
  }

  /// Each set of masks is as likely as it is by independent draws, over the likelihood of all sets that are allowed. A
  /// right sampler fails once in 30,000 seeds.
  @Test(
    arguments: [
      (4, 0.3, 0.8, [0.3, 0.55, 0.8]), (4, 0.45, 0.95, [0.45, 0.95]), (8, 0.3, 0.8, [0.4]), (3, 0, 0.5, [0.02, 0.5]),
      (4, 0.5, 1, [0.5, 1]), (5, 0.1, 0.6, [0.1]),
    ] as [(Int, Double, Double, [Double])])
  func setsOfMasksAreAsLikelyAsIndependentOnesThatAreAllowed(size: Int, low: Double, high: Double, times: [Double]) {
    let method = try! BlockDiffusionMethod(blockSize: size, noiseRange: low...high, resamplesMasks: true)
    for time in times {
      var distribution = (0..<1 << size).map { set -> Double in
        let count = set.nonzeroBitCount
        let share = Double(count) / Double(size)
        guard share >= low, share <= high else { return 0 }
        return pow(time, Double(count)) * pow(1 - time, Double(size - count))
      }
      let whole = distribution.reduce(0, +)
      distribution = distribution.map { $0 / whole }
      var observed = [Int](repeating: 0, count: distribution.count)
      for masks in masks(method, at: time, blocks: 40_000) { observed[masks.reduce(0) { $0 | 1 << $1 }] += 1 }
      // At time 1 all is masked, and there is nothing to compare.
      if time < 1 {
        #expect(chiSquareScore(observed, distribution: distribution) < 4)
      } else {
        #expect(observed.last == 40_000)
      }
    }
  }

  /// Blocks so long that no chance of a number of masks could be written down as it is.
  @Test func longBlocksHaveTheirShareToo() {
    let method = try! BlockDiffusionMethod(blockSize: 2048, noiseRange: 0.3...0.8, resamplesMasks: true)
    for time in [0.3, 0.55, 0.8] {
      let shares = masks(method, at: time, blocks: 200).map { Double($0.count) / 2048 }
      #expect(shares.allSatisfy { (0.3...0.8).contains($0) })
      #expect(abs(shares.mean - time) < 0.015)
    }
  }

  @Test func endsThatBindNothingChangeNothing() {
    for range in [0...1, 1e-3...1] {
      let (free, bound) = (
        try! BlockDiffusionMethod(blockSize: 4, noiseRange: range),
        try! BlockDiffusionMethod(blockSize: 4, noiseRange: range, resamplesMasks: true)
      )
      #expect(masks(free, at: 0.1, blocks: 50) == masks(bound, at: 0.1, blocks: 50))
    }
    // A lower end of 1e-3 leaves a block without masks; a higher one does not.
    #expect(BlockDiffusionMethod.maskCounts(blockSize: 4, within: 1e-3...0.5) == 0...2)
    #expect(BlockDiffusionMethod.maskCounts(blockSize: 4, within: 0.002...0.5) == 1...2)
  }

  /// A bound is the bound, whatever training draws from.
  @Test func evaluationKeepsAllMasks() {
    let texts = randomSequences(50, length: 12, tokens: 12)
    let noise = EvaluationNoise(seed: 1, count: 50)
    let methods = [false, true].map {
      try! BlockDiffusionMethod(blockSize: 4, noiseRange: 0.3...0.8, resamplesMasks: $0)
        .boundBatch(texts, maskToken: maskToken, noise: noise).targets
    }
    #expect(methods[0] == methods[1])
  }

  @Test func theFirstTokenThatIsKeptCountsWhenDrawing() {
    let free = try! BlockDiffusionMethod(blockSize: 4, noiseRange: 0.3...0.8, resamplesMasks: true)
    let kept = try! BlockDiffusionMethod(blockSize: 4, noiseRange: 0.3...0.8, resamplesMasks: true, firstToken: 1)
    for number in 0..<50 {
      let (all, some) = (
        masks(free, at: 0.6, blocks: 2, number: number), masks(kept, at: 0.6, blocks: 2, number: number)
      )
      #expect(some == [all[0].filter { $0 > 0 }, all[1]])
    }
  }

  @Test(
    arguments: [
      (4, 0.3, 0.8, 2...3), (10, 0.3, 0.8, 3...8), (1, 0.5, 1, 1...1), (4, 0.26, 0.3, nil), (1, 0.3, 0.8, nil),
      (1, 0, 0.5, nil), (3, 0.34, 0.6, nil),
    ] as [(Int, Double, Double, ClosedRange<Int>?)])
  func aRangeMayHoldNoShareOfABlock(size: Int, low: Double, high: Double, counts: ClosedRange<Int>?) {
    #expect(BlockDiffusionMethod.maskCounts(blockSize: size, within: low...high) == counts)
  }
}
