import Files
import Foundation
import TestSupport
import Testing

@Suite("What a file is")
struct FileKindTests {
  @Test(
    arguments: [
      (FileKind.gzip, [0x1F, 0x8B, 8]), (.bzip2, Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
      (.xz, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]), (.zstandard, [0x28, 0xB5, 0x2F, 0xFD]), (.zip, [0x50, 0x4B, 3, 4]),
      (.parquet, Array("PAR1".utf8)), (.numpy, [0x93] + Array("NUMPY".utf8)), (.pickle, [0x80, 2, 0x7D, 0x71]),
      (.tar, Array(repeating: 0x61, count: 257) + Array("ustar".utf8)),
      (.safetensors, [0x40, 0, 0, 0, 0, 0, 0, 0] + Array("{\"".utf8)),
      (.gitLFSPointer, Array("version https://git-lfs.github.com/spec/v1\noid sha256:00".utf8)),
      (.html, Array("\n <!DOCTYPE html><html>".utf8)), (.html, Array("<HTML>".utf8)),
      (.utf16, [0xFF, 0xFE, 0x61, 0]), (.utf16, [0xFE, 0xFF, 0, 0x61]), (.utf32, [0xFF, 0xFE, 0, 0]),
    ] as [(FileKind, [UInt8])])
  func isToldByItsBeginning(kind: FileKind, bytes: [UInt8]) {
    #expect(FileKind(beginning: bytes + Array(repeating: 0x20, count: 300)) == kind)
    #expect(!kind.name.isEmpty)
  }

  @Test(arguments: ["", "BZhang told a story", "version 2", "PK", "%PD", "{\"text\": 1}", "\u{FEFF}a text", "é"])
  func textIsNotTakenForAnythingElse(text: String) {
    #expect(FileKind(beginning: Array(text.utf8)) == nil)
  }

  @Test func filesAreToldAndWhatIsNoneIsNot() throws {
    try withTemporaryFolder { folder in
      try "PAR1".write(to: "\(folder)/file")
      #expect(FileKind(ofFile: "\(folder)/file") == .parquet)
      #expect(FileKind(ofFile: folder) == nil)
      #expect(FileKind(ofFile: "\(folder)/none") == nil)
    }
  }
}

@Suite("Errors about files")
struct FileErrorTests {
  @Test func areOneLineWhateverTheyQuote() {
    #expect(
      "\(FileError("a.csv: no column 'text'; expected one of a\nb\t\u{1B}[31mc"))".split(separator: "\n").count == 1)
    #expect("\(FileError("a.csv: \r\n\u{0}é🙂"))" == "a.csv:    é🙂")
  }
}
