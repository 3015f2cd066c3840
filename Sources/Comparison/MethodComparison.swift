import Corpora
import EsoLM
import Files
import Foundation
import Runs
import Tokenizers
import Torch
import Training

/// The paper's first table in small: methods trained on the same data, in the same order, with the same seeds and steps,
/// then measured and sampled alike.
///
/// Every method is a run folder inside one folder. A comparison that was stopped goes on where it was.
public struct MethodComparison {
  /// The methods that are compared.
  public var contestants: [Contestant]
  /// Sizes of the network; whether it has adaptive norms is the method's matter.
  public var model: TransformerConfiguration
  /// What all are trained on.
  public var data: DataConfiguration
  /// How all are trained.
  public var training: TrainingConfiguration
  /// Tokens of a sequence.
  public var length: Int
  /// How text becomes tokens.
  public var tokenizer: any Tokenizer
  /// Where the runs are made.
  public var folder: String
  /// Generation orders of a sequence's exact likelihood, and draws of its bound.
  public var orders = 8
  /// Draws of the bound for each sequence.
  public var draws = 16
  /// How many validation sequences are measured.
  public var measuredSequences = 128
  /// How many texts are sampled with each plan.
  public var samples = 32
  /// Time steps to sample with.
  public var timeSteps = [4, 8, 16, 32, 64, 128]
  /// The nucleus that samples are drawn from.
  public var topP = 1.0
  /// Where all of it is computed.
  public var device = Device.cpu

  /// A comparison by its parts; the rest is usual.
  public init(
    contestants: [Contestant], model: TransformerConfiguration, data: DataConfiguration,
    training: TrainingConfiguration, length: Int, tokenizer: any Tokenizer, folder: String
  ) {
    self.contestants = contestants
    self.model = model
    self.data = data
    self.training = training
    self.length = length
    self.tokenizer = tokenizer
    self.folder = folder
  }

  /// What happens, to be shown.
  public enum Event: Sendable {
    /// A method is being trained.
    case training(title: String, Trainer.Event)
    /// Perplexity; `share` of it is done.
    case measuring(title: String, share: Double)
    /// Samples of all plans; `share` of the network calls is made.
    case sampling(title: String, share: Double)
  }

  /// The judge of samples where no true probabilities are known: an autoregressive model of another seed.
  static let judge = Contestant("ar")!

  private var isToyLanguage: Bool {
    if case .toyLanguage = data.source { return true }
    return false
  }

  // MARK: Running

  /// Trains, measures and samples; nil if it was asked to stop, with everything saved.
  public func run(
    shouldStop: () -> Bool = { false }, report: (Event) -> Void = { _ in }
  ) throws -> ComparisonResults? {
    try validate()
    try Folder.make(folder)
    let judge = isToyLanguage ? nil : try trained(Self.judge, name: "judge", title: "judge", shouldStop, report)
    var runs: [(contestant: Contestant, trainer: Trainer)] = []
    for contestant in contestants {
      guard !shouldStop() else { return nil }
      let name = contestant.description.replacingOccurrences(of: ":", with: "-")
      runs.append((contestant, try trained(contestant, name: name, title: contestant.title, shouldStop, report)))
    }
    guard !shouldStop() else { return nil }
    let judgeOfTexts = judge.map { Likelihood($0.learner.average.transformer(), method: $0.run.method) }
    var entries: [ComparisonResults.Entry] = []
    for (contestant, trainer) in runs {
      guard !shouldStop() else { return nil }
      let title = contestant.title
      report(.measuring(title: title, share: 0))
      var entry = try measured(contestant, trainer) { report(.measuring(title: title, share: $0)) }
      let requests = requests(trainer.run.method)
      let calls = try requests.map { try trainer.run.method.generation($0, for: model).remainingCalls ?? length }
      for (place, request) in requests.enumerated() {
        guard !shouldStop() else { return nil }
        let (made, all) = (Double(calls[..<place].reduce(0, +)), Double(calls.reduce(0, +)))
        entry.samplings.append(
          try sampled(trainer, request, judge: judgeOfTexts) {
            report(.sampling(title: title, share: (made + $0 * Double(calls[place])) / all))
          })
      }
      entries.append(entry)
    }
    return ComparisonResults(
      steps: training.steps, batchSize: training.batchSize, length: length, seed: training.seed,
      trueNats: runs.first.flatMap { trueNats($0.trainer) }, isToyLanguage: isToyLanguage, entries: entries)
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first setting that nothing could be compared with.
  private func validate() throws {
    func require(_ field: String, _ value: Int) throws {
      try ConfigurationError.require(value >= 1, field, value, expected: "at least 1")
    }
    try ConfigurationError.require(!contestants.isEmpty, "contestants", "none", expected: "at least one method")
    try require("orders", orders)
    try require("draws", draws)
    try require("measuredSequences", measuredSequences)
    try require("samples", samples)
    for steps in timeSteps { try require("timeSteps", steps) }
    _ = try TokenPicker(topP: topP)
  }

  private func trained(
    _ contestant: Contestant, name: String, title: String, _ shouldStop: () -> Bool, _ report: (Event) -> Void
  ) throws -> Trainer {
    let path = "\(folder)/\(name)"
    var settings = training
    if name == "judge" { settings.seed += 1 }
    var sizes = model
    if !contestant.isModulated { sizes.conditioningSize = nil }
    let configuration = RunConfiguration(
      method: try contestant.configuration(length: length), model: sizes, data: data, training: settings)
    let trainer: Trainer
    if (try? RunFolder.requireFree(path)) == nil {
      let run = try RunFolder(resuming: path)
      var expected = configuration
      if data.isNamed(by: run.configuration.data) { expected.data = run.configuration.data }
      guard run.configuration == expected else {
        throw FileError("\(path) is a run with other settings; name a new folder for this comparison")
      }
      trainer = try Trainer(run, device: device)
    } else {
      trainer = try Trainer(creating: path, configuration: configuration, tokenizer: tokenizer, device: device)
    }
    try trainer.train(shouldStop: shouldStop) { report(.training(title: title, $0)) }
    return trainer
  }
}

extension DataConfiguration {
  /// Whether a run of an earlier version names the same file in its way; whether its text is the same is checked later.
  fileprivate func isNamed(by older: DataConfiguration) -> Bool {
    guard case .file(let path, _) = older.source, case .corpus(let description, _) = source else { return false }
    return description.source.paths == [path] && older.validationFraction == validationFraction
  }
}
