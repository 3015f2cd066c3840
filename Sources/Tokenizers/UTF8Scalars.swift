/// The Unicode scalars of bytes. What is not UTF-8 reads as U+FFFD, once for each maximal part of a broken scalar, as
/// Swift's strings have it.
public struct UTF8Scalars: Sequence, IteratorProtocol {
  private let bytes: UnsafeBufferPointer<UInt8>
  /// The offset of the next byte.
  public private(set) var position = 0

  /// The scalars of bytes that stay where they are.
  public init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  public mutating func next() -> Unicode.Scalar? {
    guard position < bytes.count else { return nil }
    let (scalar, end) = Self.scalar(at: position, in: bytes)
    position = end
    return scalar ?? "\u{FFFD}"
  }

  /// The last place, but the start, at which a scalar may begin; nil if there is none.
  static func lastBoundary(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    bytes.lastIndex { $0 & 0xC0 != 0x80 }.flatMap { $0 > 0 ? $0 : nil }
  }

  /// The scalar that begins at a place and the place after it. It is nil, and the place that after the broken bytes,
  /// where they are not UTF-8.
  @inline(__always)
  public static func scalar(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> (scalar: Unicode.Scalar?, end: Int)
  {
    let first = bytes[start]
    if first < 0x80 { return (Unicode.Scalar(first), start + 1) }
    // The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
    let (length, second): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0xC2...0xDF: (2, 0x80...0xBF)
      case 0xE0: (3, 0xA0...0xBF)
      case 0xED: (3, 0x80...0x9F)
      case 0xE1...0xEF: (3, 0x80...0xBF)
      case 0xF0: (4, 0x90...0xBF)
      case 0xF1...0xF3: (4, 0x80...0xBF)
      case 0xF4: (4, 0x80...0x8F)
      default: (1, 0x80...0xBF)
      }
    var value = UInt32(first) & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07)
    for offset in 1..<Swift.max(length, 2) {
      let place = start + offset
      guard length > 1, place < bytes.count, (offset == 1 ? second : 0x80...0xBF).contains(bytes[place]) else {
        return (nil, place)
      }
      value = value << 6 | UInt32(bytes[place] & 0x3F)
    }
    return (Unicode.Scalar(value), start + length)
  }
}
