import Corpora
import Foundation
import TestSupport
import Testing
import Tokenizers

/// What a file is taken for, and what is refused.
@Suite("What files hold")
struct FileReadingTests {
  private func documents(
    _ name: String, _ bytes: some Sequence<UInt8>, _ change: (inout CorpusSource) -> Void = { _ in }
  ) throws -> [String] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      var source = CorpusSource(paths: [path])
      change(&source)
      return try documents(source)
    }
  }

  /// The documents, read twice: as they are, and as tokens.
  private func documents(_ source: CorpusSource) throws -> [String] {
    try withTemporaryFolder { folder in
      let tokenizer = ByteTokenizer()
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: tokenizer)
      let found = (0..<file.documentCount).map { tokenizer.decode(file.tokens(file.document($0))) }
      #expect(try source.documents(first: .max) == found)
      return found
    }
  }

  private static let lines = "{\"text\": \"one\"}\n{\"id\": 2, \"text\": \"two\"}\n"

  @Test(arguments: [
    "a.jsonl", "a.ndjson", "a.json", "A.JSONL", "a.b.json", "part-00000", "a.jsonl.gz", "a.json.gz", "part.gz",
  ])
  func linesOfJSONAreToldByNameAndContents(name: String) throws {
    #expect(try documents(name, Self.lines.utf8) == ["one", "two"])
  }

  @Test(arguments: ["a.txt", "a.md", "a.txt.gz"]) func otherNamesAreOfText(name: String) throws {
    for text in ["{ a text in braces }\n", "[Scene 1]\n", "{}\n", "{\n\"a\" 1}"] {
      #expect(try documents(name, text.utf8) == [text])
    }
    #expect(try documents("part-1", "{not JSON}".utf8) == ["{not JSON}"])
  }

  @Test func anotherFormatWins() throws {
    #expect(try documents("a.jsonl", Self.lines.utf8) { $0.format = .text(documents: .file) } == [Self.lines])
    #expect(try documents("a.txt", Self.lines.utf8) { $0.format = .jsonLines(field: "text") } == ["one", "two"])
  }

  @Test func eachFileOfAFolderIsToldForItself() throws {
    try withTemporaryFolder { folder in
      try Self.lines.write(to: "\(folder)/a.jsonl")
      try "three".write(to: "\(folder)/b.txt")
      #expect(try documents(CorpusSource(paths: [folder])) == ["one", "two", "three"])
    }
  }

  @Test(arguments: [
    ("a.jsonl", "\u{FEFF}{\"text\": \"x\"}\n"), ("a.json", "\u{FEFF}{\"text\": \"x\"}"), ("a.txt", "\u{FEFF}x"),
    ("a.jsonl", "{\"text\": \"x\", \"n\": NaN, \"m\": -Infinity}"), ("a.jsonl", "{\"text\": \"y\", \"text\": \"x\"}"),
    ("a.jsonl", "{\"text\": \"x\"}\r\n"), ("a.jsonl", "\r\r{\"text\": \"x\"}\r"),
  ])
  func whatOtherProgramsWriteIsRead(name: String, text: String) throws {
    #expect(try documents(name, text.utf8) == ["x"])
    #expect(try documents(name, text.utf8) { $0.skipsBadLines = true } == ["x"])
  }

  @Test func linesMayEndInCarriageReturns() throws {
    #expect(try documents("a.txt", "x\ry\r\rz".utf8) { $0.format = .byFile(documents: .line) } == ["x", "y", "z"])
    #expect(try documents("a.txt", "x\r\ny\r\n".utf8) { $0.format = .byFile(documents: .line) } == ["x", "y"])
    #expect(
      try documents("a", "\u{FEFF}id,text\r1,x\r2,\"y\rz\"\r".utf8) {
        $0.format = .csv(columns: ["text"], hasHeader: true)
      } == ["x", "y\rz"])
    #expect(
      try documents("a", "\u{FEFF}text,id\nx,1\n".utf8) { $0.format = .csv(columns: ["text"], hasHeader: true) } == [
        "x"
      ])
  }

  static let refused: [(String, [UInt8], String)] = [
    ("a.bz2", Array("BZh91AY&SY".utf8) + [0xE1, 0x80, 0x00], "a bzip2 file"),
    ("a.xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 0x00], "an xz file"),
    ("a.jsonl.zst", [0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x00], "a Zstandard file"),
    ("a.lz4", [0x04, 0x22, 0x4D, 0x18, 0x64, 0x40, 0xA7, 0x05, 0x00, 0x00], "an LZ4 file"),
    ("a.zip", [0x50, 0x4B, 0x03, 0x04, 0x14, 0x00], "a zip archive"),
    ("a.7z", [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C, 0x00], "a 7z archive"),
    ("a.tar", Array("name".utf8) + [UInt8](repeating: 0, count: 253) + Array("ustar".utf8), "a tar archive"),
    ("a.parquet", Array("PAR1".utf8) + [0x15, 0x00, 0xFF], "a Parquet file"),
    ("a.arrow", Array("ARROW1\0\0".utf8), "an Arrow file"),
    ("a.npy", [0x93] + Array("NUMPY".utf8), "a NumPy array"),
    ("a.txt", [0xFF, 0xFE, 0x61, 0x00], "text in UTF-16"),
    ("a.txt", [0xFF, 0xFE, 0x00, 0x00, 0x61, 0x00, 0x00, 0x00], "text in UTF-32"),
    ("a.txt", [0x61, 0x00, 0x62, 0x00], "no text: byte 1 is 0x00"),
    ("a.bin", [0x2E, 0x00, 0x3F, 0x00, 0x01, 0x00], "no text: byte 1 is 0x00"),
    ("a.txt", [UInt8](repeating: 0x61, count: 700_000) + [0, 0], "no text: byte 700000 is 0x00"),
    ("a.txt", Array("version https://git-lfs.github.com/spec/v1\noid".utf8), "a Git LFS pointer"),
    ("a.jsonl", Array("<!DOCTYPE html><html>".utf8), "an HTML page"),
    ("a.txt", Array("ESOLMTOK".utf8) + [2, 0, 0, 0], "a token file"),
  ]

  @Test(arguments: refused) func whatIsNoTextIsCalledByItsName(name: String, bytes: [UInt8], kind: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      var source = CorpusSource(paths: [path])
      var trainer = BytePairTrainer()
      for read in [
        { _ = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: ByteTokenizer()) },
        { _ = try CharacterTokenizer(contentsOf: [source]) }, { _ = try trainer.add(contentsOf: source) },
        { _ = try source.documents(first: 1) },
      ] as [() throws -> Void] {
        #expect(message(of: read)?.hasPrefix("\(path): it is \(kind)") == true, "\(message(of: read) ?? "")")
      }
      #expect(try contents(of: folder) == [name])
      (source.format, source.takesAnyBytes) = (.text(documents: .file), true)
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: ByteTokenizer())
      #expect(file.tokens(0..<file.count) == bytes.map(Int32.init) + [256])
    }
  }

  @Test(arguments: ["a.txt", "a"], ["[{\"text\": \"x\"}]", "{\n  \"text\": \"x\"\n}", " [\n{ \"a\" :1}]"])
  func whatBeginsAsJSONIsNotTakenForText(name: String, text: String) throws {
    let found = try #require(message { try documents(name, text.utf8) })
    #expect(found.contains("begins as JSON") && found.contains("--format text"), "\(found)")
    #expect(try documents(name, text.utf8) { $0.format = .text(documents: .file) } == [text])
  }

  @Test(arguments: ["[1] A list of notes", "{ \"quoted\" } text", "[\"a\", \"b\"]", "{a: 1}"])
  func textMayBeginWithBrackets(text: String) throws {
    #expect(try documents("a.txt", text.utf8) == [text])
  }

  static let invalid: [([UInt8], String)] = [
    ([0x63, 0x61, 0x66, 0xE9], "byte 3, in line 1, is 0xE9"),
    ([0x61, 0x0A, 0x62, 0x0A, 0xC3], "byte 4, in line 3, is 0xC3"),
    ([0xEF, 0xBB, 0xBF, 0xFF], "byte 3, in line 1, is 0xFF"), ([0x61, 0xED, 0xA0, 0x80], "byte 1, in line 1, is 0xED"),
    ([0x61, 0xF0, 0x9F, 0x98], "byte 1, in line 1, is 0xF0"),
  ]

  @Test(arguments: invalid)
  func whatIsNotUTF8IsNamedByItsPlace(bytes: [UInt8], place: String) throws {
    #expect(message { try documents("a.txt", bytes) }?.hasSuffix("/a.txt: \(place); expected UTF-8 text") == true)
  }

  @Test func thePlaceIsRightFarInAFile() throws {
    let line = Array("é and some more text.\n".utf8)
    let bytes = Array(repeatElement(line, count: 120_000).joined()) + [0xE9]
    let place = "byte \(120_000 * line.count), in line 120001, is 0xE9"
    #expect(message { try documents("a.txt", bytes) }?.hasSuffix("\(place); expected UTF-8 text") == true)
  }

  @Test func linesThatAreNotUTF8CanBeLeftOut() throws {
    let bytes = Array("{\"text\": \"a\"}\n{\"text\": \"".utf8) + [0xE9] + Array("\"}\n{\"text\": \"b\"}".utf8)
    #expect(throws: (any Error).self) { try documents("a.jsonl", bytes) }
    #expect(try documents("a.jsonl", bytes) { $0.skipsBadLines = true } == ["a", "b"])
  }

  @Test(arguments: [
    ("a.json", "[{\"text\": 1}]", "its first line is no JSON object, expected one on each line"),
    ("a.json", "{\n\"text\": 1}", "its first line is no JSON object, expected one on each line"),
    ("a.csv", "a,b", "it is CSV; name by --columns which columns are the text"),
    ("a.tsv", "a\tb", "it is tab-separated values, expected UTF-8 text, JSON lines or CSV"),
    ("a.txt", lines, "its name ends in '.txt', but its first line is a JSON object; --format jsonl reads"),
    ("a.jsonl.1", lines, "its name ends in '.1', but its first line is a JSON object; --format jsonl reads"),
  ])
  func whatIsToBeSaidIsAskedFor(name: String, text: String, problem: String) throws {
    #expect(message { try documents(name, text.utf8) }?.contains("/\(name): \(problem)") == true)
  }

  @Test(arguments: [("a.txt", ""), ("a.jsonl", "\n"), ("a.jsonl", "{\"text\": \"\"}"), ("a.txt", "\u{FEFF}")])
  func nothingIsAnError(name: String, text: String) throws {
    #expect(message { try documents(name, text.utf8) }?.hasSuffix("/\(name) holds no text") == true)
  }

  // MARK: Folders

  @Test func linksToFoldersAreFollowedOnce() throws {
    try withTemporaryFolder { folder in
      let files = FileManager.default
      try files.createDirectory(atPath: "\(folder)/real", withIntermediateDirectories: true)
      try files.createDirectory(atPath: "\(folder)/with/.git", withIntermediateDirectories: true)
      try "one".write(to: "\(folder)/real/a.txt")
      try "two".write(to: "\(folder)/with/b.txt")
      try "no".write(to: "\(folder)/with/.hidden")
      try files.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "real")
      for (name, place) in [("again", "../real"), ("circle", "../with"), ("more", "../real"), ("lost", "nowhere")] {
        try files.createSymbolicLink(atPath: "\(folder)/with/\(name)", withDestinationPath: place)
      }
      #expect(try documents(CorpusSource(paths: ["\(folder)/link"])) == ["one"])
      let source = CorpusSource(paths: ["\(folder)/with"])
      #expect(try documents(source) == ["one", "two"])
      let passedOver = try source.passedOver().map { ($0.path.split(separator: "/").last!, $0.reason) }
      #expect(
        passedOver.map { "\($0): \($1)" }.sorted() == [
          ".git: hidden", ".hidden: hidden", "circle: link to a folder that was read already",
          "lost: link that leads nowhere", "more: link to a folder that was read already",
        ])
      // Another path reads it again.
      #expect(try documents(CorpusSource(paths: ["\(folder)/link", "\(folder)/real"])) == ["one", "one"])
    }
  }

  @Test func aNamedPipeIsReadOnce() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.jsonl"
      #expect(mkfifo(path, 0o600) == 0)
      Thread.detachNewThread { FileHandle(forWritingAtPath: path)?.write(Data(Self.lines.utf8)) }
      let source = CorpusSource(paths: [path])
      #expect(try !source.isRepeatable)
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: ByteTokenizer())
      #expect(file.documentCount == 2)
    }
  }

  @Test func charactersAreThoseOfAllPieces() throws {
    try withTemporaryFolder { folder in
      let text = String(repeating: "some text é\n", count: 200_000)
      try (text + "😀").write(to: "\(folder)/a.txt")
      try "{\"text\": \"日\"}".write(to: "\(folder)/b.jsonl")
      let tokenizer = try CharacterTokenizer(
        contentsOf: [CorpusSource(paths: ["\(folder)/a.txt"]), CorpusSource(paths: ["\(folder)/b.jsonl"])])
      #expect(tokenizer == CharacterTokenizer(text: "some text é\n😀日"))
      let file = try TokenFile.make(
        at: "\(folder)/t", of: CorpusSource(paths: ["\(folder)/a.txt"]), tokenizer: tokenizer)
      #expect(file.count == text.unicodeScalars.count + 2)
    }
  }
}
