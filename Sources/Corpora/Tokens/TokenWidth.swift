/// How many bytes a token takes in a file: as few as hold every id of the vocabulary.
enum TokenWidth: Int {
  case one = 1
  case two = 2
  case four = 4

  init(vocabularySize: Int) { self = vocabularySize <= 1 << 8 ? .one : vocabularySize <= 1 << 16 ? .two : .four }

  /// The bytes of tokens, each little-endian.
  func pack(_ tokens: [Int32]) -> [UInt8] {
    func bytes(_ numbers: [some FixedWidthInteger]) -> [UInt8] { numbers.withUnsafeBytes(Array.init) }
    return switch self {
    case .one: tokens.map { UInt8(truncatingIfNeeded: $0) }
    case .two: bytes(tokens.map { UInt16(truncatingIfNeeded: $0).littleEndian })
    case .four: bytes(tokens.map(\.littleEndian))
    }
  }

  /// The tokens in bytes, which begin where a number of this width may.
  func unpack(_ bytes: UnsafeRawBufferPointer) -> [Int32] {
    switch self {
    case .one: bytes.map { Int32($0) }
    case .two: bytes.bindMemory(to: UInt16.self).map { Int32(UInt16(littleEndian: $0)) }
    case .four: bytes.bindMemory(to: Int32.self).map(Int32.init(littleEndian:))
    }
  }

  /// The largest of the tokens in bytes; what is negative counts as larger than all others.
  func largest(in bytes: UnsafeRawBufferPointer) -> UInt32 {
    switch self {
    case .one: UInt32(bytes.reduce(0, max))
    case .two: UInt32(bytes.bindMemory(to: UInt16.self).reduce(0) { max($0, UInt16(littleEndian: $1)) })
    case .four: bytes.bindMemory(to: UInt32.self).reduce(0) { max($0, UInt32(littleEndian: $1)) }
    }
  }
}
