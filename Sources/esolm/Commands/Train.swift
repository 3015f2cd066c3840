import ArgumentParser
import Checkpoints
import Corpora
import EsoLM
import Files
import Foundation
import Runs
import Settings
import Tokenizers
import Tool
import Torch
import Training

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train an Eso-LM, or a model that it is compared with, on text.",
    discussion: """
      Writes a run folder: configuration, tokenizer, weights and their moving average, optimiser state, metrics. \
      Ctrl-C stops after the current step with everything saved, as do SIGTERM, SIGHUP and SIGUSR1 (Slurm's warning: \
      sbatch --signal=USR1@120); --resume goes on exactly as if it had not stopped. One process at a time trains a run.

        esolm train --data shakespeare.txt --out runs/first --alpha0 0.5 --steps 2000
        esolm train --data shakespeare.txt --out runs/blocks --algo bd3lm --block-size 8
        esolm train --resume runs/first --steps 4000
        esolm train --data plays.txt --out runs/longer --init-from runs/first --length 512 --learning-rate 1e-4
        esolm train --data web/ --field text --tokenizer gpt2/ --out runs/web --length 1024
        esolm train --dataset lm1b --data-dir lm1b/ --tokenizer bert-base-uncased/ --out runs/lm1b
        esolm train configs/char.yaml training.learningRate=1e-4 --data shakespeare.txt --out runs/char

      A configuration is a YAML file; what it says key=value can replace, and that a flag. The keys are in the article Settings of \
      the documentation; --print-config shows all that have a value.

      Algorithms (--algo): \(Algorithm.all.map { "\($0.rawValue), \($0.summary)" }.joined(separator: "; ")).

      Unless sizes are given, the network is tiny: width \(tiny.hiddenSize), \(tiny.numBlocks) blocks, \(tiny.numHeads) heads, \
      conditioning \(tiny.conditioningSize ?? 0), dropout \(tiny.dropout).
      """)

  private static let tiny = TransformerConfiguration(.tiny, vocabularySize: 2)

  @Argument(
    help: ArgumentHelp("A configuration (YAML), and settings that replace its own.", valueName: "file|key=value"))
  var settings: [String] = []

  @Option(help: ArgumentHelp("The run folder to make.", valueName: "run"))
  var out: String?

  @Option(
    help: ArgumentHelp(
      "The run to go on with; with it goes only what does not change the run: "
        + RunSettings.settings.filter(\.mayChange).compactMap { $0.flag.map { "--\($0)" } }.joined(separator: ", ")
        + ", --time-limit, --device and --threads.",
      valueName: "run"))
  var resume: String?

  @Option(
    help: ArgumentHelp(
      "Start from the weights (their moving average) of a run or any checkpoint that `esolm inspect` reads. Sizes and tokenizer are its own; data, length, alpha0 and all else may be others.",
      valueName: "run"))
  var initFrom: String?

  @Option(help: ArgumentHelp("Stop after so many minutes, with everything saved.", valueName: "minutes"))
  var timeLimit: Double?

  @Flag(help: "Print the configuration with all that follows from it, as a file that can be given again, and end.")
  var printConfig = false

  @OptionGroup(title: "Algorithm") var method: SettingOptions<MethodSettings>
  @OptionGroup(title: "Model") var model: SettingOptions<NetworkSettings>
  @OptionGroup(title: "Training") var training: SettingOptions<TrainingConfiguration>
  @OptionGroup(title: "Data") var data: SettingOptions<DataSettings>
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("time-limit", timeLimit, in: 0...1e9)
    for (option, path) in [("out", out), ("resume", resume), ("init-from", initFrom)] where path == "" {
      throw ValidationError("--\(option) is empty, expected a path")
    }
    if printConfig, let resume {
      throw ValidationError(
        "--print-config tells what a new run would be, expected no --resume; that run's is in \(resume)/config.json")
    }
    // What is in files is not looked at before options that do not exist were found.
    guard settings.isEmpty, resume == nil, initFrom == nil else { return }
    _ = try asUsage { try TrainingRequest(given()) }
  }

  func run() throws {
    let end = timeLimit.map { ContinuousClock.now + .seconds(60 * $0) }
    let given = try asUsage { try self.given() }
    if printConfig {
      let request = try asUsage { try TrainingRequest(given, startingFrom: initFrom) }
      return try printOutput(SettingTree(request.settings.values).yaml)
    }
    try device.apply()
    Torch.keepMemory()
    try SharedTraining.run(threads: device.threads, on: device.device) { group in
      let trainer = try SharedTraining.trainer(of: resume ?? out, device: device.device, group: group) {
        try asUsage { () -> Trainer in
          if let resume { return try resumed(resume, given, group) }
          return try started(given, group)
        }
      }
      func shouldStop() -> Bool { Interrupt.shared.wasRequested || end.map { .now >= $0 } ?? false }
      var view = TrainingView(
        group, bfloat16: trainer.run.configuration.training.bfloat16, device: device.device)
      try Interrupt.shared.noting { try trainer.train(shouldStop: shouldStop) { view.show($0) } }
      view.clear()
      let step = trainer.learner.step
      if group.isLeader, step < trainer.run.configuration.training.steps {
        printError("stopped at step \(step), saved; go on with: esolm train --resume \(trainer.run.path)")
      }
    }
  }

  /// What the file, then `key=value`, then flags say.
  private func given() throws -> GivenSettings {
    let isOverride = { (word: String) in word.prefixMatch(of: /[A-Za-z0-9_.]*=/) != nil }
    let files = settings.filter { !isOverride($0) }
    if let other = files.first(where: { name in !["yaml", "yml"].contains { name.hasSuffix(".\($0)") } }) {
      throw ValidationError(
        "found \(other), expected a configuration (.yaml) or key=value; text to learn from is named by --data")
    }
    guard files.count < 2 else {
      throw ValidationError("found \(files.count) configurations, \(files.joined(separator: ", ")), expected one")
    }
    var given = try files.first.map { try GivenSettings(contentsOf: $0, for: RunSettings.self) } ?? GivenSettings()
    for word in settings where isOverride(word) {
      given.merge(try GivenSettings(override: word, for: RunSettings.self))
    }
    given.merge(try method.given(), under: "method")
    given.merge(try model.given(), under: "model")
    given.merge(try training.given(), under: "training")
    given.merge(try data.given(), under: "data")
    return given
  }

  private func started(_ given: GivenSettings, _ group: ProcessGroup) throws -> Trainer {
    let request = try TrainingRequest(given, startingFrom: initFrom)
    try request.requireData()
    guard let out else { throw ValidationError("--out is missing: name the run folder to make") }
    try RunFolder.requireFree(out)
    let (settings, start) = (request.settings, request.start)
    return try given.locating(RunSettings.self) {
      let fixed = try start?.tokenizer ?? settings.data.fixedTokenizer()
      let description = try settings.data.configuration(for: fixed)
      // Before a long text is read.
      _ = try settings.training.microBatches(processes: group.count)
      let tokenizer = try description.tokenizer(fixed)
      let text = try Corpus(
        description, length: settings.method.configuration.length, tokenizer: tokenizer, seed: settings.training.seed,
        progress: TokenizationView.show())
      let configuration = try settings.configuration(
        tokenizer, source: .corpus(description, fingerprint: text.fingerprint), startingFrom: start?.network)
      let trainer = try Trainer(
        creating: out, configuration: configuration, tokenizer: tokenizer,
        weights: try start?.model(for: tokenizer, device: device.device), data: text, device: device.device,
        group: group)
      try description.reportReading(into: text.files)
      return trainer
    }
  }

  private func resumed(_ path: String, _ given: GivenSettings, _ group: ProcessGroup) throws -> Trainer {
    guard out == nil, initFrom == nil else {
      throw ValidationError("--resume \(path) goes on with a run, expected neither --out nor --init-from")
    }
    let run = try RunFolder(resuming: path)
    var configuration = run.configuration
    try configuration.change(given, of: path)
    let restored = try run.restore(device: device.device)
    let step = restored.state.step
    for reason in restored.skipped {
      printError("esolm: note: a newer checkpoint was skipped: \(reason); going on from step \(step)")
    }
    try given.locating(RunSettings.self) {
      try ConfigurationError.require(
        given["training.steps"] == nil || configuration.training.steps >= step, "steps", configuration.training.steps,
        expected: "at least \(step), where \(path) is already")
    }
    var text = DataSettings()
    try given.apply(to: &text, under: "data")
    var data: Corpus?
    if !text.paths.isEmpty || !text.validationPaths.isEmpty {
      let (paths, validationPaths) = (try text.places(text.paths), try text.places(text.validationPaths))
      if let missing = (paths + validationPaths).first(where: { !FileManager.default.fileExists(atPath: $0) }) {
        throw FileError("cannot read \(missing): there is no such file")
      }
      configuration.data = try configuration.data.moved(to: paths, validation: validationPaths)
      do {
        data = try Corpus(
          configuration.data, length: configuration.method.length, tokenizer: run.tokenizer,
          seed: configuration.training.seed)
      } catch let error as FileError {
        let paths = run.configuration.data.paths.joined(separator: ", ")
        throw FileError("this is not the text that \(path) was trained on, \(paths): \(error)")
      }
    }
    let trainer = try given.locating(RunSettings.self) {
      try Trainer(run, as: configuration, data: data, state: restored.state, group: group)
    }
    let (old, new) = (run.configuration.training, configuration.training)
    if old.steps != new.steps, step < new.steps, [.cosine, .linear].contains(new.learningRates.decay) {
      let rates = [old, new].map { Float($0.learningRates.rate(step: min(step, $0.steps), of: $0.steps)) }
      printError(
        "esolm: note: the learning rate falls over all steps, \(new.steps) in place of \(old.steps): "
          + "of step \(step + 1) it is \(rates[1]) in place of \(rates[0])")
    }
    return trainer
  }
}

