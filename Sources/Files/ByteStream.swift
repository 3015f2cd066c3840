import CZlib
import Foundation

/// The bytes of a file or of standard input, decompressed if they are gzip's.
public final class ByteStream {
  /// The name for standard input.
  public static let standardInput = "-"

  /// What messages call it: the file's path, or standard input.
  public let path: String

  /// How many bytes of the file itself were read.
  public private(set) var byteCount = 0

  private let descriptor: Int32
  private var inflater: Inflater?
  private var input: [UInt8] = []
  private var inputStart = 0
  private var isAtEnd = false
  private var hasBegun = false

  private static let inputSize = 1 << 18

  /// Opens a file, or ``standardInput``.
  ///
  /// - Throws: `FileError` if it cannot be read.
  public init(_ path: String) throws {
    self.path = path == Self.standardInput ? "standard input" : path
    if path == Self.standardInput {
      descriptor = STDIN_FILENO
    } else {
      guard !Folder.exists(path) else { throw FileError("cannot read \(path): it is a folder") }
      descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw FileError.reading(path) }
    }
  }

  deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

  /// Appends up to about `count` bytes to `buffer`. It appends none only at the end.
  public func read(_ count: Int, into buffer: inout [UInt8]) throws {
    if !hasBegun {
      hasBegun = true
      while input.count < 2, try fill() {}
      if input.starts(with: [0x1F, 0x8B]) { inflater = try Inflater() }
    }
    let target = buffer.count + count
    while buffer.count < target {
      if inputStart == input.count, try !fill() {
        guard inflater?.isInside != true else { throw FileError("\(path): the compressed data end too early") }
        return
      }
      if let inflater {
        let used = try input[inputStart...].withUnsafeBufferPointer { input in
          do {
            return try inflater.inflate(input, into: &buffer)
          } catch {
            throw FileError("\(path): \(error)")
          }
        }
        inputStart += used
      } else {
        buffer.append(contentsOf: input[inputStart...])
        inputStart = input.count
      }
    }
  }

  /// All bytes of a file.
  public static func contents(of path: String) throws -> [UInt8] {
    let stream = try ByteStream(path)
    var bytes: [UInt8] = []
    var count = -1
    while count < bytes.count {
      count = bytes.count
      try stream.read(1 << 20, into: &bytes)
    }
    return bytes
  }

  /// Reads more input; false at the end.
  private func fill() throws -> Bool {
    guard !isAtEnd else { return false }
    if inputStart == input.count {
      input.removeAll(keepingCapacity: true)
      inputStart = 0
    }
    var block = [UInt8](repeating: 0, count: Self.inputSize)
    var count = 0
    repeat {
      count = block.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress!, $0.count) }
    } while count < 0 && errno == EINTR
    guard count >= 0 else { throw FileError.reading(path) }
    isAtEnd = count == 0
    byteCount += count
    input.append(contentsOf: block[..<count])
    return count > 0
  }
}

extension Collection<UInt8> {
  /// How many bytes UTF-8's byte order mark takes, with which some programs begin a file.
  public var byteOrderMarkCount: Int { starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0 }

  /// What ends a file's lines, told by its beginning: a line feed, or a carriage return where there is nothing else.
  public var lineEnd: UInt8 {
    contains(UInt8(ascii: "\n")) || !contains(UInt8(ascii: "\r")) ? UInt8(ascii: "\n") : UInt8(ascii: "\r")
  }
}

extension FileError {
  /// The system's reason why a file could not be read.
  fileprivate static func reading(_ path: String) -> FileError {
    errno == ENOENT
      ? FileError("cannot read \(path): there is no such file")
      : FileError("cannot read \(path): \(String(cString: strerror(errno)))")
  }
}

/// Decompresses gzip data: one or several members, one after another.
private final class Inflater {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  // zlib keeps a pointer to it, so it must stay in its place.
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

  /// Whether a member has begun and not ended.
  private(set) var isInside = true

  private static let outputSize = 1 << 18
  private var output = [UInt8](repeating: 0, count: outputSize)

  init() throws {
    stream.initialize(to: z_stream())
    // 16 more than the largest window: gzip's header and checksum are expected.
    guard inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw Failure(description: "cannot start to decompress")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Decompresses a part of `input` and says how much.
  func inflate(_ input: UnsafeBufferPointer<UInt8>, into buffer: inout [UInt8]) throws -> Int {
    if !isInside {
      // Some tools fill up with zeros behind the last member.
      let zeros = input.prefix { $0 == 0 }.count
      guard zeros == 0 else { return zeros }
      inflateReset(stream)
      isInside = true
    }
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress!)
    stream.pointee.avail_in = UInt32(input.count)
    let (status, count) = output.withUnsafeMutableBufferPointer { output in
      stream.pointee.next_out = output.baseAddress!
      stream.pointee.avail_out = UInt32(output.count)
      let status = CZlib.inflate(stream, Z_NO_FLUSH)
      return (status, output.count - Int(stream.pointee.avail_out))
    }
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
      let reason = stream.pointee.msg.map { String(cString: $0) } ?? "error \(status)"
      throw Failure(description: "no valid gzip data: \(reason)")
    }
    if status == Z_STREAM_END { isInside = false }
    buffer.append(contentsOf: output[..<count])
    return input.count - Int(stream.pointee.avail_in)
  }
}
