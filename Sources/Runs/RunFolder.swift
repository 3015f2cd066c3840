import EsoLM
import Files
import Foundation
import Tokenizers
import Torch

/// A folder that holds one run:
///
///     config.json          the run's configuration
///     tokenizer.json       how its text becomes tokens
///     metrics.jsonl        what training measured, a line each
///     latest               → checkpoints/step-N, the newest complete checkpoint
///     best                 → checkpoints/step-N, the one with the lowest validation loss, if the run keeps it
///     model.safetensors    → latest/model.safetensors, the weights
///     ema.safetensors      → latest/ema.safetensors, their moving average, which evaluation and sampling use
///     lock                 locked by the process that trains the run, and says which one that is
///     checkpoints/step-N/  the two above, optimizer.safetensors, and checkpoint.json, which says what they are, which
///                          commit of this package wrote them, and the checksum of each
///
/// A checkpoint is written beside the earlier ones, and only when it is complete on the disk does `latest` turn to it,
/// in one step. So whenever a run is killed, what its folder shows is one whole checkpoint. Checksums are compared when
/// files are read.
public struct RunFolder: Sendable {
  /// The folder.
  public let path: String
  /// All that determines the run.
  public let configuration: RunConfiguration
  /// How its text becomes tokens.
  public let tokenizer: any Tokenizer
  /// What a run that was opened for reading does without.
  private let lock: RunLock?

  /// What the run trains.
  public let method: any GenerationMethod

  /// A method of the run's network and tokenizer.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` for one that does not fit.
  public func method(of configuration: MethodConfiguration) throws -> any GenerationMethod {
    try Self.method(configuration, self.configuration.model, tokenizer)
  }

  private static func method(
    _ configuration: MethodConfiguration, _ model: TransformerConfiguration, _ tokenizer: any Tokenizer
  ) throws -> any GenerationMethod {
    try configuration.method(
      for: TextTokens(
        mask: Int32(model.maskToken), beginning: tokenizer.beginningOfText, end: tokenizer.endOfText))
  }

  package static let configurationName = "config.json"

  // MARK: Opening

  /// Opens a run that exists and checks that nothing of it is missing.
  public init(opening path: String) throws {
    try self.init(
      opening: path, needing: { $0.rounding == nil ? Weights.allCases.map(\.fileName) : [RoundedWeights.fileName] },
      lock: nil)
  }

  /// Opens a run to go on with, of which the newest checkpoint may be damaged or missing. No other process can train it
  /// while this value, or a copy, lives.
  ///
  /// - Throws: an error that says which process trains the run, if another does.
  public init(resuming path: String) throws {
    try Self.require([Self.configurationName, TokenizerFile.name], in: path)
    let lock = try RunLock.take(path)
    CheckpointStore(run: path).removeLeftovers()
    try self.init(opening: path, needing: { _ in [] }, lock: lock)
    try configuration.requireTrainable(at: path)
    if case .converted(let origin) = configuration.data.source {
      throw FileError(
        "\(path) was converted from \(origin), so there is nothing to go on with; "
          + "start a new run from it with --init-from")
    }
  }

  /// The run with the right to write it, for who opened it for reading.
  public func locked() throws -> RunFolder { lock == nil ? try RunFolder(resuming: path) : self }

  private static func require(_ names: [String], in path: String) throws {
    guard Folder.exists(path) else {
      let what = FileManager.default.fileExists(atPath: path) ? "it is a file" : "there is no such folder"
      throw FileError("\(path) is no run folder: \(what)")
    }
    for name in names where !FileManager.default.fileExists(atPath: "\(path)/\(name)") {
      throw FileError("\(path) is no complete run folder: \(name) is missing")
    }
  }

  private init(opening path: String, needing weights: (RunConfiguration) -> [String], lock: RunLock?) throws {
    try Self.require([Self.configurationName, TokenizerFile.name], in: path)
    let configurationPath = "\(path)/\(Self.configurationName)"
    let configuration = try Self.readConfiguration(configurationPath)
    try Self.require(weights(configuration), in: path)
    let tokenizerPath = "\(path)/\(TokenizerFile.name)"
    let tokenizer = try TokenizerFile.tokenizer(from: try MappedFile.read(tokenizerPath), path: tokenizerPath)
    let appended = tokenizer.modelVocabularySize - tokenizer.vocabularySize
    let expected = configuration.tokenCount ?? configuration.model.vocabularySize - appended
    guard tokenizer.vocabularySize == expected else {
      throw FileError(
        "\(tokenizerPath) has \(tokenizer.vocabularySize) tokens, expected \(expected) as \(configurationPath) says")
    }
    guard configuration.model.fits(tokenizer) else {
      let what = tokenizer.maskToken == nil ? "the first id that is no token" : "the mask token"
      throw FileError(
        "\(configurationPath): maskToken is \(configuration.model.maskToken), "
          + "expected \(tokenizer.modelMaskToken), \(what) of \(tokenizerPath)")
    }
    self.path = path
    self.configuration = configuration
    self.tokenizer = tokenizer
    method = try Self.method(configuration.method, configuration.model, tokenizer)
    self.lock = lock
  }

