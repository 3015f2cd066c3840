import CTorch
import Faults

/// An n-dimensional array of libtorch.
///
/// A `Tensor` owns one reference to libtorch's tensor; slices and reshapes share memory as they do there. Operations
/// whose shapes do not fit are programming errors and stop the program with libtorch's message; what depends on a
/// user's input is checked before it gets here.
///
/// Not `Sendable`: a tensor belongs to the code that made it, and libtorch's switches (`withoutGradients`) are per thread.
public final class Tensor {
  let handle: OpaquePointer

  init(owning handle: OpaquePointer) { self.handle = handle }

  deinit { ct_free(handle) }

  // MARK: Making

  /// A CPU tensor with the given elements in row-major order.
  public convenience init<Scalar: TensorScalar>(_ elements: [Scalar], shape: [Int]) {
    trap(unless: elements.count == shape.reduce(1, *), "\(elements.count) elements do not fill shape \(shape)")
    self.init(owning: elements.withUnsafeBytes { Self.copying($0, shape: shape, dtype: Scalar.dtype) })
  }

  /// A one-dimensional CPU tensor.
  public convenience init<Scalar: TensorScalar>(_ elements: [Scalar]) {
    self.init(elements, shape: [elements.count])
  }

  /// A CPU tensor copied from bytes in row-major order, which must be exactly as many as shape and type need.
  public convenience init(bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) {
    trap(unless: bytes.count == shape.reduce(dtype.byteCount, *), "\(bytes.count) bytes do not fill shape \(shape)")
    self.init(owning: Self.copying(bytes, shape: shape, dtype: dtype))
  }

  /// A CPU tensor whose elements stay where they are, in memory that `owner` keeps. They must not be changed.
  convenience init(borrowing bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType, owner: AnyObject) {
    var out: OpaquePointer?
    must(
      ct_borrow_bytes(
        UnsafeMutableRawPointer(mutating: bytes.baseAddress!), shape.map(Int64.init), Int64(shape.count), dtype.code,
        { Unmanaged<AnyObject>.fromOpaque($0!).release() }, Unmanaged.passRetained(owner).toOpaque(), &out))
    self.init(owning: out!)
  }

  private static func copying(_ bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) -> OpaquePointer {
    var out: OpaquePointer?
    withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { empty in
      // An empty buffer has no address, which C's memcpy must not be given.
      must(
        ct_from_bytes(
          bytes.baseAddress ?? UnsafeRawPointer(empty.baseAddress!), shape.map(Int64.init), Int64(shape.count),
          dtype.code, &out))
    }
    return out!
  }

  /// A tensor with the same value everywhere.
  public static func full(
    _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    var out: OpaquePointer?
    must(ct_full(shape.map(Int64.init), Int64(shape.count), value, dtype.code, device.code, &out))
    return Tensor(owning: out!)
  }

  /// A tensor of zeros.
  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 0, dtype: dtype, device: device)
  }

  /// A float32 CPU tensor of uniform numbers in `range`, the same for the same seed.
  public static func uniform(_ shape: [Int], in range: Range<Double>, seed: UInt64) -> Tensor {
    var out: OpaquePointer?
    must(ct_uniform(shape.map(Int64.init), Int64(shape.count), range.lowerBound, range.upperBound, seed, &out))
    return Tensor(owning: out!)
  }

  // MARK: Looking

  /// The number of dimensions.
  public var rank: Int { withExtendedLifetime(self) { Int(ct_rank(handle)) } }

  /// The size of each dimension.
  public var shape: [Int] {
    withExtendedLifetime(self) { (0..<ct_rank(handle)).map { size(Int($0)) } }
  }

  /// The length of one dimension; −1 is the last.
  public func size(_ dim: Int) -> Int {
    withExtendedLifetime(self) {
      var size: Int64 = 0
      must(ct_size(handle, Int64(dim), &size))
      return Int(size)
    }
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// The type of its elements.
  public var dtype: DType { withExtendedLifetime(self) { DType(code: ct_dtype(handle)) } }

  /// Where it is.
  public var device: Device { withExtendedLifetime(self) { Device(code: ct_device(handle)) } }

  /// The elements in row-major order, copied to the CPU and converted where the type differs.
  public func array<Scalar: TensorScalar>(of type: Scalar.Type = Scalar.self) -> [Scalar] {
    let source = dtype == Scalar.dtype ? self : to(Scalar.dtype)
    let count = source.count
    return [Scalar](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0 { source.copyBytes(to: UnsafeMutableRawBufferPointer(buffer)) }
      initialized = count
    }
  }

  /// Copies the elements in row-major order, as they are stored, into a buffer of exactly their size.
  public func copyBytes(to buffer: UnsafeMutableRawBufferPointer) {
    withExtendedLifetime(self) { must(ct_copy_bytes(handle, buffer.baseAddress, Int64(buffer.count))) }
  }

  /// Calls `body` with the elements of a contiguous CPU tensor where they lie. They may be changed.
  public func withUnsafeElements<Scalar: TensorScalar, Result>(
    of type: Scalar.Type, _ body: (UnsafeMutableBufferPointer<Scalar>) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) {
      trap(unless: dtype == Scalar.dtype, "the tensor holds \(dtype.rawValue), not \(Scalar.dtype.rawValue)")
      var address: UnsafeMutableRawPointer?
      must(ct_data(handle, &address))
      guard let address else {
        fatalError("only a contiguous CPU tensor's elements can be reached in place")
      }
      let elements = address.bindMemory(to: Scalar.self, capacity: count)
      return try body(UnsafeMutableBufferPointer(start: elements, count: count))
    }
  }

  /// The only element.
  public var item: Double {
    trap(unless: count == 1, "a tensor of shape \(shape) is no single number")
    return array(of: Double.self)[0]
  }

  // MARK: Converting

  /// The same numbers as elements of another type; itself where it has that.
  public func to(_ dtype: DType) -> Tensor { produce(self) { ct_to_dtype($0, dtype.code, $1) } }

  /// The same on another device; itself where it is there.
  public func to(_ device: Device) -> Tensor { produce(self) { ct_to_device($0, device.code, $1) } }
}
