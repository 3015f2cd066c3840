import EsoLM
import Foundation
import Runs

/// Training that this machine surely has too little memory for. It is refused before it begins: later the system would
/// end the process without a word.
public struct MemoryShortage: Error, CustomStringConvertible, Sendable, Equatable {
  /// Bytes that are needed at least, and that there are.
  public let needed: Double
  /// Bytes that the machine has.
  public let available: Double

  /// A shortage, in bytes.
  public init(needed: Double, available: Double) {
    self.needed = needed
    self.available = available
  }

  public var description: String {
    func gigabytes(_ bytes: Double) -> String { String(format: "%.1f GB", bytes / 1e9) }
    return "training needs at least \(gigabytes(needed)) of memory, this machine has \(gigabytes(available)); "
      + "try a smaller batch, length or network"
  }

  /// Throws if what one of several processes computes on the CPU cannot fit.
  public static func check(
    _ configuration: RunConfiguration, processes: Int = 1,
    available: Double = Double(ProcessInfo.processInfo.physicalMemory)
  ) throws {
    let needed = leastBytes(configuration, processes: processes)
    guard needed <= available else { throw MemoryShortage(needed: needed, available: available) }
  }

  /// Less than what training takes in each process: the numbers that are kept for every parameter, and those of a step
  /// that the backward pass needs again.
  public static func leastBytes(_ configuration: RunConfiguration, processes: Int = 1) -> Double {
    let model = configuration.model
    // The weights, their average, gradients, two moments.
    let parameters = 5 * Double(ParameterLayout(model).count)
    let training = configuration.training
    let share = training.microBatchSize ?? training.batchSize / processes
    let rows = Double(share) * Double(configuration.method.length - 1)
    // In a block: inputs and outputs of two norms (4), query, key and value (3), what attention gives (1), and the MLP's
    // middle before GELU (4). After the last block's keys and values only some rows go on.
    // Blocks that are computed anew keep their input alone, but for the one whose turn it is.
    let blocks = training.recomputes ? Double(model.numBlocks) + 12 : 12 * Double(model.numBlocks - 1) + 3
    // Where products compute in bfloat16, most of these numbers take two bytes.
    let bytes = training.bfloat16 ? 2.0 : 4.0
    return 4 * parameters + bytes * rows * Double(model.hiddenSize) * blocks
  }
}
