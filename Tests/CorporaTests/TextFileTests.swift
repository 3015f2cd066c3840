import Corpora
import Foundation
import Testing

@Suite("Text files")
struct TextFileTests {
  private func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).txt").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  @Test(arguments: ["a", "line\r\nline\n", "日本語\0😀", "\u{FFFD}"])
  func textIsReadAsItIs(text: String) throws {
    try withFile(Array(text.utf8)) { path in
      let found = try TextFile.read(path)
      #expect(found.unicodeScalars.elementsEqual(text.unicodeScalars))
    }
    try withFile([0xEF, 0xBB, 0xBF] + Array(text.utf8)) { path in
      let found = try TextFile.read(path)
      #expect(found.unicodeScalars.elementsEqual(text.unicodeScalars))
    }
  }

  @Test(
    arguments: [
      ([0xFF], "byte 0 is 0xFF; expected UTF-8 text"),
      ([97, 10, 0xC3], "byte 2 is 0xC3; expected UTF-8 text"),
      ([0xC3, 0xA9, 0x80], "byte 2 is 0x80; expected UTF-8 text"),
      ([0xEF, 0xBF, 97], "byte 0 is 0xEF; expected UTF-8 text"),
      ([97, 0xF0, 0x9F, 0x98], "byte 1 is 0xF0; expected UTF-8 text"),
      ([97, 0xED, 0xA0, 0x80], "byte 1 is 0xED; expected UTF-8 text"),
      ([0x00, 0x06, 0xC0, 0x80], "byte 2 is 0xC0; expected UTF-8 text"),
    ] as [([UInt8], String)])
  func notUTF8(bytes: [UInt8], message: String) throws {
    try withFile(bytes) { path in
      let error = try #require(throws: TextFileError.self) { try TextFile.read(path) }
      #expect(error.description == "\(path): \(message)")
    }
  }

  @Test func emptyFile() throws {
    try withFile([]) { path in
      let error = try #require(throws: TextFileError.self) { try TextFile.read(path) }
      #expect(error.description == "\(path): is empty; expected text")
    }
  }

  @Test func missingFile() throws {
    let error = try #require(throws: TextFileError.self) { try TextFile.read("no/such/file.txt") }
    #expect(error.description == "no/such/file.txt: no such file")
  }

  @Test func folder() throws {
    let path = FileManager.default.temporaryDirectory.path
    let error = try #require(throws: TextFileError.self) { try TextFile.read(path) }
    #expect(error.description == "\(path): is a folder; expected a text file")
  }

  @Test func unreadableFile() throws {
    // A name that is too long: permissions would not stop a test that runs as root.
    let path = "/" + String(repeating: "x", count: 300)
    let error = try #require(throws: TextFileError.self) { try TextFile.read(path) }
    #expect(error.description == "\(path): cannot be read: File name too long")
  }
}
