import Torch

/// What a machine can do at best, measured with the operations that sampling and training use: the floors that other
/// measurements stand on.
public struct Machine: Codable, Sendable {
  /// Threads of an operation.
  public let threads: Int
  /// The instructions that products with few rows use.
  public let instructions: String
  /// Bytes of a large array that all threads read in a second.
  public let bytesPerSecond: Double
  /// Operations of large matrix products in a second, two for each multiplication, in each precision, by name.
  public let operationsPerSecond: [String: Double]

  /// Reads 512 MB several times and multiplies 256 rows with a large matrix: about three seconds.
  public init() throws {
    threads = Torch.threadCount
    instructions = "\(Instructions.best)"
    bytesPerSecond = Self.readBandwidth()
    let (rows, size) = (256, 2048)
    let x = Tensor.uniform([rows, size], in: -1..<1, seed: 1)
    let weight = LinearWeight(.uniform([size, size], in: -1..<1, seed: 2))
    operationsPerSecond = Dictionary(
      uniqueKeysWithValues: Precision.allCases.map { precision in
        let own = weight.converted(to: precision)
        let seconds = withoutGradients { fastest(of: 10) { _ = x.multiplied(by: own) } }
        return (precision.rawValue, 2 * Double(rows * size * size) / seconds)
      })
  }

  /// Bytes of a large array that all threads read in a second, at best.
  public static func readBandwidth(byteCount: Int = 512 << 20, runs: Int = 5) -> Double {
    let array = Tensor.full([byteCount / 4], 1)
    return Double(byteCount) / fastest(of: runs) { array.readAll() }
  }

  /// How many rows a call computes in the time in which it reads the weights: F / B · b / 2 with F operations and B bytes
  /// a second and b bytes of a weight.
  public func freeRows(_ precision: Precision) -> Double {
    operationsPerSecond[precision.rawValue]! / bytesPerSecond * precision.byteCount / 2
  }
}

extension Precision {
  /// Bytes of a weight.
  public var byteCount: Double {
    switch self {
    case .float32: 4
    case .bfloat16: 2
    case .int8: 1
    }
  }
}

/// The seconds of the fastest of several runs, after one that warms up.
private func fastest(of runs: Int, _ body: () -> Void) -> Double {
  body()
  return (0..<runs).map { _ in
    let elapsed = ContinuousClock().measure(body)
    return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
  }.min()!
}