extension DataSettings {
  /// The tokenizer's name or files, if they are said.
  private var tokenizerChoice: TokenizerChoice? {
    get throws {
      try tokenizer.map { name in
        guard let choice = TokenizerChoice(argument: name) else {
          throw ConfigurationError(field: "tokenizer", found: "empty", expected: "a name, or files")
        }
        return choice
      }
    }
  }

  /// The tokenizer that was chosen, else that of the data set's published figures; nil for the text's characters.
  fileprivate func fixedTokenizer() throws -> (any Tokenizer)? {
    if let choice = try tokenizerChoice { return try choice.tokenizer() }
    guard let preset = try corpus.preset() else { return nil }
    guard preset.vocabulary != .text8 else { return Text8Tokenizer() }
    throw ValidationError(
      "--tokenizer is missing: name the files of \(preset.vocabulary.rawValue), which \(preset.name)'s published "
        + "figures are with, or another")
  }

  /// The corpus that is described.
  fileprivate func configuration(for tokenizer: (any Tokenizer)?) throws -> CorpusConfiguration {
    let folder = try corpus.tokenFolder.map(absolutePath)
    var found: CorpusConfiguration
    if let preset = try corpus.preset(), let dataFolder = corpus.folder {
      found = try preset.corpus(in: absolutePath(dataFolder), tokenFolder: folder)
    } else {
      found = CorpusConfiguration(
        source: try source(paths, for: tokenizer),
        validation: validationPaths.isEmpty
          ? .share(validationFraction) : .source(try source(validationPaths, for: tokenizer)),
        tokenFolder: folder)
    }
    if let packing = corpus.packing { found.packing = packing }
    if let appends = corpus.appendsEndOfText { found.appendsEndOfText = appends }
    return found
  }

