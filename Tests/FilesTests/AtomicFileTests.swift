import Files
import Foundation
import TestSupport
import Testing

@Suite("Atomic files")
struct AtomicFileTests {
  private struct Failure: Error, CustomStringConvertible {
    let description = "the body gave up"
  }

  @Test(arguments: [0, 1, 4096, 3_000_000])
  func aFileHoldsWhatWasWritten(byteCount: Int) throws {
    try withTemporaryFolder { folder in
      let bytes = Data((0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      try AtomicFile.write(bytes, to: "\(folder)/a")
      #expect(try MappedFile.read("\(folder)/a") == bytes)
      #expect(try contents(of: folder) == ["a"])
    }
  }

  @Test func piecesFollowEachOther() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.write(to: "\(folder)/a") { writer in
        for piece in ["one, ", "", "two"] { try writer.write(Data(piece.utf8)) }
      }
      #expect(try String(contentsOf: "\(folder)/a") == "one, two")
    }
  }

  @Test func aNewFileReplacesTheEarlierOne() throws {
    try withTemporaryFolder { folder in
      for text in ["a longer first text", "second"] { try AtomicFile.write(Data(text.utf8), to: "\(folder)/a") }
      #expect(try String(contentsOf: "\(folder)/a") == "second")
      #expect(try contents(of: folder) == ["a"])
    }
  }

  @Test func anEarlierFileIsUntouchedUntilTheBodyIsDone() throws {
    try withTemporaryFolder { folder in
      try "before".write(to: "\(folder)/a")
      try AtomicFile.write(to: "\(folder)/a") { writer in
        try writer.write(Data("after".utf8))
        #expect(try String(contentsOf: "\(folder)/a") == "before")
      }
      #expect(try String(contentsOf: "\(folder)/a") == "after")
    }
  }

  @Test(arguments: [true, false])
  func aBodyThatFailsLeavesNothingBehind(hasEarlierFile: Bool) throws {
    try withTemporaryFolder { folder in
      if hasEarlierFile { try "before".write(to: "\(folder)/a") }
      let text = message {
        try AtomicFile.write(to: "\(folder)/a") { writer in
          try writer.write(Data("half".utf8))
          throw Failure()
        }
      }
      #expect(text == "the body gave up")
      #expect(try contents(of: folder) == (hasEarlierFile ? ["a"] : []))
      if hasEarlierFile { #expect(try String(contentsOf: "\(folder)/a") == "before") }
    }
  }

  @Test func aFileInAMissingFolderIsRefused() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/no/a"
      #expect(message { try AtomicFile.write(Data(), to: path) } == "cannot write \(path): No such file or directory")
      #expect(
        message { try AtomicFile.link(path, to: "b") } == "cannot write \(path): No such file or directory")
    }
  }

  @Test func aFolderIsNotReplacedByAFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(message { try AtomicFile.write(Data("x".utf8), to: path) } == "cannot write \(path): Is a directory")
      #expect(try contents(of: folder) == ["a"])
    }
  }

  @Test func whatIsNoFileIsNotReplaced() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a"
      #expect(mkfifo(path, 0o600) == 0)
      #expect(
        message { try AtomicFile.write(Data("x".utf8), to: path) }
          == "cannot write \(path): it is a device or a pipe, expected a file's name")
      let left = try contents(of: folder)
      #expect(left == ["a"] && !Folder.isRegularFile(path))
    }
  }

  // MARK: Links

  @Test func aLinkCanBeTurnedToAnotherPlace() throws {
    try withTemporaryFolder { folder in
      for name in ["one", "two"] {
        try name.write(to: "\(folder)/\(name)")
        try AtomicFile.link("\(folder)/latest", to: name)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/latest") == name)
        #expect(try String(contentsOf: "\(folder)/latest") == name)
      }
      #expect(try contents(of: folder) == ["latest", "one", "two"])
      #expect(try String(contentsOf: "\(folder)/one") == "one")
    }
  }

  @Test func aFolderIsNotReplacedByALink() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/latest"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(message { try AtomicFile.link(path, to: "x") } == "cannot write \(path): Is a directory")
      #expect(try contents(of: folder) == ["latest"])
    }
  }
}

@Suite("Reading files")
struct MappedFileTests {
  /// What is forgotten is read again: the bytes stay, in whole pages and in parts of one, at any place.
  @Test func whatIsForgottenIsReadAgain() throws {
    try withTemporaryFolder { folder in
      let bytes = Data((0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      try bytes.write(to: URL(fileURLWithPath: "\(folder)/a"))
      let mapped = try MappedFile.map("\(folder)/a")
      for part in [0..<100_003, 5..<5, 17..<20_000, 4096..<8192, 99_990..<100_003] {
        mapped[part].withUnsafeBytes { MappedFile.forget($0) }
        #expect(mapped == bytes)
      }
      try Data().write(to: URL(fileURLWithPath: "\(folder)/empty"))
      #expect(try MappedFile.map("\(folder)/empty").isEmpty)
    }
  }

  @Test func whatIsNoFileIsNamed() throws {
    try withTemporaryFolder { folder in
      #expect(message { try MappedFile.read("\(folder)/a") } == "cannot read \(folder)/a: there is no such file")
      #expect(message { try MappedFile.read(folder) } == "cannot read \(folder): it is a folder")
    }
  }
}
