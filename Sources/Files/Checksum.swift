import Faults
import Foundation

#if canImport(CryptoKit)
  import CryptoKit
#else
  import CLibcrypto
#endif

/// A checksum of bytes that come piece by piece, computed by the system's library.
public final class Checksum {
  /// How it is computed.
  public enum Algorithm: Sendable {
    /// SHA-256 (FIPS 180-4).
    case sha256
    /// Git's names of objects are made with it. It protects from accidents, not from intent.
    case sha1
  }

  #if canImport(CryptoKit)
    private var hash: any HashFunction
  #else
    private let context = EVP_MD_CTX_new()
  #endif

  /// The checksum of nothing yet.
  public init(_ algorithm: Algorithm = .sha256) {
    #if canImport(CryptoKit)
      hash =
        switch algorithm {
        case .sha256: SHA256()
        case .sha1: Insecure.SHA1()
        }
    #else
      let function =
        switch algorithm {
        case .sha256: EVP_sha256()
        case .sha1: EVP_sha1()
        }
      guard EVP_DigestInit_ex(context, function, nil) == 1 else { fatalError("libcrypto has no \(algorithm)") }
    #endif
  }

  #if !canImport(CryptoKit)
    deinit { EVP_MD_CTX_free(context) }
  #endif

  /// Takes in more bytes.
  public func update(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    #if canImport(CryptoKit)
      hash.update(bufferPointer: bytes)
    #else
      trap(unless: EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "libcrypto cannot go on")
    #endif
  }

  /// Takes in more bytes.
  public func update(_ data: Data) { data.withUnsafeBytes(update) }

  /// The checksum in hexadecimal. Nothing can be added afterwards.
  public func finish() -> String {
    #if canImport(CryptoKit)
      let bytes = Array(hash.finalize())
    #else
      var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
      var count: UInt32 = 0
      trap(unless: EVP_DigestFinal_ex(context, &bytes, &count) == 1, "libcrypto cannot finish")
      bytes.removeSubrange(Int(count)...)
    #endif
    return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
