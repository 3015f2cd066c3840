import Corpora
import EsoLM
import Files
import Foundation
import RunSupport
import Runs
import Testing
import TestSupport

/// `config.json` with each of its fields made wrong in turn.
@Suite("config.json")
struct ConfigurationFileTests {
  /// A value that does not fit a field, and what is said of it.
  struct Wrong: Sendable, CustomTestStringConvertible {
    let field: String
    let value: any Sendable
    let message: String
    var testDescription: String { "\(field) = \(value)" }

    init(_ field: String, _ value: any Sendable, _ message: String) {
      (self.field, self.value, self.message) = (field, value, message)
    }
  }

  static let wrong = [
    Wrong("formatVersion", 3, "formatVersion is 3, expected 2, or 1"),
    Wrong(
      "method.algorithm", "gpt", "method.algorithm is 'gpt', expected esolm-b, esolm-a, esolm-a2, ar, mdlm or bd3lm"),
    Wrong("method.alpha0", 1.5, "alpha0 is 1.5, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    Wrong("method.alpha0", -0.1, "alpha0 is -0.1, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    Wrong("method.weighting", "half", "method.weighting is 'half', expected elbo or low_var"),
    Wrong("method.weighting", "low_var", "weighting is low_var, expected elbo where alpha0 is below 1"),
    Wrong("method.objective", "exact", "method.objective is 'exact', expected paper or any-order"),
    Wrong("method.leftToRightShare", 0.5, "leftToRightShare is 0.5, expected none, but with objective any-order"),
    Wrong("method.length", 1, "length is 1, expected 2 to 1048576"),
    Wrong("method.length", 1 << 21, "length is 2097152, expected 2 to 1048576"),
    Wrong("method.length", 8.5, "method.length is 8.5, expected a whole number"),
    Wrong("model.vocabularySize", 1, "vocabularySize is 1, expected 2 to 16777216"),
    Wrong("model.maskToken", 6, "maskToken is 6, expected 0 to 5"),
    Wrong("model.maskToken", 0, "maskToken is 0, expected 5, the first id that is no token of $run/tokenizer.json"),
    Wrong("model.hiddenSize", 0, "hiddenSize is 0, expected 2 to 65536"),
    Wrong("model.numBlocks", 0, "numBlocks is 0, expected 1 to 1024"),
    Wrong("model.numHeads", 0, "numHeads is 0, expected 1 to 8"),
    Wrong(
      "model.numHeads", 3, "numHeads is 3, expected heads of one even size, so that 2 · numHeads divides hiddenSize 8"),
    Wrong("model.conditioningSize", 0, "conditioningSize is 0, expected 1 to 65536"),
    Wrong("model.dropout", 1, "dropout is 1.0, expected a number from 0 up to, not including, 1"),
    Wrong("data.validationFraction", 1, "validationFraction is 1.0, expected a number between 0 and 1"),
    Wrong("data.kind", "web", "data.kind is 'web', expected text, textFile, toyLanguage or converted"),
    Wrong("data.kind", "toyLanguage", "field 'data.sequences' is missing"),
    Wrong("data.paths", 1, "data.paths is 1, expected a list of texts"),
    Wrong(
      "data.fingerprint", 1,
      "data.fingerprint is 1, expected a text; numbers and words such as true are one in quotes"),
    Wrong("data.path", "text.txt", "there is no setting data.path; the nearest is data.paths"),
    Wrong("training.steps", 0, "training.steps is 0, expected at least 1"),
    Wrong("training.batchSize", 0, "training.batchSize is 0, expected 1 to 1048576"),
    Wrong(
      "training.batchSize", 1,
      "batchSize is 1, expected at least 2 where 0 < alpha0 < 1, since a batch is split between two terms"),
    Wrong(
      "training.seed", -1, "training.seed is -1, expected a whole number from 0"),
    Wrong("training.learningRate", 0, "learningRate is 0.0, expected a number above 0"),
    Wrong("training.warmupSteps", -1, "warmupSteps is -1, expected at least 0"),
    Wrong("training.weightDecay", -1, "training.weightDecay is -1.0, expected a number from 0"),
    Wrong("training.gradientClip", 0, "training.gradientClip is 0.0, expected a number above 0"),
    Wrong("training.emaDecay", 1, "training.emaDecay is 1.0, expected a number from 0 up to, not including, 1"),
    Wrong("training.bfloat16", 1, "training.bfloat16 is 1, expected true or false"),
    Wrong("training.validationInterval", 0, "training.validationInterval is 0, expected at least 1"),
    Wrong("training.validationSequences", 0, "training.validationSequences is 0, expected at least 1"),
    Wrong("training.recomputes", "yes", "training.recomputes is 'yes', expected true or false"),
    Wrong("training.decay", "log", "training.decay is 'log', expected constant, cosine, linear or step"),
    Wrong("training.finalShare", 2, "finalShare is 2.0, expected a number from 0 to 1"),
    Wrong("training.decayInterval", 0, "decayInterval is 0, expected at least 1"),
    Wrong("training.decayFactor", 0, "decayFactor is 0.0, expected a number above 0, at most 1"),
    Wrong("training.sampleTexts", 65, "training.sampleTexts is 65, expected 0 to 64"),
    Wrong("training.keepLast", 0, "training.keepLast is 0, expected at least 1"),
    Wrong("training.keepsBest", 1, "training.keepsBest is 1, expected true or false"),
    Wrong("training.saveInterval", 0, "training.saveInterval is 0, expected at least 1"),
    Wrong("rounding.precision", "int8", "field 'rounding.run' is missing"),
  ]

  @Test(arguments: wrong) func aWrongValueIsNamed(wrong: Wrong) throws {
    let path = try TinyRun.make().path
    try change(path, wrong.field, to: wrong.value)
    #expect(
      message { try RunFolder(opening: path) }
        == "\(path)/config.json: \(wrong.message.replacingOccurrences(of: "$run", with: path))")
  }