  /// The configuration in a file, which fits in itself.
  package static func readConfiguration(_ path: String) throws -> RunConfiguration {
    let configuration: RunConfiguration = try JSONFile.read(from: path)
    do {
      try configuration.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(path): \(error)")
    }
    return configuration
  }

  /// Starts a run in a folder that holds none yet, with `state` as its first checkpoint. If that fails, nothing is left.
  public init(
    creating path: String, configuration: RunConfiguration, tokenizer: any Tokenizer, state: TrainingState
  ) throws {
    try configuration.validate()
    try Self.requireFree(path)
    method = try Self.method(configuration.method, configuration.model, tokenizer)
    let made = try Folder.make(path)
    let configuration = configuration.matching(tokenizer)
    self.path = path
    self.configuration = configuration
    self.tokenizer = tokenizer
    do {
      lock = try RunLock.take(path)
    } catch {
      Folder.removeEmpty(made)
      throw error
    }
    let attempt = Unfinished.begin {
      Self.clear(path)
      Folder.removeEmpty(made)
    }
    defer { Unfinished.end(attempt) }
    do {
      try Self.requireFree(path)
      CheckpointStore(run: path).removeLeftovers()
      try AtomicFile.write(try TokenizerFile.data(for: tokenizer), to: "\(path)/\(TokenizerFile.name)")
      try AtomicFile.write(Data(), to: "\(path)/\(MetricsLog.fileName)")
      try save(state)
      for weights in Weights.allCases {
        try AtomicFile.link("\(path)/\(weights.fileName)", to: "latest/\(weights.fileName)")
      }
      // Last, since it makes the folder a run.
      try JSONFile.write(configuration, to: "\(path)/\(Self.configurationName)")
    } catch {
      Self.clear(path)
      Folder.removeEmpty(made)
      throw error
    }
  }

  /// What starting a run writes before it is one.
  private static let namesOfAStart =
    [RunLock.fileName, TokenizerFile.name, MetricsLog.fileName, CheckpointStore.folderName, CheckpointStore.latestName]
    + Weights.allCases.map(\.fileName)

  /// Deletes what a start that came to nothing wrote.
  private static func clear(_ path: String) {
    CheckpointStore(run: path).removeLeftovers()
    for name in namesOfAStart.reversed() { try? FileManager.default.removeItem(atPath: "\(path)/\(name)") }
  }

  /// Throws if a folder already holds something that starting a run there could spoil, or another process trains it. What
  /// a start left that was killed is no hindrance.
  public static func requireFree(_ path: String) throws {
    try RunLock.requireFree(path)
    let contents = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { !Temporary.isName($0) }
    guard contents.isEmpty || contents.contains(RunLock.fileName) && Set(contents).isSubset(of: namesOfAStart) else {
      throw FileError("\(path) already holds files; name a new folder, or go on with a run by --resume \(path)")
    }
  }

  /// Replaces the configuration, when a resumed run is to go on for longer.
  public func updating(_ configuration: RunConfiguration) throws -> RunFolder {
    try configuration.validate()
    // Only whoever may write to the run.
    let lock = try locked()
    defer { withExtendedLifetime(lock) {} }
    try JSONFile.write(configuration, to: "\(path)/\(Self.configurationName)")
    return try RunFolder(resuming: path)
  }

  // MARK: Weights

  /// Which of a checkpoint's weights.
  public enum Weights: String, CaseIterable, Sendable {
    /// As the last step left them.
    case model
    /// Their moving average.
    case average = "ema"

    package var fileName: String { "\(rawValue).safetensors" }
  }

  /// A checkpoint that a link names.
  public enum Choice: String, Sendable {
    /// The newest.
    case latest
    /// The one with the lowest validation loss.
    case best
  }

  /// The network of the newest checkpoint, or of the best one.
  public func model(
    _ weights: Weights = .average, of choice: Choice = .latest, device: Device = .cpu
  ) throws -> TransformerWeights {
    try configuration.requireTrainable(at: path)
    let folder = try folder(of: choice)
    return try model(weights, in: folder, manifest: try CheckpointManifest.read(folder), device: device)
  }

