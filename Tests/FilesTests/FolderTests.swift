import Files
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("Folders")
struct FolderTests {
  @Test(
    arguments: [
      ("a/b", "a", "b"), ("/a/b/", "/a", "b"), ("a", ".", "a"), ("ab/", ".", "ab"), ("/a", "/", "a"),
      ("a//b", "a", "b"),
      ("//a", "/", "a"), ("/", "/", ""), ("", ".", ""), (".", ".", "."), ("é/\u{301}", "é", "\u{301}"),
    ] as [(String, String, String)])
  func aPathIsAFolderAndAName(path: String, folder: String, name: String) {
    let split = Folder.split(path)
    #expect(split.folder == folder && split.name == name)
  }

  @Test func whatIsMissingAboveIsMadeToo() throws {
    try withTemporaryFolder { folder in
      let made = try Folder.make("\(folder)/a/b/c")
      #expect(made == ["\(folder)/a", "\(folder)/a/b", "\(folder)/a/b/c"])
      #expect(Folder.exists("\(folder)/a/b/c"))
      #expect(try Folder.make("\(folder)/a/b") == [])
    }
  }

  /// As by two commands that are given the same new folder at once.
  @Test func severalMakeOneFolderAtOnce() throws {
    try withTemporaryFolder { folder in
      for round in 0..<200 {
        let made = Mutex<[Result<[String], any Error>]>([])
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
          let result = Result { try Folder.make("\(folder)/\(round)/a/b") }
          made.withLock { $0.append(result) }
        }
        let all = try made.withLock { try $0.flatMap { try $0.get() } }
        #expect(all.sorted() == ["\(folder)/\(round)", "\(folder)/\(round)/a", "\(folder)/\(round)/a/b"])
      }
    }
  }

  @Test func aFileInTheWayIsNamedAndNothingIsLeft() throws {
    try withTemporaryFolder { folder in
      try "x".write(to: "\(folder)/file")
      #expect(
        message { try Folder.make("\(folder)/file") } == "cannot make the folder \(folder)/file: File exists")
      #expect(
        message { try Folder.make("\(folder)/file/a/b") }
          == "cannot make the folder \(folder)/file/a/b: Not a directory")
      #expect(message { try Folder.make("") } == "cannot make the folder : No such file or directory")
      let long = String(repeating: "x", count: 300)
      #expect(
        message { try Folder.make("\(folder)/a/\(long)") }
          == "cannot make the folder \(folder)/a/\(long): File name too long")
      #expect(try contents(of: folder) == ["file"])
    }
  }

  @Test func onlyEmptyFoldersAreTakenAway() throws {
    try withTemporaryFolder { folder in
      let made = try Folder.make("\(folder)/a/b/c")
      try "x".write(to: "\(folder)/a/file")
      Folder.removeEmpty(made)
      #expect(try contents(of: folder) == ["a"])
      #expect(try contents(of: "\(folder)/a") == ["file"])
    }
  }

  @Test func aFolderIsRenamedUnlessSomethingIsThere() throws {
    try withTemporaryFolder { folder in
      try Folder.make("\(folder)/a")
      try Folder.rename("\(folder)/a", to: "\(folder)/b")
      #expect(try contents(of: folder) == ["b"])
      try "x".write(to: "\(folder)/b/file")
      try Folder.make("\(folder)/c")
      #expect(
        message { try Folder.rename("\(folder)/c", to: "\(folder)/b") }
          == "cannot write \(folder)/b: Directory not empty")
      #expect(try contents(of: folder) == ["b", "c"])
    }
  }
}

@Suite("Appending to files")
struct AppendingTests {
  @Test func aMissingFileIsMadeAndLaterBytesFollow() throws {
    try withTemporaryFolder { folder in
      for text in ["one, ", "", "two"] { try FileWriter.append(Data(text.utf8), to: "\(folder)/a") }
      #expect(try String(contentsOf: "\(folder)/a") == "one, two")
    }
  }

  @Test func whatCannotBeWrittenIsNamed() throws {
    try withTemporaryFolder { folder in
      #expect(message { try FileWriter.append(Data(), to: folder) } == "cannot write \(folder): Is a directory")
      #expect(
        message { try FileWriter.append(Data(), to: "\(folder)/none/a") }
          == "cannot write \(folder)/none/a: No such file or directory")
    }
  }
}
