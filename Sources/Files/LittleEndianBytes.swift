import Foundation

/// Little-endian numbers in bytes, none of which is looked for outside them.
public struct LittleEndianBytes {
  private let bytes: UnsafeRawBufferPointer

  /// Bytes that must outlive it.
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// How many bytes there are.
  public var count: Int { bytes.count }

  /// One byte.
  public subscript(index: Int) -> UInt8 { bytes[index] }

  /// The bytes of a range, nil if it does not lie within.
  public func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer? {
    guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  /// The number at an offset, nil if it does not lie within.
  public func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self, at offset: Int) -> Number? {
    guard offset >= 0, offset <= bytes.count - MemoryLayout<Number>.size else { return nil }
    return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
  }
}

extension Data {
  /// The bytes of a range counted from the first, which need not have the index 0.
  public func bytes(_ range: Range<Int>) -> Data {
    self[(startIndex + range.lowerBound)..<(startIndex + range.upperBound)]
  }
}
