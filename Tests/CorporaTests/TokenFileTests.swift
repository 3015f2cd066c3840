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
      // Two bytes for each of nine tokens, eight for each end of three documents.
      let contents = 64 + 2 * 9 + 8 * 3
      for place in 0..<contents {
        for bit in [0, 7] {
          var damaged = whole
          damaged[place] ^= 1 << bit
          try damaged.write(to: URL(fileURLWithPath: path))
          #expect(throws: (any Error).self, "byte \(place)") { try TokenFile(opening: path) }
        }
      }
      // Bytes of the metadata may still make sense; none crashes.
      for place in contents..<whole.count {
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
          == "\(path) is no valid token file: its metadata: it is no valid JSON")
    }
  }

  /// Four bytes a token, FNV-1a in place of SHA-256, as earlier versions wrote them.
  @Test func filesOfVersion1AreRead() throws {
    try withFile { folder, source in
      let path = "\(folder)/t"
      let tokens: [Int32] = [97, 98, 256, 99, 100, 101, 256, 102, 256]
      func hash(_ values: [UInt64]) -> UInt64 {
        values.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ $1) &* 0x100_0000_01b3 }
      }
      let fingerprint = String(hash(try TokenizerFile.data(for: tokenizer).map(UInt64.init)), radix: 16)
      let metadata = Data(
        """
        {"appendsEndOfText":true,"files":[{"byteCount":9,"modified":1.5,"path":"/text","sample":18446744073709551615}],\
        "skippedLines":0,"source":{"format":{"text":{"documents":{"line":{}}}},"paths":["/text"],"skipsBadLines":false},\
        "tokenizer":"\(fingerprint)","vocabularySize":257}
        """.utf8)
      var data = Data("ESOLMTOK".utf8)
      func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
      }
      append(UInt32(1))
      append(UInt32(metadata.count))
      append(UInt64(tokens.count))
      append(UInt64(3))
      append(hash(tokens.map(UInt64.init)))
      data.append(Data(count: 24))
      for token in tokens { append(token) }
      for end in [3, 7, 9] as [UInt64] { append(end) }
      data.append(metadata)
      try data.write(to: URL(fileURLWithPath: path))

      let file = try TokenFile(opening: path)
      #expect(file.tokens(0..<file.count) == tokens && file.fingerprint.count == 64)
      let corpus = CorpusConfiguration(source: CorpusSource(paths: [path]))
      #expect(try Corpus(corpus, length: 2, tokenizer: tokenizer).training.count == 3)
      data[70] ^= 1
      try data.write(to: URL(fileURLWithPath: path))
      #expect(message { try TokenFile(opening: path) } == "\(path) is no valid token file: its tokens were changed")
      // Where it is not named as what to read, a new one takes its place.
      #expect(try TokenFile.make(at: path, of: source, tokenizer: tokenizer).count == 9)
    }
  }

  @Test(arguments: [1 << 8, 1 << 16, (1 << 16) + 1]) func aTokenTakesTheBytesThatItsVocabularyNeeds(size: Int) throws {
    try withTemporaryFolder { folder in
      // As many characters as leave one id for the end.
      var characters = String.UnicodeScalarView()
      // Without zero and the surrogates.
      for value in 1..<UInt32(size) { characters.append(Unicode.Scalar(value < 0xD700 ? value : value + 0x2000)!) }
      let text = String(characters)
      try text.write(to: "\(folder)/text.txt")
      let source = CorpusSource(paths: ["\(folder)/text.txt"])
      let tokenizer = try CharacterTokenizer(contentsOf: [source])
      #expect(tokenizer.vocabularySize == size)
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: tokenizer)
      #expect(file.tokens(0..<size) == Array(0..<Int32(size)))
      #expect(try TokenFile(opening: "\(folder)/t").tokens(size - 2..<size) == [Int32(size - 2), Int32(size - 1)])
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
