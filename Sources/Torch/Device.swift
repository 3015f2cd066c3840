import CTorch

/// Where a tensor lives.
public enum Device: String, CaseIterable, Sendable, Codable {
  /// The processor.
  case cpu
  /// An NVIDIA GPU.
  case cuda
  /// A GPU of Apple's.
  case mps

  /// Whether the libtorch at hand and this machine have the device.
  public var isAvailable: Bool { ct_device_available(code) }

  var code: CTDevice {
    switch self {
    case .cpu: CTCPU
    case .cuda: CTCUDA
    case .mps: CTMPS
    }
  }

  init(code: CTDevice) {
    self = code == CTCUDA ? .cuda : code == CTMPS ? .mps : .cpu
  }

  /// Waits until everything asked of the device is done, which a clock needs.
  public func synchronize() { must(ct_synchronize(code)) }

  /// Makes ``cuda`` another GPU of the machine than the first, for all that is made there from now on.
  ///
  /// - Parameter number: from 0. Where there is only one, that is chosen.
  /// - Throws: ``TorchError`` if it is not there.
  public static func chooseGPU(_ number: Int) throws { try check(ct_choose_gpu(Int32(clamping: number))) }

  /// Throws unless the device can be used.
  public func requireAvailable() throws {
    guard !isAvailable else { return }
    let usable = Device.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
    throw TorchError(
      "device '\(rawValue)' is not available with libtorch \(Torch.version) on this machine (available: \(usable))")
  }
}

/// The type of a tensor's elements.
public enum DType: String, CaseIterable, Sendable {
  /// 32-bit floating point.
  case float32 = "F32"
  /// 64-bit floating point.
  case float64 = "F64"
  /// 16-bit floating point with 5 bits of exponent.
  case float16 = "F16"
  /// 16-bit floating point with 8 bits of exponent.
  case bfloat16 = "BF16"
  /// 64-bit integers.
  case int64 = "I64"
  /// 32-bit integers.
  case int32 = "I32"
  /// 8-bit integers with a sign.
  case int8 = "I8"
  /// Bytes.
  case uint8 = "U8"
  /// True or false, a byte each.
  case bool = "BOOL"

  private static let codes: [(DType, CTDType)] = [
    (.float32, CTFloat32), (.float64, CTFloat64), (.float16, CTFloat16), (.bfloat16, CTBFloat16),
    (.int64, CTInt64), (.int32, CTInt32), (.int8, CTInt8), (.uint8, CTUInt8), (.bool, CTBool),
  ]

  var code: CTDType { Self.codes.first { $0.0 == self }!.1 }

  init(code: CTDType) { self = Self.codes.first { $0.1 == code }!.0 }

  /// Whether its numbers have fractions.
  public var isFloatingPoint: Bool { [.float32, .float64, .float16, .bfloat16].contains(self) }

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .int8, .uint8, .bool: 1
    }
  }
}

/// A Swift type that tensors can be made of and read into.
public protocol TensorScalar: Sendable {
  /// The type of elements that holds it.
  static var dtype: DType { get }
}

/// `float32`.
extension Float: TensorScalar { public static var dtype: DType { .float32 } }
/// `float64`.
extension Double: TensorScalar { public static var dtype: DType { .float64 } }
/// `int64`.
extension Int64: TensorScalar { public static var dtype: DType { .int64 } }
/// `int32`.
extension Int32: TensorScalar { public static var dtype: DType { .int32 } }
/// `int8`.
extension Int8: TensorScalar { public static var dtype: DType { .int8 } }
/// `uint8`.
extension UInt8: TensorScalar { public static var dtype: DType { .uint8 } }
/// `bool`.
extension Bool: TensorScalar { public static var dtype: DType { .bool } }

/// libtorch as a whole.
public enum Torch {
  /// The version of the headers that this program was compiled against.
  public static var version: String { String(cString: ct_version()) }

  /// How many threads an operation on the CPU may use.
  public static var threadCount: Int {
    get { Int(ct_num_threads()) }
    set { must(ct_set_num_threads(Int32(clamping: newValue))) }
  }

  /// Whether ``parallelMap(_:_:)`` has the threads that operations use: it does where libtorch has GCC's OpenMP, as on
  /// Linux.
  public static var sharesThreads: Bool { ct_shares_threads() }

  /// Runs synchronous code with at most `count` threads an operation.
  public static func withThreads<Result>(atMost count: Int, _ body: () throws -> Result) rethrows -> Result {
    let before = threadCount
    guard before > count else { return try body() }
    threadCount = count
    defer { threadCount = before }
    return try body()
  }

  /// Keeps the memory of large CPU tensors that are gone for the next ones, for the rest of the program: they come and go
  /// at each step of a training, and the system clears every page that it hands out anew. What is used and kept is at most
  /// a tenth more than was ever used at a time. Linux only.
  ///
  /// Of products that libtorch and oneDNN keep kernels for, it keeps those of the last 64 shapes, not of the last 1,024: call
  /// it before the first product.
  public static func keepMemory() { ct_keep_memory() }

  /// Bytes of large CPU tensors since ``keepMemory()``: in use, kept for the next ones, and the most that was in use at a
  /// time.
  public static var keptMemory: (used: Int, kept: Int, mostUsed: Int) {
    var (used, kept, most): (Int64, Int64, Int64) = (0, 0, 0)
    ct_kept_memory(&used, &kept, &most)
    return (Int(used), Int(kept), Int(most))
  }

  /// The results of a function at 0 ..< `count`, computed on the threads that operations use; on the calling one alone
  /// where ``sharesThreads`` is false.
  ///
  /// - Parameters:
  ///   - count: how many results there are.
  ///   - body: called on several threads at a time.
  public static func parallelMap<Result>(_ count: Int, _ body: (Int) -> Result) -> [Result] {
    Array(unsafeUninitializedCapacity: count) { results, initializedCount in
      let start = results.baseAddress
      withoutActuallyEscaping({ index in (start! + index).initialize(to: body(index)) }) { store in
        withUnsafePointer(to: store as (Int) -> Void) { context in
          ct_parallel_for(
            Int64(count),
            { index, context in context!.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(index)) },
            UnsafeMutableRawPointer(mutating: context))
        }
      }
      initializedCount = count
    }
  }

  /// Ends the program in its own way, given libtorch's message, where memory runs out in an operation that cannot throw;
  /// otherwise such an operation traps.
  public static func onMemoryExhaustion(_ handler: @escaping @Sendable (_ message: String) -> Never) {
    MemoryExhaustion.handler = handler
  }

  /// Starts the generators that only dropout uses at a seed: the calling thread's on the CPU, the device's elsewhere.
  public static func seed(_ seed: UInt64) { must(ct_manual_seed(seed)) }
}