  @Test func everyFieldHasAWrongValueAbove() throws {
    #expect(Set(try fields()).subtracting(Self.wrong.map(\.field)) == [])
  }

  @Test func everyFieldIsOfItsType() throws {
    let path = try TinyRun.make().path
    for field in try fields() {
      let original = try contents(of: path)
      try change(path, field, to: [["a": "list"]])
      let wrongType = try #require(message { try RunFolder(opening: path) })
      #expect(wrongType.hasPrefix("\(path)/config.json: "), "\(wrongType)")
      try write(original, path)
    }
  }

  /// What has a default can be left out, as by runs from before there was such a setting.
  @Test func whatHasNoDefaultMustBeThere() throws {
    let path = try TinyRun.make().path
    let needed =
      ["formatVersion", "method.algorithm", "method.length", "data.kind", "data.paths", "data.fingerprint"]
      + ["vocabularySize", "maskToken", "hiddenSize", "numBlocks", "numHeads", "dropout"].map { "model.\($0)" }
    for field in try fields() {
      let original = try contents(of: path)
      try change(path, field, to: nil)
      let problem = message { try RunFolder(opening: path) }
      switch field {
      case _ where needed.contains(field): #expect(problem == "\(path)/config.json: field '\(field)' is missing")
      // α₀ belongs to some methods only, and conditioning to some networks: it is others that miss them.
      case "method.alpha0", "model.conditioningSize":
        #expect(problem?.contains("is missing, expected a") == true, "\(problem ?? "")")
      default: #expect(problem == nil)
      }
      try write(original, path)
    }
  }

