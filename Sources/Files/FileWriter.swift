import Foundation

/// Standard output has no reader any more, as that of `… | head -1`, who has seen enough.
public struct ClosedOutput: Error, CustomStringConvertible {
  public let description = "the output has no reader any more"
}

/// Writes bytes one after another, to a file that is being made, to the end of one, or to standard output.
public struct FileWriter: Sendable {
  let descriptor: Int32
  let path: String

  /// Standard output, unbuffered: what cannot be written is an error at once, not lost.
  public static let standardOutput = FileWriter(descriptor: STDOUT_FILENO, path: "the output")

  /// Standard error.
  public static let standardError = FileWriter(descriptor: STDERR_FILENO, path: "messages")

  /// Appends to a file, which is made if it is missing.
  public static func append(_ data: Data, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError.system("write", path) }
    defer { close(descriptor) }
    try FileWriter(descriptor: descriptor, path: path).write(data)
  }

  /// Writes all of the bytes.
  ///
  /// - Throws: ``ClosedOutput`` if nobody reads standard output any more, `FileError` if they cannot be written otherwise.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = UnsafeRawBufferPointer(rebasing: rest).withMemoryRebound(to: UInt8.self) {
        Foundation.write(descriptor, $0.baseAddress!, min($0.count, 1 << 30))
      }
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else {
        if errno == EPIPE, descriptor == STDOUT_FILENO { throw ClosedOutput() }
        throw FileError.system("write", path)
      }
      rest = rest.dropFirst(written)
    }
  }

  /// Writes over what is already written at an offset. What comes after goes on where it was.
  public func overwrite(_ data: Data, at offset: Int) throws {
    let written = data.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
    guard written == data.count else { throw FileError.system("write", path) }
  }

  /// Writes all of the bytes.
  ///
  /// - Throws: ``ClosedOutput`` if nobody reads standard output any more, `FileError` if they cannot be written otherwise.
  public func write(_ data: Data) throws {
    try data.withUnsafeBytes { try write($0) }
  }
}