  func folder(of choice: Choice) throws -> String {
    let folder = "\(path)/\(choice.rawValue)"
    guard choice == .latest || Folder.exists(folder) else {
      throw FileError("\(path) has no best checkpoint: it was not trained with --keep-best, or not yet validated")
    }
    return folder
  }

  private func model(
    _ weights: Weights, in folder: String, manifest: CheckpointManifest, device: Device
  ) throws -> TransformerWeights {
    let file = try SafetensorsFile(contentsOf: try manifest.verified(weights.fileName, in: folder))
    do {
      return try TransformerWeights(configuration.model, shapes: file.entries.mapValues(\.shape), device: device) {
        try file.tensor($0)
      }
    } catch let error as ParameterMismatch {
      throw FileError("\(file.path): \(error)")
    }
  }

  // MARK: Checkpoints

  private var store: CheckpointStore { CheckpointStore(run: path) }

  /// The step of the newest checkpoint, or of the best one.
  public func savedStep(of choice: Choice = .latest) throws -> Int {
    try CheckpointManifest.read(try folder(of: choice)).step
  }

  /// Writes a checkpoint and turns `latest` to it. Those that are not kept are deleted when it is safe on the disk.
  public func save(_ state: TrainingState) throws {
    let training = configuration.training
    var manifest = CheckpointManifest(step: state.step, seed: training.seed, sequences: state.step * training.batchSize)
    manifest.noiseRange = state.noiseRange.map { .fixed(low: $0.lowerBound, high: $0.upperBound) }
    manifest.validationNELBO = state.validationNELBO
    try store.write(manifest) { folder in
      let metadata = ["format": "pt", "step": "\(state.step)"]
      let moments =
        zip(state.model.names, state.firstMoments).map { (name: "first.\($0)", tensor: $1) }
        + zip(state.model.names, state.secondMoments).map { (name: "second.\($0)", tensor: $1) }
      let files = [
        (Weights.model.fileName, state.model.namedParameters),
        (Weights.average.fileName, state.average.namedParameters),
        (CheckpointStore.optimizerName, moments),
      ]
      for (name, tensors) in files { try SafetensorsFile.write(tensors, metadata: metadata, to: "\(folder)/\(name)") }
      return files.map(\.0)
    }
    try store.prune(newest: state.step, keepLast: training.keepLast, keepsBest: training.keepsBest)
  }

  /// The lowest validation loss of the checkpoints of earlier steps that are kept, nats a token; nil if none has one.
  package func lowestNELBO(before step: Int) -> Double? { store.lowestNELBO(before: step) }

  /// A checkpoint to go on from, and why newer ones were passed over.
  public struct Restored {
    /// What training goes on from.
    public let state: TrainingState
    /// One line for each.
    public let skipped: [String]
  }

  /// The newest checkpoint that is complete and undamaged.
  ///
  /// - Throws: an error that says what is wrong with each if there is none.
  public func restore(device: Device = .cpu) throws -> Restored {
    var skipped: [String] = []
    for (name, step) in store.names() {
      do {
        return Restored(state: try state(in: store.path(name), step: step, device: device), skipped: skipped)
      } catch {
        skipped.append("\(error)")
      }
    }
    guard !skipped.isEmpty else { throw FileError("\(path) holds no checkpoint") }
    throw FileError(
      skipped.count == 1 ? skipped[0] : "\(path) holds no usable checkpoint: \(skipped.joined(separator: "; "))")
  }

  private func state(in folder: String, step: Int, device: Device) throws -> TrainingState {
    let manifest = try CheckpointManifest.read(folder)
    guard manifest.step == step else {
      throw FileError("\(folder)/\(CheckpointManifest.fileName): step is \(manifest.step), expected \(step)")
    }
    let model = try model(.model, in: folder, manifest: manifest, device: device)
    let average = try self.model(.average, in: folder, manifest: manifest, device: device)
    let file = try SafetensorsFile(contentsOf: try manifest.verified(CheckpointStore.optimizerName, in: folder))
    func moments(_ prefix: String) throws -> [Tensor] {
      try model.namedParameters.map { name, parameter in
        let moment = try file.tensor("\(prefix).\(name)")
        guard moment.shape == parameter.shape, moment.dtype == .float32 else {
          throw FileError(
            "\(file.path): '\(prefix).\(name)' is \(moment.dtype.rawValue) \(moment.shape), "
              + "expected F32 \(parameter.shape)")
        }
        return moment.to(device)
      }
    }
    return TrainingState(
      step: step, model: model, average: average, firstMoments: try moments("first"),
      secondMoments: try moments("second"), noiseRange: manifest.noiseRange?.initial,
      validationNELBO: manifest.validationNELBO)
  }
}
