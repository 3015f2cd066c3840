import Foundation

/// Checksums of files, in hexadecimal.
public enum FileDigest {
  /// SHA-256, as `sha256sum` prints it.
  public static func sha256(of path: String) throws -> String { try digest(of: path, Checksum()) }

  /// The name under which git keeps a file's contents: SHA-1 of a small header and the contents.
  public static func gitBlob(of path: String) throws -> String {
    let checksum = Checksum(.sha1)
    checksum.update(Data("blob \(try size(of: path))\0".utf8))
    return try digest(of: path, checksum)
  }

  /// SHA-256 of bytes, in hexadecimal.
  public static func sha256(of data: Data) -> String {
    let checksum = Checksum()
    checksum.update(data)
    return checksum.finish()
  }

  /// Bytes of a file.
  public static func size(of path: String) throws -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError.system("read", path) }
    return Int(status.st_size)
  }

  private static func digest(of path: String, _ checksum: Checksum) throws -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.system("read", path) }
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = read(descriptor, buffer.baseAddress!, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError.system("read", path) }
      guard count > 0 else { return checksum.finish() }
      checksum.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }
}
