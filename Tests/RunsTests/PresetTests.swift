import EsoLM
import Foundation
import Runs
import Settings
import TestSupport
import Testing
import Tokenizers

/// The files of the folder `configs`.
@Suite("Presets")
struct PresetTests {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/configs")) ?? []
    return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }()

  /// A vocabulary by its size, whose mask is its last token or one more.
  private struct Vocabulary {
    let size: Int
    static let (bert, gpt2) = (Vocabulary(size: 30_522), Vocabulary(size: 50_258))
  }

  private func settings(_ name: String, _ overrides: String...) throws -> RunSettings {
    var given = try GivenSettings(contentsOf: "\(Self.root)/configs/\(name).yaml", for: RunSettings.self)
    for override in overrides { given.merge(try GivenSettings(override: override, for: RunSettings.self)) }
    return try RunSettings(given)
  }

  @Test func everyRunOfThePaperHasOne() {
    let methods =
      ["ar", "ar-adaln", "mdlm", "bd3lm-4", "bd3lm-8", "bd3lm-16"]
      + ["1", "0.5", "0.25", "0.125", "0.0625", "0"].flatMap { ["alpha\($0)", "a-alpha\($0)"] }
    let expected = ["lm1b", "owt"].flatMap { data in [data] + methods.map { "\(data)-\($0)" } }
    #expect(Set(Self.names) == Set(expected + ["paper", "owt-long", "char", "toy"] + Self.sudokus))
  }

  /// Each is read, resolved, and its network made by shapes alone.
  @Test(arguments: names) func isResolvedAndHasThePapersSizes(name: String) throws {
    let settings = try settings(name)
    let configuration = try settings.configuration(ByteTokenizer(), source: .toyLanguage(sequences: 2, seed: 0))
    var network = configuration.model
    let vocabulary = name.hasPrefix("lm1b") ? Vocabulary.bert : .gpt2
    (network.vocabularySize, network.maskToken) = (vocabulary.size, vocabulary.size - 1)
    let count = ParameterLayout(network).count
    guard !["char", "toy"].contains(name), !Self.sudokus.contains(name) else { return }
    #expect(count == parameters(vocabulary.size, isModulated: !name.hasSuffix("-ar")))
    #expect(network.dropout == 0.1)

    let method = configuration.method
    let parts = name.split(separator: "-").map(String.init)
    #expect(method.length == (name == "owt-long" ? 10_240 : parts[0] == "owt" ? 1024 : 128))
    #expect(name == "paper" || settings.data.corpus.dataset == (parts[0] == "owt" ? "openwebtext" : "lm1b"))
    let training = configuration.training
    #expect(name == "paper" || training.steps == (parts[0] == "owt" ? 250_000 : 1_000_000))
    #expect(
      training.batchSize == 512 && training.bfloat16
        && training.learningRates == LearningRateSchedule(peak: 3e-4, warmupSteps: 2500))
    #expect((training.weightDecay, training.gradientClip, training.emaDecay) == (0, 1, 0.9999))

    if let alpha = parts.last, alpha.hasPrefix("alpha") {
      #expect(method.alpha0 == Double(alpha.dropFirst(5)))
      #expect(method.algorithm == (parts.contains("a") ? .esolmA : .esolmB))
    } else if parts.contains("bd3lm") {
      #expect(method.algorithm == .blockDiffusion && method.blockSize == Int(parts[2]))
    } else if parts.count > 1, parts[1] != "long" {
      #expect(method.algorithm == (parts[1] == "ar" ? .autoregressive : .maskedDiffusion))
    }
  }

  static let sudokus = ["", "-alpha1", "-a2", "-masks", "-finetune", "-mdlm", "-cpu"].map { "sudoku" + $0 }

  /// The authors' runs on Sudokus, and one for a small machine.
  @Test(arguments: sudokus) func sudokusAreTrainedAsTheAuthorsDo(name: String) throws {
    let settings = try settings(name)
    let configuration = try settings.configuration(SudokuTokenizer(), source: .toyLanguage(sequences: 2, seed: 0))
    let (method, model, training) = (configuration.method, configuration.model, configuration.training)
    #expect(settings.data.tokenizer == "sudoku" && settings.data.corpus.appendsEndOfText == false)
    #expect(method.weighting ?? .elbo == .elbo)
    #expect((model.vocabularySize, model.maskToken) == (12, 0))
    let kinds: [String: (Algorithm, DiffusionOrders)] = [
      "sudoku-a2": (.esolmA2, .init(clean: .leftToRight)), "sudoku-mdlm": (.maskedDiffusion, .random),
      "sudoku-masks": (.esolmB, .init(masks: .leftToRight)),
    ]
    let (algorithm, orders) = kinds[name] ?? (.esolmB, .random)
    #expect(method.algorithm == algorithm)
    let made = try method.method(for: TextTokens(mask: 0, beginning: 10, end: 11))
    #expect(made.diffusionOrders == orders)
    let isUnsaid = name == "sudoku" || name == "sudoku-cpu"
    #expect(made.diffusedShare == (isUnsaid ? 0.5 : algorithm == .maskedDiffusion ? nil : 1))
    guard name != "sudoku-cpu" else {
      return #expect(method.length == 83 && settings.data.corpus.packing == .framed)
    }
    #expect(method.length == 81 && model.dropout == 0.1)
    #expect((model.hiddenSize, model.numBlocks, model.numHeads) == (256, 8, 8))
    #expect((training.batchSize, training.steps, training.validationInterval) == (512, 1_000_000, 3525))
    #expect(training.learningRates.peak == (name == "sudoku-finetune" ? 3e-5 : 3e-4))
  }

  /// The numbers of section 7 of the paper's description, added up by hand; with V = 50258 about 170 million.
  private func parameters(_ vocabulary: Int, isModulated: Bool) -> Int {
    let (hidden, conditioning) = (768, 128)
    let block = 2 * hidden + 4 * hidden * hidden + 8 * hidden * hidden + 5 * hidden
    let output = hidden + vocabulary * hidden + vocabulary
    let plain = vocabulary * hidden + 12 * block + output
    guard isModulated else { return plain }
    let noise = 257 * conditioning + (conditioning + 1) * conditioning
    return plain + noise + 12 * 6 * hidden * (conditioning + 1) + 2 * hidden * (conditioning + 1)
  }

  @Test func theSmallNetworkHas170MillionParameters() {
    #expect(parameters(50_258, isModulated: true) == 169_627_218)
  }

  /// What is printed is read back as the same.
  @Test(arguments: names) func whatIsResolvedResolvesToItself(name: String) throws {
    let first = try settings(name)
    let second = try withTemporaryFolder { folder in
      try SettingTree(first.values).yaml.write(to: "\(folder)/x.yaml")
      return try RunSettings(GivenSettings(contentsOf: "\(folder)/x.yaml", for: RunSettings.self))
    }
    #expect(first.values.map(\.key) == second.values.map(\.key))
    #expect(first.values.map(\.value) == second.values.map(\.value))
  }
}

