import Files
import Foundation
import TestSupport
import Testing

@Suite("Folders")
struct FolderTests {
  @Test(arguments: [
    ("a", "."), ("ab", "."), ("", "."), ("a/b", "a"), ("/a", "/"), ("/", "/"), ("a/", "."), ("//a//b//", "//a"),
    ("/a/é", "/a"), ("./x", "."), ("é/x", "é"),
  ])
  func aPathLiesInAFolder(path: String, folder: String) { #expect(Folder.containing(path) == folder) }

  @Test func whatIsMissingAboveIsMadeToo() throws {
    try withTemporaryFolder { folder in
      let made = try Folder.make("\(folder)/a/b/c")
      #expect(made == ["\(folder)/a", "\(folder)/a/b", "\(folder)/a/b/c"])
      #expect(Folder.exists("\(folder)/a/b/c"))
      #expect(try Folder.make("\(folder)/a/b") == [])
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
