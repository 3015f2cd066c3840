import Corpora
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("Token files")
struct TokenFileTests {
  private let tokenizer = ByteTokenizer()

  /// A file of three documents.
  private func withFile(_ body: (_ folder: String, _ source: CorpusSource) throws -> Void) throws {
    try withTemporaryFolder { folder in
      try "ab\ncde\nf\n".write(to: "\(folder)/text")
      try body(folder, CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)))
    }
  }

  /// What tells one making from another.
  private func inode(_ path: String) throws -> NSNumber? {
    try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? NSNumber
  }

  @Test func tokensAndDocumentsAreKept() throws {
    try withFile { folder, source in
      var reports: [TokenizationProgress] = []
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: tokenizer) { reports.append($0) }
      #expect(file.tokens(0..<file.count) == [97, 98, 256, 99, 100, 101, 256, 102, 256])
      #expect((0..<3).map(file.document) == [0..<3, 3..<7, 7..<9])
      #expect(file.metadata.vocabularySize == 257)
      #expect(reports.map(\.byteCount) == [9])
      #expect(reports.map(\.totalByteCount) == [9])
      #expect(reports.map(\.tokenCount) == [9])
      #expect(reports.map(\.documentCount) == [3])
      let again = try TokenFile(opening: "\(folder)/t")
      #expect(again.tokens(0..<9) == file.tokens(0..<9))
      #expect(again.fingerprint == file.fingerprint)
      #expect(TokenFile.isTokenFile("\(folder)/t") && !TokenFile.isTokenFile("\(folder)/text"))
      #expect(try contents(of: folder) == ["t", "text"])
    }
  }

  @Test func aFileIsMadeAgainOnlyForAReason() throws {
    try withFile { folder, source in
      let path = "\(folder)/t"
      func make(_ source: CorpusSource, _ tokenizer: any Tokenizer, endOfText: Bool = true) throws -> Bool {
        let before = try? inode(path)
        _ = try TokenFile.make(at: path, of: source, tokenizer: tokenizer, appendsEndOfText: endOfText)
        // A link keeps the earlier file alive, so that its number is not given to the new one.
        try? FileManager.default.linkItem(atPath: path, toPath: "\(folder)/\(UUID().uuidString)")
        return try inode(path) != before
      }
      #expect(try make(source, tokenizer))
      #expect(try !make(source, tokenizer))
      #expect(try make(source, CharacterTokenizer(text: "abcdef")))
      #expect(try make(source, CharacterTokenizer(text: "abcdefg")))
      #expect(try make(source, tokenizer))
      #expect(try make(source, tokenizer, endOfText: false))
      var other = source
      other.format = .text(documents: .file)
      #expect(try make(other, tokenizer))
      other.detokenizer = .ptb
      #expect(try make(other, tokenizer))
      #expect(try !make(other, tokenizer))
      try "ab\ncde\ng\n".write(to: "\(folder)/text")
      #expect(try make(other, tokenizer))
    }
  }

  /// Every byte of a file matters: a change is found, and a file that was changed is made again.
  @Test func damageIsFound() throws {
    try withFile { folder, source in
      let path = "\(folder)/t"
      _ = try TokenFile.make(at: path, of: source, tokenizer: tokenizer)
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      let ends = 64 + 4 * 9
      for place in Array(0..<40) + Array(64..<ends) {
        for bit in [0, 7] {
          var damaged = whole
          damaged[place] ^= 1 << bit
          try damaged.write(to: URL(fileURLWithPath: path))
          #expect(throws: (any Error).self, "byte \(place)") { try TokenFile(opening: path) }
        }
      }
      // Bytes of the documents' ends and of the metadata may still make sense; none crashes.
      for place in ends..<whole.count {
        var damaged = whole
        damaged[place] ^= 0x81
        try damaged.write(to: URL(fileURLWithPath: path))
        if let file = try? TokenFile(opening: path) {
          for document in 0..<file.documentCount { _ = file.tokens(file.document(document)) }
          _ = file.metadata.source
        }
      }
      for count in [0, 5, 39, 63, 64, 80, whole.count - 1] {
        try whole.prefix(count).write(to: URL(fileURLWithPath: path))
        #expect(throws: (any Error).self) { try TokenFile(opening: path) }
        #expect(try TokenFile.make(at: path, of: source, tokenizer: tokenizer).count == 9)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
      }
      try (whole + Data([0])).write(to: URL(fileURLWithPath: path))
      #expect(
        message { try TokenFile(opening: path) }
          == "\(path) is no valid token file: it has \(whole.count + 1) bytes, which its header does not fit")
    }
  }

  @Test func whatFailsLeavesTheEarlierFile() throws {
    try withFile { folder, source in
      _ = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: tokenizer)
      let before = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/t"))
      struct Stop: Error {}
      #expect(throws: Stop.self) {
        try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: CharacterTokenizer(text: "abcdef")) { _ in
          throw Stop()
        }
      }
      #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/t")) == before)
      #expect(try contents(of: folder) == ["t", "text"])
    }
  }

  @Test func textThatIsNoMaskStaysOut() throws {
    try withTemporaryFolder { folder in
      try "a [MASK] b\nc".write(to: "\(folder)/text")
      let tokenizer = try TokenizerFile.tokenizer(at: "\(Fixtures.path(of: "tokenizers"))/wordpiece-vocab.txt")
      let file = try TokenFile.make(
        at: "\(folder)/t", of: CorpusSource(paths: ["\(folder)/text"], format: .text(documents: .line)),
        tokenizer: tokenizer)
      let expected = try tokenizer.encode("a") + tokenizer.encode("b") + [3] + tokenizer.encode("c") + [3]
      #expect(file.tokens(0..<file.count) == expected)
    }
  }
}