/// What follows from the declarations beside files.
@Suite("Settings of runs")
struct RunSettingsTests {
  @Test func noTwoSettingsHaveOneName() {
    for names in [RunSettings.settings.map(\.name), RunSettings.settings.compactMap(\.flag)] {
      #expect(Set(names).count == names.count)
    }
  }

  @Test func aShortRunWarmsUpForATenthOfItsStepsUnlessItIsSaid() throws {
    func warmup(_ overrides: String...) throws -> Int {
      var given = GivenSettings()
      for override in overrides { given.merge(try GivenSettings(override: override, for: RunSettings.self)) }
      return try RunSettings(given).training.warmupSteps
    }
    #expect(try warmup("training.steps=50") == 5)
    #expect(try warmup("training.steps=1e6") == 2500)
    #expect(try warmup("training.steps=50", "training.warmupSteps=40") == 40)
  }

  /// The documentation's table is the declarations'. `ESOLM_UPDATE_SNAPSHOTS=1` writes it anew.
  @Test func theDocumentationHasTheTable() throws {
    let path = "\(PresetTests.root)/Documentation.docc/Settings.md"
    let text = try String(contentsOf: path)
    let mark = "## All settings\n"
    let start = try #require(text.range(of: mark)).upperBound
    let expected = String(text[..<start]) + "\n" + Self.table
    if ProcessInfo.processInfo.environment["ESOLM_UPDATE_SNAPSHOTS"] != nil {
      try expected.write(to: path)
    }
    #expect(try String(contentsOf: path) == expected, "ESOLM_UPDATE_SNAPSHOTS=1 writes it anew")
  }

  private static var table: String {
    let rows = RunSettings.settings.map { setting in
      [
        "`\(setting.key)`", setting.flag.map { "`--\($0)`" } ?? "", RunSettings.usual(setting) ?? "",
        setting.help.replacingOccurrences(of: "\n", with: " "),
      ].map { $0.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "<", with: "\\<") }
    }
    let lines = [["key", "flag", "default", "what it does"], ["---", "---", "---", "---"]] + rows
    return lines.map { "| \($0.joined(separator: " | ")) |\n" }.joined()
  }
}
