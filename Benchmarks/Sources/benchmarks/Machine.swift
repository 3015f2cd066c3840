import Foundation
import Torch

/// Seconds of several runs of the same work.
struct Timing {
  let seconds: [Double]
  var median: Double { seconds.sorted()[seconds.count / 2] }
  var fastest: Double { seconds.min()! }

  /// Runs `body` once to warm up, then `runs` times with a clock.
  init(runs: Int, _ body: () throws -> Void) rethrows {
    try body()
    seconds = try (0..<runs).map { _ in
      let start = ContinuousClock.now
      try body()
      return (ContinuousClock.now - start).seconds
    }
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// What this machine can do at best, measured with the same library: the ceilings that results are shares of.
struct Machine: Codable {
  let threads: Int
  /// float32 multiply-adds of a large square matrix product, two operations each.
  let flopsPerSecond: Double
  /// Bytes of a large array that a sum reads.
  let bytesPerSecond: Double

  init() {
    threads = Torch.threadCount
    let size = 2048
    let a = Tensor.uniform([size, size], in: -1..<1, seed: 1)
    let b = Tensor.uniform([size, size], in: -1..<1, seed: 2)
    flopsPerSecond = 2 * pow(Double(size), 3) / Timing(runs: 15) { _ = a.linear(b) }.fastest
    let elements = 1 << 28
    let array = Tensor.full([elements], 1)
    bytesPerSecond = 4 * Double(elements) / Timing(runs: 7) { _ = array.sum() }.fastest
  }
}
