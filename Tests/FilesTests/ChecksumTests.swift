import Files
import Foundation
import TestSupport
import Testing

/// Values of FIPS 180-4's examples, and of `git hash-object`.
@Suite("Checksums")
struct ChecksumTests {
  @Test func areThoseOfTheStandards() throws {
    #expect(
      FileDigest.sha256(of: Data("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      FileDigest.sha256(of: Data()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let sha1 = Checksum(.sha1)
    sha1.update(Data("a".utf8))
    sha1.update(Data())
    sha1.update(Data("bc".utf8))
    #expect(sha1.finish() == "a9993e364706816aba3e25717850c26c9cd0d89d")
    try withTemporaryFolder { folder in
      try "abc".write(to: "\(folder)/file")
      #expect(try FileDigest.sha256(of: "\(folder)/file") == FileDigest.sha256(of: Data("abc".utf8)))
      #expect(try FileDigest.gitBlob(of: "\(folder)/file") == "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f")
    }
  }
}
