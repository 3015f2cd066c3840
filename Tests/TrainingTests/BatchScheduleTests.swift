import Training
import Testing

@Suite("Batch schedule")
struct BatchScheduleTests {
  @Test(arguments: [1, 2, 3, 7, 64, 1000], [1, 2, 5, 64])
  func everyEpochIsAPermutation(blockCount: Int, batchSize: Int) {
    var schedule = BatchSchedule(blockCount: blockCount, batchSize: batchSize, seed: 5)
    let steps = (3 * blockCount + batchSize - 1) / batchSize
    let samples = (0..<steps).flatMap { schedule.blocks(step: $0) }
    for epoch in 0..<3 {
      #expect(samples[epoch * blockCount..<(epoch + 1) * blockCount].sorted() == Array(0..<blockCount))
    }
  }

  @Test func epochsAndSeedsDiffer() {
    var schedule = BatchSchedule(blockCount: 100, batchSize: 100, seed: 1)
    var other = BatchSchedule(blockCount: 100, batchSize: 100, seed: 2)
    #expect(schedule.blocks(step: 0) != schedule.blocks(step: 1))
    #expect(schedule.blocks(step: 0) != other.blocks(step: 0))
    #expect(schedule.blocks(step: 0) != Array(0..<100))
  }

  @Test func anyStepAloneIsTheStepInSequence() {
    var sequential = BatchSchedule(blockCount: 11, batchSize: 4, seed: 9)
    let expected = (0..<20).map { sequential.blocks(step: $0) }
    for step in (0..<20).reversed() {
      var fresh = BatchSchedule(blockCount: 11, batchSize: 4, seed: 9)
      #expect(fresh.blocks(step: step) == expected[step])
      #expect(sequential.blocks(step: step) == expected[step])
    }
  }

  @Test func processesShareABatch() {
    var schedule = BatchSchedule(blockCount: 5, batchSize: 12, seed: 3)
    for step in 0..<4 {
      let whole = schedule.blocks(step: step)
      let shares = [0..<5, 5..<5, 5..<12].flatMap { schedule.blocks(step: step, samples: $0) }
      #expect(shares == whole)
    }
  }

  @Test func batchSizeDoesNotChangeTheOrder() {
    var small = BatchSchedule(blockCount: 10, batchSize: 2, seed: 4)
    var large = BatchSchedule(blockCount: 10, batchSize: 6, seed: 4)
    #expect((0..<9).flatMap { small.blocks(step: $0) } == (0..<3).flatMap { large.blocks(step: $0) })
  }

  /// The order must not change with a version of this package: a resumed run would see some blocks twice.
  @Test func orderIsFixed() {
    var schedule = BatchSchedule(blockCount: 8, batchSize: 8, seed: 42)
    #expect(schedule.blocks(step: 0) == [3, 2, 1, 6, 0, 5, 4, 7])
    #expect(schedule.blocks(step: 1) == [4, 2, 5, 7, 6, 0, 1, 3])
  }

  @Test func everyOrderIsAsLikely() {
    // 6 orders of 3 blocks, 1200 epochs: each 200 times, with a standard deviation of 13.
    var schedule = BatchSchedule(blockCount: 3, batchSize: 3, seed: 6)
    let counts = (0..<1200).reduce(into: [:]) { $0[schedule.blocks(step: $1), default: 0] += 1 }
    #expect(counts.count == 6)
    #expect(counts.values.allSatisfy { abs($0 - 200) < 60 })
  }
}
