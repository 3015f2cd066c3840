import Faults
import Randomness

/// Which block each sample of each training step is.
///
/// Samples are numbered through the whole run: sample `i` of step `s` is number `n = s × batchSize + i`, and belongs
/// to epoch `n / blockCount`. An epoch visits every block once, in an order drawn from the seed and the epoch's
/// number. So the schedule has no state to save: a resumed run asks for the step that it is at, and each of several
/// processes for its own share of the batch.
public struct BatchSchedule: Sendable {
  /// The number of blocks in the training set.
  public let blockCount: Int
  /// Samples of a step, over all processes.
  public let batchSize: Int
  /// The run's seed.
  public let seed: UInt64

  /// The order of the epoch that was asked for last. It only saves time.
  private var current: (epoch: Int, order: [UInt32])?

  /// - Parameters:
  ///   - blockCount: the number of blocks in the training set.
  ///   - batchSize: the number of samples in a step, over all processes.
  ///   - seed: the run's seed.
  /// - Precondition: both numbers are at least 1, and there are fewer blocks than 2³².
  public init(blockCount: Int, batchSize: Int, seed: UInt64) {
    trap(unless: (1...Int(UInt32.max)).contains(blockCount), "\(blockCount) blocks; expected 1 to 2³² − 1")
    trap(unless: batchSize >= 1, "\(batchSize) samples in a batch; expected at least 1")
    self.blockCount = blockCount
    self.batchSize = batchSize
    self.seed = seed
  }

  /// The blocks of a step's whole batch, in the order of the samples.
  ///
  /// - Parameter step: the step's number, from 0.
  public mutating func blocks(step: Int) -> [Int] {
    blocks(step: step, samples: 0..<batchSize)
  }

  /// The blocks of a part of a step's batch.
  ///
  /// - Parameters:
  ///   - step: the step's number, from 0.
  ///   - samples: which samples of the batch, within `0..<batchSize`.
  public mutating func blocks(step: Int, samples: Range<Int>) -> [Int] {
    trap(unless: step >= 0, "step \(step)")
    trap(unless: samples.lowerBound >= 0 && samples.upperBound <= batchSize, "samples \(samples) of \(batchSize)")
    return samples.map { block(sample: step * batchSize + $0) }
  }

  private mutating func block(sample: Int) -> Int {
    let (epoch, index) = sample.quotientAndRemainder(dividingBy: blockCount)
    if let current, current.epoch == epoch { return Int(current.order[index]) }
    let order = order(ofEpoch: epoch)
    current = (epoch, order)
    return Int(order[index])
  }

  /// A random permutation by Fisher and Yates, from the back: the orders of runs that were begun with it.
  private func order(ofEpoch epoch: Int) -> [UInt32] {
    var generator = CounterGenerator(seed: seed, stream: .dataOrder, major: epoch)
    // Half the memory of Int: a text of 1 GB is 60 million short blocks.
    var order = Array(0..<UInt32(blockCount))
    for last in stride(from: blockCount - 1, to: 0, by: -1) {
      order.swapAt(last, generator.integer(below: last + 1))
    }
    return order
  }
}
