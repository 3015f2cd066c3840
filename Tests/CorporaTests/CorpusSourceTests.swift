import Corpora
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("Sources of text")
struct CorpusSourceTests {
  /// The documents of a source, by way of a token file of bytes.
  private func documents(_ source: CorpusSource, in folder: String) throws -> [String] {
    let tokenizer = ByteTokenizer()
    let file = try TokenFile.make(at: "\(folder)/.t.tokens", of: source, tokenizer: tokenizer)
    return (0..<file.documentCount).map { index in
      let tokens = file.tokens(file.document(index))
      #expect(tokens.last == tokenizer.endOfText)
      return tokenizer.decode(tokens)
    }
  }

  private func documents(
    _ text: String, _ format: CorpusSource.Format, skipsBadLines: Bool = false, detokenizer: Detokenizer? = nil
  ) throws -> [String] {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/a")
      return try documents(
        CorpusSource(paths: ["\(folder)/a"], format: format, detokenizer: detokenizer, skipsBadLines: skipsBadLines),
        in: folder)
    }
  }

  @Test(
    arguments: [
      (.file, "a\n\nb", ["a\n\nb"]), (.line, "a\r\n\nb", ["a", "b"]), (.line, "a\n", ["a"]),
      (.row, " = a = \n \nb", [" = a = \n", "", "b"]), (.separated(by: "--"), "a-b--c\n----d", ["a-b", "c\n", "d"]),
      (.separated(by: "\n\n"), "a\nb\n\n\n\nc", ["a\nb", "c"]), (.separated(by: "<|end|>"), "a<|end|", ["a<|end|"]),
    ] as [(CorpusSource.Documents, String, [String])])
  func textHasDocuments(rule: CorpusSource.Documents, text: String, expected: [String]) throws {
    #expect(try documents(text, .text(documents: rule)) == expected)
  }

  @Test func jsonLinesHaveAField() throws {
    let text = """
      {"id": 1, "body": "a\\nb"}

      {"body": ["x", "y"], "text": "no"}
      {"body": ""}
      """
    #expect(try documents(text, .jsonLines(field: "body")) == ["a\nb", "x\ny", ""])
  }

  @Test(arguments: [
    ("{\"text\": \"a\"}\n{\"text\": 1}\n", "line 2: field 'text' is a number, expected a string"),
    (
      "{\"text\": \"a\"}\n\n{\"body\": \"a\", \"id\": 1}",
      "line 3: field 'text' is missing, found 'body', 'id'; name the text's by --field"
    ),
    ("[\"a\"]\n", "line 1: it is a list, expected an object"),
    ("{\"text\": \"a\"", "line 1: no valid JSON at byte 12: expected ',' or '}'"),
    ("{\"text\": [1]}", "line 1: field 'text' holds a number, expected strings"),
  ])
  func aBadLineIsNamedOrSkipped(text: String, problem: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.jsonl"
      try text.write(to: path)
      var source = CorpusSource(paths: [path], format: .jsonLines(field: "text"))
      #expect(message { try documents(source, in: folder) } == "\(path): \(problem)")
      #expect(try contents(of: folder) == ["a.jsonl"])
      source.skipsBadLines = true
      guard text.contains("\"a\"}\n") else {
        #expect(
          message { try documents(source, in: folder) }
            == "\(path) holds no text: all its 1 lines are no valid records and were left out")
        return
      }
      let file = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: ByteTokenizer())
      #expect(file.metadata.skippedLines == 1)
      #expect(file.documentCount == 1)
      // Kept as it is: what was skipped is no reason to make it anew.
      #expect(try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: ByteTokenizer()).metadata.skippedLines == 1)
    }
  }

  @Test(arguments: [
    ("1,a b,\"c, d\"\n2,\"e \"\"f\"\"\",\"g\nh\"\r\n", ["2", "3"], false, ["a b c, d", "e \"f\" g\nh"]),
    ("id,text\n1,x\n\n2,y", ["text"], true, ["x", "y"]), ("a\n", ["1"], false, ["a"]),
    ("x\"y,b\n", ["1"], false, ["x\"y"]),
    ("id,text\r\n1,\"x\"\r\n", ["text", "1"], true, ["x 1"]),
  ])
  func csvHasColumns(text: String, columns: [String], hasHeader: Bool, expected: [String]) throws {
    #expect(try documents(text, .csv(columns: columns, hasHeader: hasHeader)) == expected)
  }

  @Test(arguments: [
    ("a,b\nc\n", ["2"], false, "line 2: it has 1 columns, expected column 2"),
    ("a,b\n\"c\nd\"e,f\n", ["2"], false, "line 2: text follows a closing quote"),
    ("a,b\n\"c\nd\n", ["1"], false, "line 2: a quoted field has no end"),
    ("id,text\n1,x\n", ["body"], true, "no column 'body'; expected one of id, text"),
  ])
  func aBadRowIsNamed(text: String, columns: [String], hasHeader: Bool, problem: String) throws {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/a.csv")
      let source = CorpusSource(paths: ["\(folder)/a.csv"], format: .csv(columns: columns, hasHeader: hasHeader))
      #expect(message { try documents(source, in: folder) } == "\(folder)/a.csv: \(problem)")
    }
  }

  @Test func gzipIsDecompressed() throws {
    try withTemporaryFolder { folder in
      // Two members in one file, as of `cat a.gz b.gz`, and zeros behind.
      let members = [
        "H4sIAAAAAAACA6tWKkmtKFGyUlDKz0tVquWqhvNLyvOBfADRW2nVIAAAAA==",
        "H4sIAAAAAAACA6tWKkmtKFGyUlAqyShKTVWq5QIAzng1ZxIAAAA=",
      ].map { Data(base64Encoded: $0)! }
      let whole = members[0] + members[1] + Data(count: 5)
      let path = "\(folder)/a.jsonl.gz"
      let source = CorpusSource(paths: [path], format: .jsonLines(field: "text"))
      try whole.write(to: URL(fileURLWithPath: path))
      #expect(try documents(source, in: folder) == ["one", "two", "three"])

      try members[0].dropLast(9).write(to: URL(fileURLWithPath: path))
      #expect(message { try documents(source, in: folder) } == "\(path): the compressed data end too early")
      var damaged = members[0]
      damaged[20] ^= 0xFF
      try damaged.write(to: URL(fileURLWithPath: path))
      #expect(message { try documents(source, in: folder) }?.hasPrefix("\(path): no valid gzip data: ") == true)
    }
  }

  @Test func foldersAreReadInTheOrderOfNames() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/x/b", withIntermediateDirectories: true)
      for (name, text) in [("x/b/2", "two"), ("x/c", "three"), ("x/a", "one"), ("x/.hidden", "no"), ("y", "four")] {
        try text.write(to: "\(folder)/\(name)")
      }
      #expect(
        try documents(CorpusSource(paths: ["\(folder)/x", "\(folder)/y"]), in: folder)
          == ["one", "two", "three", "four"])
      try FileManager.default.createDirectory(atPath: "\(folder)/empty", withIntermediateDirectories: true)
      #expect(
        message { try documents(CorpusSource(paths: ["\(folder)/empty"]), in: folder) }
          == "\(folder)/empty: the folder holds no files")
      #expect(
        message { try documents(CorpusSource(paths: ["\(folder)/no"]), in: folder) }
          == "cannot read \(folder)/no: there is no such file")
    }
  }

  @Test func detokenizersSeeWholeDocuments() throws {
    #expect(
      try documents("a , b .\nc ?", .text(documents: .line), detokenizer: .lm1b) == ["a, b.", "c?"])
  }

  @Test func charactersThatAreUnknownAreNamedByFileAndLine() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a"
      try "abc\nde\nfÄ".write(to: path)
      for rule in [.file, .line, .row] as [CorpusSource.Documents] {
        #expect(
          message {
            try TokenFile.make(
              at: "\(folder)/t", of: CorpusSource(paths: [path], format: .text(documents: rule)),
              tokenizer: CharacterTokenizer(text: "abcdef\n"))
          } == "\(path): line 3: character \"Ä\" (U+00C4) is not in the tokenizer's vocabulary")
      }
    }
  }

  /// More than several chunks, so that pieces of documents are put together again.
  @Test func aLargeFileIsThatOfItsPieces() throws {
    try withTemporaryFolder { folder in
      let line = "The quick brown fox's 12 jumps – über den Zaun – are  done.\n"
      let text = String(repeating: line, count: 60_000)
      try text.write(to: "\(folder)/a")
      let tokenizer = try #require(
        TokenizerFile.tokenizer(at: "\(Fixtures.path(of: "tokenizers"))/tokenizer.json") as? BytePairTokenizer)
      let file = try TokenFile.make(
        at: "\(folder)/t", of: CorpusSource(paths: ["\(folder)/a"]), tokenizer: tokenizer)
      #expect(file.documentCount == 1)
      #expect(try file.tokens(0..<file.count) == tokenizer.encode(text) + [0])
      let lines = try TokenFile.make(
        at: "\(folder)/u", of: CorpusSource(paths: ["\(folder)/a"], format: .text(documents: .line)),
        tokenizer: tokenizer)
      #expect(lines.documentCount == 60_000)
      #expect(try lines.tokens(lines.document(59_999)) == tokenizer.encode(String(line.dropLast())) + [0])
    }
  }
}