  @Test(arguments: ["text", "files", "csv"]) func filesOfTheFirstFormatAreRead(name: String) throws {
    let path = "\(PresetTests.root)/Tests/Fixtures/config_format_1/\(name).json"
    let run: RunConfiguration = try JSONFile.read(from: path)
    #expect(run.formatVersion == RunConfiguration.currentFormat)
    #expect((run.model.hiddenSize, run.method.length, run.training.steps, run.training.batchSize) == (16, 16, 1, 2))
    guard case .corpus(let corpus, let fingerprint) = run.data.source else {
      Issue.record("\(run.data.source)")
      return
    }
    #expect(fingerprint.count >= 64)
    switch name {
    case "text":
      #expect(run.method == MethodConfiguration(alpha0: 0.25, length: 16))
      #expect((run.training.seed, run.training.keepLast, run.training.keepsBest) == (.max, 3, true))
      #expect(corpus.validation == .share(0.1) && corpus.source.format == .byFile(documents: .file))
      #expect(run.training.learningRates.decay == .constant && !run.training.recomputes)
    case "files":
      #expect((run.method.blockSize, run.method.resamplesMasks, run.method.startToken) == (8, true, .beginning))
      #expect(run.method.noiseRange == .fixed(low: 0.3, high: 0.8))
      #expect(corpus.packing == .crop && corpus.tokenFolder != nil && corpus.source.takesAnyBytes == true)
      #expect(corpus.validation == .source(corpus.source))
    default:
      #expect(run.method.prepend == .bos && run.model.conditioningSize == 8)
      #expect(corpus.source.format == .csv(columns: ["2"], hasHeader: true))
    }
    // What is written now is read back as the same, in keys that people write too.
    try withTemporaryFolder { folder in
      try JSONFile.write(run, to: "\(folder)/config.json")
      #expect(try JSONFile.read(RunConfiguration.self, from: "\(folder)/config.json") == run)
      #expect(try !String(contentsOf: "\(folder)/config.json").contains("\"_"))
    }
  }

  @Test(arguments: [
    DataConfiguration(source: .toyLanguage(sequences: 5, seed: .max), validationFraction: 0.25),
    DataConfiguration(source: .converted(from: "a b.ckpt")),
    DataConfiguration(source: .file(path: "x", fingerprint: "1")),
    DataConfiguration(
      source: .corpus(
        CorpusConfiguration(
          source: CorpusSource(
            paths: ["a", "b"], format: .text(documents: .separated(by: "\n\n")), skipsBadLines: true),
          validation: .tokens(training: 5, validation: 6), packing: .padded, appendsEndOfText: false, tokenFolder: "t"),
        fingerprint: "f")),
    DataConfiguration(
      source: .corpus(
        CorpusConfiguration(
          source: CorpusSource(paths: ["a"], format: .jsonLines(field: "x"), detokenizer: .lm1b),
          validation: .source(CorpusSource(paths: ["c"], format: .csv(columns: ["1", "b"], hasHeader: true)))),
        fingerprint: "f")),
    DataConfiguration(
      source: .corpus(
        CorpusConfiguration(source: CorpusSource(paths: ["a"]), validation: .lastDocuments(7)), fingerprint: "f")),
  ]) func dataAreReadBackAsTheyWere(data: DataConfiguration) throws {
    var run = TinyRun.configuration
    run.data = data
    run.tokenCount = 3
    let decoded = try JSONDecoder().decode(RunConfiguration.self, from: JSONEncoder().encode(run))
    #expect(decoded == run)
  }

  @Test(arguments: [
    ("", "is no valid JSON"), ("{", "is no valid JSON"), ("\u{0}", "is no valid JSON"), ("[]", "is no JSON object"),
  ])
  func whatIsNoJSONObjectIsRefused(text: String, reason: String) throws {
    let path = try TinyRun.make().path
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/config.json"))
    #expect(message { try RunFolder(opening: path) } == "\(path)/config.json: it \(reason)")
  }

  // MARK: Helpers

  /// The paths of all fields that hold no further ones.
  private func fields() throws -> [String] {
    func leaves(_ object: [String: Any], _ prefix: String) -> [String] {
      object.flatMap { name, value in
        (value as? [String: Any]).map { leaves($0, "\(prefix)\(name).") } ?? ["\(prefix)\(name)"]
      }
    }
    return leaves(try contents(of: TinyRun.make().path), "")
  }

  private func contents(of run: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(run)/config.json"))
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private func change(_ run: String, _ field: String, to value: Any?) throws {
    func changed(_ object: [String: Any], _ path: ArraySlice<Substring>) -> [String: Any] {
      var object = object
      let name = String(path.first!)
      object[name] = path.count == 1 ? value : changed(object[name] as? [String: Any] ?? [:], path.dropFirst())
      return object
    }
    try write(changed(try contents(of: run), field.split(separator: ".")[...]), run)
  }

  private func write(_ object: [String: Any], _ run: String) throws {
    try JSONSerialization.data(withJSONObject: object).write(to: URL(fileURLWithPath: "\(run)/config.json"))
  }
}
