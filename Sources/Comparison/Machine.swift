import Torch

/// What a machine can do at best, measured with the operations that sampling and training use: the floors that other
/// measurements stand on.
public struct Machine: Codable, Sendable {
  /// Threads of an operation.
  public let threads: Int
  /// The instructions that products with few rows use.
  public let instructions: String
  /// Bytes of a large array that all threads read in a second, in the median.
  public let bytesPerSecond: Double
  /// Operations of large matrix products in a second, two for each multiplication, in each precision, by name.
  public let operationsPerSecond: [String: Double]

  /// Reads 256 MB several times and multiplies 256 rows with a large matrix: about three seconds.
  public init() throws {
    threads = Torch.threadCount
    instructions = "\(Instructions.best)"
    var probe = ReadProbe()
    for _ in 0..<9 { probe.measure() }
    bytesPerSecond = probe.bytesPerSecond
    let (rows, size) = (256, 2048)
    let x = Tensor.uniform([rows, size], in: -1..<1, seed: 1)
    let weight = LinearWeight(.uniform([size, size], in: -1..<1, seed: 2))
    operationsPerSecond = Dictionary(
      uniqueKeysWithValues: Precision.allCases.map { precision in
        let own = weight.packed(in: precision)
        let seconds = withoutGradients { fastest(of: 10) { _ = x.multiplied(by: own) } }
        return (precision.rawValue, 2 * Double(rows * size * size) / seconds)
      })
  }

  /// Operations of large matrix products in a second, two for each multiplication, by the layers that training uses: 2,048
  /// rows and a weight of 2,048 × 2,048. It takes a few tenths of a second.
  ///
  /// - Parameters:
  ///   - bfloat16: whether they are computed in bfloat16.
  ///   - device: where.
  ///   - runs: of which the fastest counts.
  public static func trainingRate(bfloat16: Bool, device: Device = .cpu, runs: Int = 3) -> Double {
    // What a call costs besides does not count then.
    let size = device == .cpu ? 2048 : 8192
    let type: DType = bfloat16 ? .bfloat16 : .float32
    let x = Tensor.uniform([size, size], in: -1..<1, seed: 1).to(device).to(type)
    let weight = Tensor.uniform([size, size], in: -1..<1, seed: 2).to(device).to(type)
    let seconds = withoutGradients {
      fastest(of: runs) {
        _ = x.linear(weight)
        device.synchronize()
      }
    }
    return 2 * Double(size * size * size) / seconds
  }

  /// How many rows a call computes in the time in which it reads the weights: F / B · b / 2 with F operations and B bytes
  /// a second and b bytes of a weight.
  public func freeRows(_ precision: Precision) -> Double {
    operationsPerSecond[precision.rawValue]! / bytesPerSecond * Double(precision.dtype.byteCount) / 2
  }
}

/// Reads a large array now and then, beside other measurements, so that both meet the same conditions: on a machine that is
/// shared, memory is slower at some times than at others.
struct ReadProbe {
  private let array: Tensor
  private var seconds: [Double] = []

  /// 256 MB on the CPU; 2 GB on a device whose memory is that much faster.
  init(_ device: Device = .cpu) { array = .full([device == .cpu ? 64 << 20 : 512 << 20], 1, device: device) }

  /// Reads it once.
  mutating func measure() {
    seconds.append(
      fastest(of: 1) {
        if array.device == .cpu { array.readAll() } else { _ = array.sum().item }
      })
  }

  /// In the median.
  var bytesPerSecond: Double { 4 * Double(array.count) / seconds.sorted()[seconds.count / 2] }
}

/// The seconds of the fastest of several runs, after one that warms up.
private func fastest(of runs: Int, _ body: () -> Void) -> Double {
  body()
  return (0..<runs).map { _ in
    let elapsed = ContinuousClock().measure(body)
    return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
  }.min()!
}
