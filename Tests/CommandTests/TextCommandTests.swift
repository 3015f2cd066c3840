import CommandSupport
import Foundation
import TestSupport
import Testing

@Suite("Commands about text")
struct TextCommandTests {
  private static let vocabularies = Fixtures.path(of: "tokenizers")

  private struct Document: Decodable {
    var tokens: [Int32]?
    var text: String?
  }

  @Test func textBecomesIDsAndTextAgain() async throws {
    let text = try Scratch.file("Hello, world\nnaïve <|endoftext|> 日本\n".utf8)
    let arguments = ["--tokenizer", Self.vocabularies]
    let ids = try await Esolm.succeed(["tokenize", text, "--documents", "line"] + arguments)
    #expect(ids.output.split(separator: "\n").count == 2)
    let file = try Scratch.file(ids.output.utf8)
    let plain = try await Esolm.succeed(["detokenize", file] + arguments)
    #expect(plain.output == "Hello, world\nnaïve  日本\n")
    let special = try await Esolm.succeed(["detokenize", file, "--keep-special-tokens", "--json"] + arguments)
    let documents = try special.output.split(separator: "\n").map {
      try JSONDecoder().decode(Document.self, from: Data($0.utf8))
    }
    #expect(documents.map(\.text) == ["Hello, world", "naïve <|endoftext|> 日本"])
  }

  @Test func aTokenFileIsMadeOnceAndRead() async throws {
    let folder = try Scratch.folder()
    try "{\"text\": \"the cat\"}\nnonsense\n{\"text\": \"a dog\"}\n".write(to: "\(folder)/a.jsonl")
    let arguments = ["tokenize", "\(folder)/a.jsonl", "--tokenizer", Self.vocabularies, "--out", "\(folder)/a.tokens"]
    let refused = try await Esolm.run(arguments)
    #expect(refused.status == 1)
    #expect(
      refused.error
        == "esolm: error: \(folder)/a.jsonl: line 2: no valid JSON at byte 0: expected a value\n")
    #expect(try contents(of: folder) == ["a.jsonl"])

