import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite("Zip archives")
struct ZipArchiveTests {
  private let parts = [
    ("a/data.pkl", Data([1, 2, 3])), ("a/data/0", Data()), ("a/data/1", Data(repeating: 7, count: 70)),
  ]

  private func open(_ data: Data) throws -> ZipArchive {
    var budget = MemoryBudget(fileSize: data.count)
    return try ZipArchive(data, path: "x", budget: &budget)
  }

  @Test(arguments: [false, true], [Data(), Data("PK\u{5}\u{6} a comment".utf8)])
  func entriesLieWhereTheyWerePut(isWide: Bool, comment: Data) throws {
    var zip = ZipAssembler(parts)
    (zip.isWide, zip.comment) = (isWide, comment)
    let data = zip.data
    let archive = try open(data)
    for (name, contents) in parts {
      let range = try #require(try archive.range(of: name))
      #expect(data[range] == contents)
    }
    #expect(try archive.range(of: "a/data/2") == nil)
    #expect(try archive.range(of: "a/data") == nil)
    #expect(archive.names(endingWith: "data.pkl") == ["a/data.pkl"])
    // Also in a part of a larger buffer.
    #expect(try open((Data([9]) + data).dropFirst()).range(of: "a/data/1") == archive.range(of: "a/data/1"))
  }

  @Test func archivesOfPythonAreRead() throws {
    // The published file's own: `unzip -v` of it lists the same.
    let path = "\(Fixtures.path(of: "lightning_checkpoint"))/esolm.ckpt"
    let archive = try open(try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(archive.names(endingWith: "").count == 157)
    #expect(try archive.range(of: "archive/data/1")?.count == 8192)
  }

  @Test func compressedAndEncryptedEntriesAreNotRead() throws {
    for (method, flags) in [(8, 0), (0, 1)] as [(UInt16, UInt16)] {
      var zip = ZipAssembler(parts)
      (zip.entries[0].method, zip.entries[0].flags) = (method, flags)
      let archive = try open(zip.data)
      #expect(
        message { try archive.range(of: "a/data.pkl") }
          == "x: its entry 'a/data.pkl' is compressed or encrypted, expected it stored as torch.save does")
      #expect(try archive.range(of: "a/data/1") != nil)
    }
  }

  @Test func anEmptyArchiveIsOne() throws { #expect(try open(ZipAssembler().data).names(endingWith: "") == []) }

  // MARK: Lies

  private func refusal(_ change: (inout ZipAssembler) -> Void) -> String? {
    var zip = ZipAssembler(parts)
    change(&zip)
    return message { try open(zip.data) }?.replacingOccurrences(of: "x is no whole zip file: ", with: "")
  }

  @Test func liesOfTheDirectoryAreFound() {
    #expect(refusal { $0.claimedCount = 4 } == "its directory of 164 bytes cannot hold 4 entries")
    #expect(
      refusal { $0.entries[2].claimedSize = 71 } == "entry 'a/data/1' of 71 bytes at byte 119 reaches beyond byte 189")
    #expect(
      refusal { $0.entries[0].claimedSize = 4 } == "entry 'a/data.pkl' of 4 bytes at byte 40 reaches beyond byte 43")
    #expect(
      refusal { $0.entries[1].claimedHeader = 44 }
        == "entry 'a/data/0' does not stand at byte 44, where its directory says")
    #expect(
      refusal { $0.entries[1].claimedHeader = .max - 1 }
        == "an entry is said to stand at byte 4294967294, behind the directory")
    #expect(
      refusal { $0.entries[1].headerName = "a/data/9" }
        == "entry 'a/data/0' does not stand at byte 43, where its directory says")
    #expect(refusal { $0.entries[1] = $0.entries[0] } == "it has two entries 'a/data.pkl'")
  }

  @Test func everyCutIsRefused() throws {
    for isWide in [false, true] {
      var zip = ZipAssembler(parts)
      zip.isWide = isWide
      let data = zip.data
      for count in 0..<data.count {
        let text = message { try open(data.prefix(count)) }
        #expect(
          text
            == "x is no whole zip file: the directory at its end is missing, so it may be cut off (it has \(count) bytes)"
        )
      }
    }
  }

  @Test func aDirectoryLargerThanItsFileIsRefused() throws {
    var data = ZipAssembler(parts).data
    data.replaceSubrange(data.count - 10..<data.count - 6, with: [0xFF, 0xFF, 0xFF, 0x7F])
    #expect(
      message { try open(data) }
        == "x is no whole zip file: its directory of 2147483647 bytes at byte 189 reaches beyond byte 353")
  }

  @Test func whatManyEntriesTakeIsBounded() throws {
    // As many empty entries as fit: the smallest that a directory can hold.
    var zip = ZipAssembler((0..<20_000).map { ("\($0)", Data()) })
    zip.claimedCount = nil
    let data = zip.data
    var budget = MemoryBudget(fileSize: data.count)
    _ = try ZipArchive(data, path: "x", budget: &budget)
    #expect(budget.peak <= budget.limit)
  }
}
