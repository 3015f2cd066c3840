import Files
import Foundation
import TestSupport
import Testing

@Suite("What killed processes left")
struct TemporaryTests {
  /// The name of a temporary beside `a`, as the process with this number would call it.
  private func name(_ process: Int32) -> String { ".a.esolm-\(process)-0.tmp" }

  @Test func whatNobodyHoldsGoesWithTheNextWrite() throws {
    try withTemporaryFolder { folder in
      try "half".write(to: "\(folder)/\(name(1))")
      try "a folder's".write(to: "\(folder)/x")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name(2))", withIntermediateDirectories: false)
      try "half".write(to: "\(folder)/\(name(2))/model")
      // No process has this number.
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(name(Int32.max))", withDestinationPath: "x")
      try AtomicFile.write(Data("whole".utf8), to: "\(folder)/b")
      #expect(try contents(of: folder) == ["b", "x"])
    }
  }

  @Test func whatSomebodyMakesStays() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.write(to: "\(folder)/a") { writer in
        try FolderDraft.write(to: "\(folder)/b") { draft in
          // This write and the removal find both.
          try AtomicFile.write(Data(), to: "\(folder)/c")
          Temporary.removeLeftovers(in: folder)
          #expect(FileManager.default.fileExists(atPath: draft))
          try "x".write(to: "\(draft)/x")
        }
        try writer.write(Data("whole".utf8))
      }
      #expect(try contents(of: folder) == ["a", "b", "c"])
      #expect(try String(contentsOf: "\(folder)/a") == "whole")
      // A link of a process that lives.
      let link = name(ProcessInfo.processInfo.processIdentifier)
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(link)", withDestinationPath: "a")
      Temporary.removeLeftovers(in: folder)
      #expect(try contents(of: folder).contains(link))
      Temporary.removeLeftovers(in: folder, isLocked: true)
      #expect(try contents(of: folder) == ["a", "b", "c"])
    }
  }

  @Test func whatOthersCallTemporaryStays() throws {
    try withTemporaryFolder { folder in
      let names = [
        ".a.tmp", ".esolm-1-0.tmp", "a.1.tmp", "a.esolm-1-0.tmp", ".a.esolm-1.tmp", ".a.esolm-x-0.tmp",
        ".a.esolm-1-0.tmp~",
      ]
      for name in names { try "mine".write(to: "\(folder)/\(name)") }
      try AtomicFile.write(Data(), to: "\(folder)/b")
      Temporary.removeLeftovers(in: folder, isLocked: true)
      #expect(try contents(of: folder) == (names + ["b"]).sorted())
    }
  }

  @Test func aLongNameHasATemporaryToo() throws {
    try withTemporaryFolder { folder in
      let name = String(repeating: "é", count: 120)
      try AtomicFile.write(Data("x".utf8), to: "\(folder)/\(name)")
      #expect(try contents(of: folder) == [name])
    }
  }
}

@Suite("Locked files")
struct LockedFileTests {
  @Test func aFileIsLockedForOneUntilThatIsGone() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lock"
      #expect(!LockedFile.isHeld(path))
      #expect(try contents(of: folder) == [])
      var first = try LockedFile(path)
      try #require(first).write(Data("one".utf8))
      try #require(first).write(Data("me".utf8))
      #expect(try LockedFile(path) == nil)
      #expect(LockedFile.isHeld(path))
      #expect(try String(contentsOf: path) == "me")
      first = nil
      #expect(!LockedFile.isHeld(path))
      #expect(try LockedFile(path) != nil)
    }
  }

  @Test func aFileThatIsReplacedIsNoLongerTheLock() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/lock"
      let first = try #require(try LockedFile(path))
      #expect(first.isStillThere)
      try FileManager.default.removeItem(atPath: path)
      #expect(!first.isStillThere)
      let second = try #require(try LockedFile(path))
      #expect(second.isStillThere && !first.isStillThere)
      #expect(
        message { try LockedFile("\(folder)/none/lock") }
          == "cannot write \(folder)/none/lock: No such file or directory")
    }
  }
}
