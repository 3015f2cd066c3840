import ArgumentParser
import Checkpoints
import Corpora
import EsoLM
import Files
import Foundation
import Runs
import Tokenizers
import Tool
import Torch
import Training

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train an Eso-LM, or a model that it is compared with, on a text file.",
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

      Algorithms (--algo): \(Algorithm.all.map { "\($0.rawValue), \($0.summary)" }.joined(separator: "; ")).

      Unless sizes are given, the network is tiny: width 256, 8 blocks, 8 heads, conditioning 128, dropout 0.1.
      """)

  @Option(
    help: ArgumentHelp(
      "What to learn from: files and folders of text (UTF-8), JSON lines or CSV, or a token file; can be repeated. With "
        + "--resume, where the run's text is now.", valueName: "path"))
  var data: [String] = []

  @Option(
    help: ArgumentHelp(
      "What to validate on, read like --data; can be repeated. (default: a share of the data)", valueName: "path"))
  var validationData: [String] = []

  @Option(help: ArgumentHelp("The run folder to make.", valueName: "run"))
  var out: String?

  @Option(
    help: ArgumentHelp(
      "The run to go on with; only --data, --validation-data, --steps, --device and --threads go with it.",
      valueName: "run"))
  var resume: String?

  @Option(
    help: ArgumentHelp(
      "Start from the weights (their moving average) of a run or any checkpoint that `esolm inspect` reads. Sizes and tokenizer are its own; data, length, alpha0 and all else may be others.",
      valueName: "run"))
  var initFrom: String?

  @Option(help: ArgumentHelp("Train until this step. (default: 10000)"))
  var steps: Int?

  @Option(help: ArgumentHelp("Stop after so many minutes, with everything saved.", valueName: "minutes"))
  var timeLimit: Double?

  @OptionGroup(title: "Algorithm") var method: MethodOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Data") var corpus: CorpusOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    if let resume {
      guard out == nil, initFrom == nil, !method.isGiven, !model.isGiven,
        !training.isGiven,
        !corpus.isGiven
      else {
        throw ValidationError(
          "--resume \(resume) takes its settings from the run; only --data, --validation-data, --steps, --device and "
            + "--threads go with it")
      }
    } else if initFrom == nil {
      _ = try configuration(ByteTokenizer(), source: .toyLanguage(sequences: 2, seed: 0))
    } else if model.isSizeGiven || method.isModulatedAR {
      throw ValidationError(
        "--init-from takes the network's sizes from the weights; only --dropout may be given with it "
          + "(esolm convert makes a run of weights that do not say their own)")
    }
    try require("steps", steps, in: 1...)
    try require("time-limit", timeLimit, in: 0...1e9)
  }

  func run() throws {
    let end = timeLimit.map { ContinuousClock.now + .seconds(60 * $0) }
    try device.apply()
    Torch.keepMemory()
    try SharedTraining.run(threads: device.threads) { group in
      let trainer = try SharedTraining.trainer(of: resume ?? out, device: device.device, group: group) {
        try resume.map { try resumed($0, group) } ?? started(group)
      }
      try TrainingView(group).run(trainer, until: end)
      let step = trainer.learner.step
      if group.isLeader, step < trainer.run.configuration.training.steps {
        printError("stopped at step \(step), saved; go on with: esolm train --resume \(trainer.run.path)")
      }
    }
  }

  private func started(_ group: ProcessGroup) throws -> Trainer {
    // Not said by `validate`, which comes before the search for options that do not exist.
    guard !data.isEmpty || corpus.dataset != nil else {
      throw ValidationError("--data is missing: name a text file, a --dataset, or a run to --resume")
    }
    guard data.isEmpty || corpus.dataset == nil else {
      throw ValidationError("--data and --dataset exclude each other")
    }
    guard validationData.isEmpty || corpus.dataset == nil else {
      throw ValidationError("--validation-data and --dataset exclude each other: a data set has its own")
    }
    guard let out else { throw ValidationError("--out is missing: name the run folder to make") }
    try RunFolder.requireFree(out)
    let start = try initFrom.map {
      try InitialWeights(opening: $0, for: method.settings(length: training.length ?? (try? corpus.preset())??.length))
    }
    if let initFrom, start?.tokenizer != nil, training.tokenizerChoice != nil {
      throw ValidationError(
        "--tokenizer cannot be given with --init-from \(initFrom), which has a tokenizer of its own")
    }
    let fixed = try start?.tokenizer ?? corpus.tokenizer(training.tokenizerChoice)
    let description = try corpus.configuration(
      data: data, validationData: validationData, validationFraction: training.validationFraction ?? 0.1,
      tokenizer: fixed)
    let tokenizer = try description.tokenizer(fixed)
    let text = try Corpus(
      description, length: length(start), tokenizer: tokenizer, seed: training.seed ?? 0,
      progress: TokenizationView.show())
    let trainer = try Trainer(
      creating: out,
      configuration: try configuration(
        tokenizer, source: .corpus(description, fingerprint: text.fingerprint), start: start),
      tokenizer: tokenizer, weights: try start?.model(for: tokenizer, device: device.device), data: text,
      device: device.device, group: group)
    try description.reportReading(into: text.files)
    return trainer
  }

  private func length(_ start: InitialWeights?) -> Int {
    training.length ?? (try? corpus.preset())??.length ?? start?.method.length ?? 128
  }

  private func resumed(_ path: String, _ group: ProcessGroup) throws -> Trainer {
    let run = try RunFolder(resuming: path)
    let restored = try run.restore(device: device.device)
    let step = restored.state.step
    for reason in restored.skipped {
      printError("esolm: note: a newer checkpoint was skipped: \(reason); going on from step \(step)")
    }
    if let steps, steps < step {
      throw ValidationError("--steps is \(steps), expected at least \(step), where \(path) is already")
    }
    // The run's configuration is left alone until all else was found in order.
    var configuration = run.configuration
    let trainer: Trainer
    if data.isEmpty, validationData.isEmpty {
      trainer = try Trainer(run, state: restored.state, group: group)
    } else {
      func places(_ paths: [String]) throws -> [String] { try TextOptions.listed(paths).map(absolutePath) }
      configuration.data = try configuration.data.moved(to: places(data), validation: places(validationData))
      do {
        trainer = try Trainer(run, state: restored.state, data: configuration.data, group: group)
      } catch let error as FileError {
        let paths = run.configuration.data.paths.joined(separator: ", ")
        throw FileError("this is not the text that \(path) was trained on, \(paths): \(error)")
      }
    }
    if let steps { configuration.training.steps = steps }
    return configuration == run.configuration ? trainer : try trainer.continuing(as: configuration)
  }

  private func configuration(
    _ tokenizer: some Tokenizer, source: DataConfiguration.Source, start: InitialWeights? = nil
  ) throws -> RunConfiguration {
    try asUsage {
      var configuration = RunConfiguration(
        method: method.configuration(length: length(start), startingFrom: start?.method),
        model: start.map { model.configuration(startingFrom: $0.network) } ?? model.configuration(for: tokenizer),
        data: DataConfiguration(source: source, validationFraction: training.validationFraction ?? 0.1),
        training: training.configuration)
      if start == nil, !method.isModulated { configuration.model.conditioningSize = model.conditioningSize }
      if let steps { configuration.training.steps = steps }
      // A short run should not spend itself on warming up.
      if training.warmup == nil {
        configuration.training.warmupSteps = min(configuration.training.warmupSteps, configuration.training.steps / 10)
      }
      try configuration.validate()
      return configuration
    }
  }
}

/// The network's sizes. What holds where none are given is the command's to say.
struct ModelOptions: ParsableArguments {
  @Option(name: .customLong("model"), help: "A named size: tiny, small (the paper's) or medium.")
  var size: TransformerConfiguration.Size?

  @Option(help: ArgumentHelp("Width of the network.", valueName: "d"))
  var hiddenSize: Int?

  @Option(help: ArgumentHelp("Transformer blocks.", valueName: "count"))
  var blocks: Int?

  @Option(help: ArgumentHelp("Attention heads.", valueName: "count"))
  var heads: Int?

  @Option(help: ArgumentHelp("Width of the conditioning.", valueName: "d"))
  var conditioningSize: Int?

  @Option(help: "Chance of dropout.")
  var dropout: Double?

  var isGiven: Bool { isSizeGiven || dropout != nil }

  var isSizeGiven: Bool {
    size != nil || hiddenSize != nil || blocks != nil || heads != nil || conditioningSize != nil
  }

  /// The sizes of weights that there are already.
  func configuration(startingFrom network: TransformerConfiguration) -> TransformerConfiguration {
    var configuration = network
    if let dropout { configuration.dropout = dropout }
    return configuration
  }

  /// What is given, on top of a network's sizes; a named size says nothing about dropout.
  func configuration(
    for tokenizer: some Tokenizer, else network: TransformerConfiguration? = nil
  ) -> TransformerConfiguration {
    let vocabularySize = tokenizer.modelVocabularySize
    let network = network ?? TransformerConfiguration(.tiny, vocabularySize: vocabularySize)
    var configuration = size.map { TransformerConfiguration($0, vocabularySize: vocabularySize) } ?? network
    configuration.maskToken = tokenizer.modelMaskToken
    configuration.dropout = network.dropout
    if let hiddenSize { configuration.hiddenSize = hiddenSize }
    if let blocks { configuration.numBlocks = blocks }
    if let heads { configuration.numHeads = heads }
    if let conditioningSize { configuration.conditioningSize = conditioningSize }
    if let dropout { configuration.dropout = dropout }
    return configuration
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

/// Which method to train. All are optional, so that --resume can tell what was given.
struct MethodOptions: ParsableArguments {
  @Option(name: .customLong("algo"), help: "\(Algorithm.names(" or ")). (default: \(Algorithm.all[0].rawValue))")
  var algorithm: Algorithm?

  @Option(name: .customLong("alpha0"), help: "Eso-LM: share of tokens that diffusion writes, 0 to 1. (default: 0.5)")
  var alpha0: Double?

  @Option(
    help: "Eso-LM with --alpha0 1, MDLM: weights of masked tokens, elbo or low_var. (default: elbo)")
  var loss: HybridObjective.Weighting?

  @Option(help: "AR: what a text starts from: mask, bos (the token before texts) or none. (default: mask)")
  var prepend: MethodConfiguration.Prepend?

  @Flag(name: .customLong("adaln"), help: "AR: modulate norms as the other algorithms do (AR + AdaLN).")
  var isModulatedAR = false

  @Option(help: ArgumentHelp("BD3-LM: tokens of a block, a divisor of the length. (default: 4)", valueName: "count"))
  var blockSize: Int?

  @Option(
    help: ArgumentHelp(
      "BD3-LM: train on these times alone, or on those in which the loss varies least. (default: 0,1)",
      valueName: "low,high | search"))
  var noiseRange: NoiseRange?

  @Flag(
    inversion: .prefixedNo,
    help: """
      BD3-LM: draw the masks of a block again until their share of it lies in --noise-range, as in the published \
      training. (default: --resample where --noise-range is given)
      """)
  var resample: Bool?

  @Flag(help: "BD3-LM: the first token of a sequence is given, never predicted.")
  var keepFirstToken = false

  var isGiven: Bool {
    algorithm != nil || alpha0 != nil || loss != nil || prepend != nil || isModulatedAR || blockSize != nil
      || noiseRange != nil || resample != nil || keepFirstToken
  }

  func validate() throws {
    guard isModulatedAR, chosen.isModulated else { return }
    let names = Algorithm.all.filter { !$0.isModulated }.map(\.rawValue).joined(separator: " or ")
    throw ValidationError("--adaln is given, expected only with --algo \(names): \(chosen.rawValue) always has it")
  }

  private var chosen: Algorithm { algorithm ?? Algorithm.all[0] }

  /// Whether the network has adaptive norms.
  var isModulated: Bool { chosen.isModulated || isModulatedAR }

  /// What weights to start from need not say themselves: all of an algorithm that is named, else what is given.
  func settings(length: Int?) -> ModelSettings {
    var settings = ModelSettings()
    if algorithm != nil {
      settings = ModelSettings(configuration(length: 0, startingFrom: nil))
    } else {
      (settings.alpha0, settings.prepend, settings.blockSize) = (alpha0, prepend, blockSize)
      (settings.noiseRange, settings.keepsFirstToken) = (noiseRange, keepFirstToken ? true : nil)
      settings.resamplesMasks = resample
    }
    settings.length = length
    return settings
  }

  /// What was chosen; what was not is as in the method that the weights to start from were trained on, if it is the same.
  func configuration(length: Int, startingFrom start: MethodConfiguration?) -> MethodConfiguration {
    guard var method = start, algorithm ?? method.algorithm == method.algorithm else {
      return MethodConfiguration(
        algorithm: chosen, alpha0: alpha0, weighting: loss, prepend: prepend, blockSize: blockSize,
        noiseRange: noiseRange, resamplesMasks: resample ?? noiseRange.map { _ in true },
        keepsFirstToken: keepFirstToken ? true : nil, length: length
      ).filledWithUsual()
    }
    if let alpha0 {
      method.alpha0 = alpha0
      // low_var belongs to α₀ = 1 alone.
      if alpha0 != 1 { method.weighting = nil }
    }
    if let loss { method.weighting = loss }
    if let prepend { method.prepend = prepend }
    if let blockSize { method.blockSize = blockSize }
    if let noiseRange { (method.noiseRange, method.resamplesMasks) = (noiseRange, true) }
    if let resample { method.resamplesMasks = resample }
    if keepFirstToken { method.keepsFirstToken = true }
    method.length = length
    return method
  }
}

extension TransformerConfiguration.Size: ExpressibleByArgument {}
extension HybridObjective.Weighting: ExpressibleByArgument {}

/// The objective and how to optimise it. All are optional, so that --resume can tell what was given.
struct TrainingOptions: ParsableArguments {
  @Option(help: "Tokens of a sequence. (default: 128)")
  var length: Int?

  @Option(help: "Sequences of a step. (default: 32)")
  var batch: Int?

  @Option(name: .customLong("tokenizer"), help: TokenizerChoice.help)
  var tokenizerChoice: TokenizerChoice?

  @Option(help: "The seed of weights, data order, noise and dropout. (default: 0)")
  var seed: UInt64?

  @Option(help: ArgumentHelp("Learning rate after the warm-up. (default: 0.0003)", valueName: "rate"))
  var learningRate: Double?

  @Option(help: ArgumentHelp("Steps of the warm-up. (default: 2500, at most a tenth of --steps)", valueName: "count"))
  var warmup: Int?

  @Option(help: ArgumentHelp("AdamW's weight decay. (default: 0)"))
  var weightDecay: Double?

  @Option(help: ArgumentHelp("Clip gradients to this norm. (default: 1)", valueName: "norm"))
  var clip: Double?

  @Option(help: ArgumentHelp("Decay of the moving average of weights. (default: 0.9999)", valueName: "decay"))
  var ema: Double?

  @Flag(name: .customLong("bf16"), help: "Compute matrix products in bfloat16.")
  var bfloat16 = false

  @Option(help: ArgumentHelp("Share of sequences kept for validation. (default: 0.1)", valueName: "share"))
  var validationFraction: Double?

  @Option(help: ArgumentHelp("Validate every so many steps. (default: 500)", valueName: "steps"))
  var validateEvery: Int?

  @Option(help: ArgumentHelp("Validate on at most so many sequences. (default: 256)", valueName: "count"))
  var validationSequences: Int?

  @Option(help: ArgumentHelp("Save every so many steps. (default: 500)", valueName: "steps"))
  var saveEvery: Int?

  @Option(help: ArgumentHelp("Keep this many of the newest checkpoints. (default: 2)", valueName: "count"))
  var keepLast: Int?

  @Flag(help: "Keep the checkpoint with the lowest validation loss too; `--best` of sample and eval uses it.")
  var keepBest = false

  var isGiven: Bool {
    let numbers: [Any?] = [
      length, batch, tokenizerChoice, seed, learningRate, warmup, weightDecay, clip, ema,
      validationFraction, validateEvery, validationSequences, saveEvery,
      keepLast,
    ]
    return bfloat16 || keepBest || numbers.contains { $0 != nil }
  }

  var tokenizer: TokenizerChoice { tokenizerChoice ?? .kind(.characters) }

  var configuration: TrainingConfiguration {
    var configuration = TrainingConfiguration()
    if let batch { configuration.batchSize = batch }
    if let seed { configuration.seed = seed }
    if let learningRate { configuration.learningRate = learningRate }
    if let warmup { configuration.warmupSteps = warmup }
    if let weightDecay { configuration.weightDecay = weightDecay }
    if let clip { configuration.gradientClip = clip }
    if let ema { configuration.emaDecay = ema }
    configuration.bfloat16 = bfloat16
    if let validateEvery { configuration.validationInterval = validateEvery }
    if let validationSequences { configuration.validationSequences = validationSequences }
    if let saveEvery { configuration.saveInterval = saveEvery }
    configuration.keepLast = keepLast
    if keepBest { configuration.keepsBest = true }
    return configuration
  }
}
