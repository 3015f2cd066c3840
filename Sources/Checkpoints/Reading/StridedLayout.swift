import Files
import Foundation
import Torch

/// Where the elements of a tensor lie in a file: PyTorch's view of a storage, which others may share.
struct StridedLayout {
  let dtype: DType
  let shape: [Int]
  /// How many elements apart neighbours of each dimension lie.
  let strides: [Int]
  /// The first element's byte in the file.
  let start: Int

  /// Throws what is wrong unless every element lies in the storage.
  ///
  /// - Parameters:
  ///   - storage: the storage's bytes in the file.
  ///   - offset: the first element's place in the storage, in elements.
  init(dtype: DType, shape: [Int], strides: [Int], offset: Int, storage: Range<Int>) throws {
    guard shape.count == strides.count, (shape + strides).allSatisfy({ $0 >= 0 }), offset >= 0 else {
      throw Problem("the impossible shape \(shape) with strides \(strides) at \(offset)")
    }
    // Products are formed with 0 taken as 1, as libtorch forms strides.
    let count = shape.reduce(Optional(dtype.byteCount)) { bytes, size in
      bytes.flatMap { Self.product($0, max(1, size)) }
    }
    guard count != nil else { throw Problem("the impossible shape \(shape)") }
    let capacity = storage.count / dtype.byteCount
    let isEmpty = shape.contains(0)
    var last: Int? = offset
    for (size, stride) in zip(shape, strides) where !isEmpty {
      last = Self.product(size - 1, stride).flatMap { step in last.flatMap { Self.sum($0, step) } }
    }
    guard let last, isEmpty || last < capacity else {
      throw Problem("shape \(shape) with strides \(strides) at \(offset), which reach beyond its \(capacity) elements")
    }
    // Elements that stand for several others could make a small file large.
    guard isEmpty || shape.reduce(1, *) <= capacity else {
      throw Problem("shape \(shape) with strides \(strides), more elements than the \(capacity) that are stored")
    }
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    start = isEmpty ? storage.lowerBound : storage.lowerBound + offset * dtype.byteCount
  }

  struct Problem: Error {
    let text: String
    init(_ text: String) { self.text = text }
  }

  private static func product(_ left: Int, _ right: Int) -> Int? {
    let (result, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? nil : result
  }

  private static func sum(_ left: Int, _ right: Int) -> Int? {
    let (result, overflow) = left.addingReportingOverflow(right)
    return overflow ? nil : result
  }

  /// Copies the elements, in row-major order, out of the file.
  func tensor(from file: Data) -> Tensor {
    let count = shape.reduce(1, *)
    if count == 0 || isContiguous {
      return file.bytes(start..<start + count * dtype.byteCount).withUnsafeBytes {
        Tensor(bytes: $0, shape: shape, dtype: dtype)
      }
    }
    let size = dtype.byteCount
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count * size, alignment: 64)
    defer { buffer.deallocate() }
    file.withUnsafeBytes { bytes in
      var index = [Int](repeating: 0, count: shape.count)
      var source = start
      for element in 0..<count {
        (buffer.baseAddress! + element * size).copyMemory(from: bytes.baseAddress! + source, byteCount: size)
        // Counts up the index from its last digit, and moves along.
        for dim in shape.indices.reversed() {
          index[dim] += 1
          source += strides[dim] * size
          if index[dim] < shape[dim] { break }
          source -= shape[dim] * strides[dim] * size
          index[dim] = 0
        }
      }
    }
    return Tensor(bytes: UnsafeRawBufferPointer(buffer), shape: shape, dtype: dtype)
  }

  private var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      guard stride == expected else { return false }
      expected *= size
    }
    return true
  }
}