  private func source(_ paths: [String], for tokenizer: (any Tokenizer)?) throws -> CorpusSource {
    try corpus.text.source(places(paths), for: tokenizer)
  }

  /// Where named files and folders are, each once.
  fileprivate func places(_ paths: [String]) throws -> [String] {
    let paths = try listed(paths).map(absolutePath)
    if let twice = Dictionary(grouping: paths, by: \.self).first(where: { $1.count > 1 }) {
      throw ValidationError("\(twice.key) is named \(twice.value.count) times as data, expected once")
    }
    return paths
  }
}

/// A training that was asked for: its settings, and the weights to start from.
private struct TrainingRequest {
  let settings: RunSettings
  let start: InitialWeights?
  private let given: GivenSettings

  /// - Throws: an error naming the first setting that does not fit.
  init(_ given: GivenSettings, startingFrom path: String? = nil) throws {
    self.given = given
    var said = RunSettings()
    try given.apply(to: &said)
    let preset = try given.locating(RunSettings.self) {
      try said.data.corpus.validate()
      return try said.data.corpus.preset()
    }
    let length = given["method.length"] == nil ? preset?.length : said.method.configuration.length
    start = try path.map {
      try InitialWeights(
        opening: $0,
        for: try ModelSettings(given, said.method.configuration, length: length, heads: said.model.numHeads))
    }
    settings = try RunSettings(
      given, usualLength: preset?.length, startingFrom: start.map { ($0.method, $0.network) })
    if let path, start?.tokenizer != nil, said.data.tokenizer != nil {
      try given.locating(RunSettings.self) {
        throw ConfigurationError(
          field: "tokenizer", found: said.data.tokenizer ?? "",
          expected: "none with --init-from \(path), which has a tokenizer of its own")
      }
    }
    // With weights the vocabulary is theirs, and the run's is checked when that is known.
    try given.locating(RunSettings.self) {
      _ = try settings.configuration(
        ByteTokenizer(), source: .toyLanguage(sequences: 2, seed: 0), startingFrom: start?.network)
    }
  }