    let made = try await Esolm.succeed(arguments + ["--skip-bad-lines"])
    #expect(made.output.contains("a.tokens: 2 documents, ") && made.output.contains(", 1 bad lines left out, "))
    let again = try await Esolm.succeed(arguments + ["--skip-bad-lines"])
    #expect(!again.error.contains("tokenising"))
    let text = try await Esolm.succeed(["detokenize", "\(folder)/a.tokens", "--tokenizer", Self.vocabularies])
    #expect(text.output == "the cat\na dog\n")
  }

  @Test func aFileThatIsNoTokenFileIsNotReplaced() async throws {
    let text = try Scratch.file("words of mine\n".utf8)
    let refused = try await Esolm.run(["tokenize", text, "--tokenizer", "bytes", "--out", text])
    #expect(refused.status == 1)
    #expect(
      refused.error
        == "esolm: error: \(text) is there and is no token file, expected the name of one or of a new file\n")
    #expect(try String(contentsOf: text) == "words of mine\n")
  }

  @Test func aVocabularyIsLearnt() async throws {
    let folder = try Scratch.folder()
    let text = try Scratch.file(Esolm.text.utf8)
    let made = try await Esolm.succeed([
      "tokenizer", "train", text, "--vocabulary-size", "280", "--out", "\(folder)/bpe",
    ])
    #expect(made.output == "\(folder)/bpe: 280 tokens\n")
    #expect(
      try contents(of: "\(folder)/bpe") == ["merges.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json"])
    // Files of another vocabulary, and what stands beside them, are not mixed with it.
    let again = try await Esolm.run([
      "tokenizer", "train", text, "--vocabulary-size", "270", "--out", "\(folder)/bpe",
    ])
    #expect(again.status == 1)
    #expect(again.error == "esolm: error: \(folder)/bpe already exists; name a new folder\n")
    let ids = try await Esolm.succeed(["tokenize", text, "--tokenizer", "\(folder)/bpe"])
    #expect(ids.output.split(separator: " ").count < Esolm.text.utf8.count / 2)

    // A run on it, with its own validation text, that goes on after its token files are gone.
    let cache = "\(folder)/cache"
    let run = "\(folder)/run"
    try await Esolm.succeed(
      ["train", "--data", text, "--tokenizer", "\(folder)/bpe", "--documents", "line", "--packing", "framed"]
        + ["--validation-data", text, "--token-dir", cache, "--out", run, "--steps", "4"] + Esolm.tiny)
    #expect(try contents(of: cache).count == 1)
    try FileManager.default.removeItem(atPath: cache)
    try await Esolm.succeed(["train", "--resume", run, "--steps", "6"])
    let samples = try await Esolm.succeed(["sample", run, "--steps", "4"])
    #expect(!samples.output.isEmpty)
    let evaluated = try await Esolm.succeed(["eval", run])
    #expect(evaluated.output.contains("nelbo"))

    try (Esolm.text + "more\n").write(to: text)
    let changed = try await Esolm.run(["train", "--resume", run, "--steps", "8"])
    #expect(changed.status == 1)
    #expect(changed.error.hasPrefix("esolm: error: \(text): the text has changed since the run began: "))
  }

  @Test func aRunMayHaveItsMaskInTheVocabulary() async throws {
    let folder = try Scratch.folder()
    let text = try Scratch.file(Esolm.text.utf8)
    let run = "\(folder)/run"
    try await Esolm.succeed(
      ["train", "--data", text, "--tokenizer", "\(Self.vocabularies)/wordpiece-vocab.txt", "--packing", "padded"]
        + ["--documents", "line", "--token-dir", folder, "--out", run, "--steps", "3"] + Esolm.tiny)
    let configuration = try String(contentsOf: "\(run)/config.json")
    #expect(configuration.contains("\"maskToken\" : 4,") && configuration.contains("\"vocabularySize\" : 1200"))
    try await Esolm.succeed(["sample", run, "--steps", "4"])
    let evaluated = try await Esolm.succeed(["eval", run, "--orders", "2"]).output
    #expect(evaluated.split(separator: "\n")[0].hasSuffix(" of them padding, α₀ = 0.5"))
  }

  @Test func dataSetsSayWhereTheirFilesAre() async throws {
    let list = try await Esolm.succeed(["datasets"])
    #expect(list.output.contains("lm1b\n") && list.output.contains("files: "))
    let folder = try Scratch.folder()
    let missing = try await Esolm.run(
      ["train", "--dataset", "text8", "--data-dir", folder, "--out", "\(folder)/run"] + Esolm.tiny)
    #expect(missing.status == 1)
    #expect(
      missing.error == "esolm: error: \(folder) holds no text8 or text8.gz, the train part of text8; get it: "
        + "http://mattmahoney.net/dc/text8.zip, unpacked\n")
  }

  @Test(arguments: [
    (["tokenize"], "--tokenizer is missing: name bytes, text8, sudoku or a tokenizer's files"),
    (
      ["tokenize", "--tokenizer", "characters"],
      "--tokenizer characters needs the run's text; name bytes, text8, sudoku or"
    ),
    (
      ["tokenize", "--tokenizer", "bytes", "--documents", "line", "--separator", "x"],
      "--separator is x, expected none with documents: either says what a document is"
    ),
    (
      ["tokenize", "--tokenizer", "bytes", "--format", "csv", "--field", "x"],
      "--field is x, expected none with format csv: it is for jsonl"
    ),
    (["tokenize", "--tokenizer", "bytes", "--format", "csv"], "--columns is missing, expected the columns of CSV"),
    (
      ["tokenize", "--tokenizer", "bytes", "--field", "x", "--documents", "line"],
      "--documents is line, expected none with field, which is for another format; name one by format"
    ),
    (["tokenizer", "train", "a", "--vocabulary-size", "5", "--out", "b"], "--vocabulary-size is 5, expected 257 to"),
    (
      ["train", "--dataset", "lm1b", "--out", "x"],
      "--data-dir is missing, expected the folder with the files of the data set"
    ),
    (
      ["train", "--dataset", "c4", "--data-dir", "x", "--out", "x"], "--dataset is 'c4', expected one of lm1b"
    ),
    (
      ["train", "--dataset", "lm1b", "--data-dir", "x", "--out", "/tmp/no-run"],
      "--tokenizer is missing: name the files of"
    ),
  ])
  func whatDoesNotGoTogetherIsWrongUsage(arguments: [String], problem: String) async throws {
    let result = try await Esolm.run(arguments)
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("esolm: error: \(problem)"), "\(result.error)")
    #expect(result.error.count { $0 == "\n" } == 1)
  }

  @Test func aFolderGivesItsCharacters() async throws {
    let folder = try Scratch.folder()
    try FileManager.default.createDirectory(atPath: "\(folder)/texts", withIntermediateDirectories: false)
    for name in ["a", "b"] { try Esolm.text.write(to: "\(folder)/texts/\(name)") }
    try await Esolm.succeed(
      ["train", "--data", "\(folder)/texts", "--token-dir", folder, "--out", "\(folder)/run", "--steps", "2"]
        + Esolm.tiny)
    let tokenizer = try String(contentsOf: "\(folder)/run/tokenizer.json")
    #expect(tokenizer.hasPrefix(#"{"characters":["\n"," ",".","a","#))
  }

  /// Sixteen lines with a field text, as people have their data.
  private static let lines = (0..<16).map {
    "{\"id\": \($0), \"text\": \"the cat sees a red house and the dog \($0)\"}\n"
  }
  .joined()

  @Test func linesOfJSONAreLearntAndMeasuredAsTheirText() async throws {
    let data = try Scratch.file(Self.lines.utf8, name: "small.jsonl")
    let run = "\(try Scratch.folder())/run"
    let trained = try await Esolm.succeed(["train", "--data", data, "--out", run, "--steps", "2"] + Esolm.tiny)
    #expect(trained.error.contains("small.jsonl: read 16 documents, "))
    #expect(try !String(contentsOf: "\(run)/tokenizer.json").contains("\"{\","))
    /// The table, which unlike the report does not say by which command it was made.
    func measured(_ options: [String] = []) async throws -> String {
      try await Esolm.succeed(["eval", run, "--data", data] + options).output
    }
    #expect(try await measured() == measured(["--format", "jsonl"]))
  }

  @Test func bytesAreTakenAsTheyAreWhereThatIsSaid() async throws {
    let folder = try Scratch.folder()
    let path = "\(folder)/tokens.bin"
    let squares = (0..<4000).map { UInt8(truncatingIfNeeded: $0 * $0) }
    try Data(squares).write(to: URL(fileURLWithPath: path))
    let run = "\(folder)/run"
    let bytes = ["--format", "text", "--tokenizer", "bytes"]
    let refusals: [[String]] = [
      ["tokenize", path, "--tokenizer", "bytes"],
      ["tokenizer", "train", path, "--vocabulary-size", "300", "--out", run],
      ["train", "--data", path, "--out", run, "--tokenizer", "bytes"] + Esolm.tiny,
      ["train", "--data", path, "--out", run, "--format", "text"] + Esolm.tiny,
      ["eval", try await Esolm.trained(), "--data", path],
    ]
    for arguments in refusals {
      let refused = try await Esolm.run(arguments)
      #expect(refused.status == 1)
      #expect(refused.error.hasPrefix("esolm: error: \(path): it is no text: byte 0 is 0x00"), "\(refused.error)")
      #expect(try contents(of: folder) == ["tokens.bin"])
    }
    try await Esolm.succeed(["train", "--data", path, "--out", run, "--steps", "2"] + bytes + Esolm.tiny)
    let measured = try await Esolm.succeed(["eval", run, "--data", path, "--format", "text"])
    #expect(measured.error.contains("tokens.bin: read 1 document, 4001 tokens"))
  }

  @Test func whatAFolderHoldsIsSaid() async throws {
    let folder = try Scratch.folder()
    try FileManager.default.createDirectory(atPath: "\(folder)/real", withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: "\(folder)/real/circle", withDestinationPath: ".")
    try (Self.lines + "nonsense\n").write(to: "\(folder)/real/a.jsonl")
    try "no".write(to: "\(folder)/real/.hidden")
    let made = try await Esolm.succeed(["tokenize", "\(folder)/real", "--tokenizer", "bytes", "--skip-bad-lines"])
    #expect(made.output.split(separator: "\n").count == 16)
    #expect(
      made.error.hasSuffix(
        "esolm: \(folder)/real: read 16 documents, 614 tokens; left out 1 bad line; passed over 1 (hidden): "
          + "\(folder)/real/.hidden; passed over 1 (link to a folder that was read already): \(folder)/real/circle\n"),
      "\(made.error)")
  }

  @Test func aTextThatMovedIsNamedToGoOn() async throws {
    let folder = try Scratch.folder()
    let (old, new, run) = ("\(folder)/old.txt", "\(folder)/new.txt", "\(folder)/run")
    try Esolm.text.write(to: old)
    try await Esolm.succeed(["train", "--data", old, "--out", run, "--steps", "4"] + Esolm.tiny)
    try FileManager.default.moveItem(atPath: old, toPath: new)
    for command in [["eval", run], ["train", "--resume", run, "--steps", "6"]] {
      let result = try await Esolm.run(command)
      #expect(result.status == 1)
      #expect(result.error.hasPrefix("esolm: error: cannot read \(old), which the run was trained on: "))
      #expect(result.error.contains("--data"))
    }
    let other = try Scratch.file(Esolm.text.replacingOccurrences(of: "cat", with: "dog").utf8)
    let before = try Scratch.snapshot(run)
    let refused = try await Esolm.run(["train", "--resume", run, "--data", other, "--steps", "6"])
    #expect(refused.status == 1)
    #expect(
      refused.error.hasPrefix(
        "esolm: error: this is not the text that \(run) was trained on, \(old): \(other): the text"))
    #expect(try Scratch.snapshot(run) == before)
    try await Esolm.succeed(["train", "--resume", run, "--data", new, "--steps", "6"])
    // The new place is kept.
    try await Esolm.succeed(["eval", run])
  }

  @Test func whatIsNoTokenIsNamed() async throws {
    let file = try Scratch.file("1 2\n\n3 x\n".utf8)
    let result = try await Esolm.run(["detokenize", file, "--tokenizer", "bytes"])
    #expect(result.status == 1)
    #expect(result.error == "esolm: error: \(file): line 3: 'x' is no token, expected 0 to 256\n")
  }

  /// A line without ids is an empty document.
  @Test func emptyLinesStay() async throws {
    let file = try Scratch.file("\n97 98\r\n\n\n99".utf8)
    #expect(try await Esolm.succeed(["detokenize", file, "--tokenizer", "bytes"]).output == "\nab\n\n\nc\n")
  }

  @Test func whatAVocabularyLeavesOutIsSaid() async throws {
    let folder = try Scratch.folder()
    try #"{"<|endoftext|>": 0, "a": 1, "Ġ": 2}"#.write(to: "\(folder)/vocab.json")
    try "".write(to: "\(folder)/merges.txt")
    let text = try Scratch.file("a bad cat".utf8)
    let ids = try await Esolm.succeed(["tokenize", text, "--tokenizer", folder])
    #expect(ids.output == "1 2 1 2 1\n")
    #expect(
      ids.error.contains(
        "\(folder): the vocabulary has no token for 241 of the 256 bytes, such as 0x0, which are left out of text\n"))
  }

  @Test func text8IsInLowerCase() async throws {
    let text = try Scratch.file("Az 9".utf8)
    #expect(try await Esolm.succeed(["tokenize", text, "--tokenizer", "text8"]).output == "8 33 34 7\n")
    let run = "\(try Scratch.folder())/run"
    try await Esolm.succeed(
      ["train", "--data", try Scratch.file(Esolm.text.utf8), "--tokenizer", "text8", "--out", run, "--steps", "2"]
        + Esolm.tiny)
    let configuration = try String(contentsOf: "\(run)/config.json")
    #expect(configuration.contains("\"maskToken\" : 4,") && configuration.contains("\"vocabularySize\" : 35"))
    #expect(try await !Esolm.succeed(["sample", run, "--steps", "4"]).output.isEmpty)
  }
}
