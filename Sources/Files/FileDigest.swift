import Crypto
import Foundation

/// Checksums of files, in hexadecimal.
public enum FileDigest {
  /// SHA-256, as `sha256sum` prints it.
  public static func sha256(of path: String) throws -> String { try digest(of: path, SHA256()) }

  /// The name under which git keeps a file's contents: SHA-1 of a small header and the contents.
  public static func gitBlob(of path: String) throws -> String {
    var hash = Insecure.SHA1()
    hash.update(data: Data("blob \(try size(of: path))\0".utf8))
    return try digest(of: path, hash)
  }

  public static func sha256(of data: Data) -> String { hexadecimal(SHA256.hash(data: data)) }

  /// Bytes of a file.
  public static func size(of path: String) throws -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError.system("read", path) }
    return Int(status.st_size)
  }

  private static func digest(of path: String, _ start: some HashFunction) throws -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.system("read", path) }
    defer { close(descriptor) }
    var hash = start
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = read(descriptor, buffer.baseAddress!, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError.system("read", path) }
      guard count > 0 else { return hexadecimal(hash.finalize()) }
      hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }

  private static func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
  }
}