  /// Throws unless it is said what to train on. Not said when all else is checked: the search for options that do not
  /// exist comes first.
  func requireData() throws {
    let data = settings.data
    try given.locating(RunSettings.self) { try data.corpus.requireFolder() }
    guard !data.paths.isEmpty || data.corpus.dataset != nil else {
      throw ValidationError("--data is missing: name a text file, a --dataset, or a run to --resume")
    }
    guard data.corpus.dataset != nil else { return }
    try given.locating(RunSettings.self) {
      for (field, paths) in [("paths", data.paths), ("validationPaths", data.validationPaths)] where !paths.isEmpty {
        throw ConfigurationError(
          field: field, found: paths.joined(separator: ", "), expected: "none with a data set, which has its own")
      }
    }
  }
}

extension ModelSettings {
  /// What weights to start from need not say themselves: all of an algorithm that is named, else what is given.
  fileprivate init(_ given: GivenSettings, _ said: MethodConfiguration, length: Int?, heads: Int?) throws {
    self.init()
    if given["method.algorithm"] != nil {
      self.init(try MethodSettings(given, length: 0).configuration)
    } else {
      (alpha0, prepend, blockSize) = (said.alpha0, said.prepend, said.blockSize)
      (noiseRange, keepsFirstToken, resamplesMasks) = (said.noiseRange, said.keepsFirstToken, said.resamplesMasks)
    }
    self.length = length
    network.numHeads = heads
  }
}

extension RunConfiguration {
  /// Takes what is given anew; of what would change the run only what it has.
  fileprivate mutating func change(_ given: GivenSettings, of path: String) throws {
    var settings = RunSettings()
    try given.apply(to: &settings)
    let said = Dictionary(settings.values.map { ($0.key, $0.value) }) { $1 }
    for setting in RunSettings.settings where !setting.mayChange {
      let found = said[setting.key] ?? .none
      guard let entry = given[setting.key], found != value(of: setting.key) ?? .none else { continue }
      let own = value(of: setting.key)?.plainText
      throw SettingError(
        setting.key, at: entry.place, found: found.plainText,
        expected: own.map { "\($0), as \(path) was begun: --resume changes no setting of the training" }
          ?? "none with --resume: it is a setting that \(path) was begun with")
    }
    try given.apply(to: &training, under: "training")
    try given.locating(RunSettings.self) { try validate() }
  }
}

extension TransformerConfiguration {
  /// The network of the demo and of comparisons, small enough to learn something within minutes.
  static func quick(for tokenizer: some Tokenizer) -> TransformerConfiguration {
    TransformerConfiguration(
      vocabularySize: tokenizer.modelVocabularySize, maskToken: tokenizer.modelMaskToken, hiddenSize: 128,
      numBlocks: 4, numHeads: 4, dropout: 0)
  }
}
