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
///     model.safetensors    → latest/model.safetensors, the weights
///     ema.safetensors      → latest/ema.safetensors, their moving average, which evaluation and sampling use
///     checkpoints/step-N/  the two above and optimizer.safetensors, all of the same step
///
/// A checkpoint is written beside the earlier ones, and only when it is complete on the disk does `latest` turn to it,
/// in one step. So whenever a run is killed, what its folder shows is one whole checkpoint.
public struct RunFolder: Sendable {
  public let path: String
  public let configuration: RunConfiguration
  public let tokenizer: any Tokenizer

  /// What the run trains.
  public var method: any GenerationMethod {
    configuration.method.method(maskToken: configuration.model.maskToken, endOfText: tokenizer.endOfText)
  }

  static let configurationName = "config.json"

  // MARK: Opening

  /// Opens a run that exists and checks that nothing of it is missing.
  public init(opening path: String) throws {
    guard Folder.exists(path) else { throw FileError("\(path) is no run folder: there is no such folder") }
    let needed = [Self.configurationName, TokenizerFile.name, Weights.model.fileName, Weights.average.fileName]
    for name in needed where !FileManager.default.fileExists(atPath: "\(path)/\(name)") {
      throw FileError("\(path) is no complete run folder: \(name) is missing")
    }
    let configurationPath = "\(path)/\(Self.configurationName)"
    let configuration: RunConfiguration = try JSONFile.read(from: configurationPath)
    do {
      try configuration.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(configurationPath): \(error)")
    }
    let tokenizerPath = "\(path)/\(TokenizerFile.name)"
    let tokenizer = try TokenizerFile.tokenizer(from: try MappedFile.read(tokenizerPath), path: tokenizerPath)
    guard tokenizer.modelVocabularySize == configuration.model.vocabularySize else {
      let appended = tokenizer.modelVocabularySize - tokenizer.vocabularySize
      throw FileError(
        "\(tokenizerPath) has \(tokenizer.vocabularySize) tokens, "
          + "expected \(configuration.model.vocabularySize - appended) as \(configurationPath) says")
    }
    guard configuration.model.maskToken == tokenizer.modelMaskToken else {
      let what = tokenizer.maskToken == nil ? "the first id that is no token" : "the mask token"
      throw FileError(
        "\(configurationPath): maskToken is \(configuration.model.maskToken), "
          + "expected \(tokenizer.modelMaskToken), \(what) of \(tokenizerPath)")
    }
    self.path = path
    self.configuration = configuration
    self.tokenizer = tokenizer
  }

  /// Starts a run in a folder that holds none yet, with `state` as its first checkpoint. If that fails, nothing is left.
  public init(
    creating path: String, configuration: RunConfiguration, tokenizer: any Tokenizer, state: TrainingState
  ) throws {
    try Self.requireFree(path)
    let made = try Folder.make(path)
    self.path = path
    self.configuration = configuration
    self.tokenizer = tokenizer
    do {
      try AtomicFile.write(try TokenizerFile.data(for: tokenizer), to: "\(path)/\(TokenizerFile.name)")
      try AtomicFile.write(Data(), to: "\(path)/\(MetricsLog.fileName)")
      try JSONFile.write(configuration, to: "\(path)/\(Self.configurationName)")
      try save(state)
      for weights in Weights.allCases {
        try AtomicFile.link("\(path)/\(weights.fileName)", to: "latest/\(weights.fileName)")
      }
    } catch {
      // The folder was empty, so all that it holds is of this attempt.
      for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
        try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
      }
      Folder.removeEmpty(made)
      throw error
    }
  }

  /// Throws if a folder already holds something that starting a run there could spoil.
  public static func requireFree(_ path: String) throws {
    let contents = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    guard contents.isEmpty else {
      throw FileError("\(path) already holds files; name a new folder, or go on with a run by --resume \(path)")
    }
  }

  /// Replaces the configuration, when a resumed run is to go on for longer.
  public func updating(_ configuration: RunConfiguration) throws -> RunFolder {
    try JSONFile.write(configuration, to: "\(path)/\(Self.configurationName)")
    return try RunFolder(opening: path)
  }

  // MARK: Weights

  /// Which of a checkpoint's weights.
  public enum Weights: String, CaseIterable, Sendable {
    /// As the last step left them.
    case model
    /// Their moving average.
    case average = "ema"

    var fileName: String { "\(rawValue).safetensors" }
  }

  /// The network of the newest checkpoint.
  public func model(_ weights: Weights = .average, device: Device = .cpu) throws -> Transformer {
    try model(from: "\(path)/\(weights.fileName)", device: device).model
  }

  private func model(from path: String, device: Device) throws -> (model: Transformer, step: Int) {
    let file = try SafetensorsFile(contentsOf: path)
    let parameters = try Dictionary(uniqueKeysWithValues: file.entries.keys.map { ($0, try file.tensor($0)) })
    do {
      return (try Transformer(configuration.model, parameters: parameters, device: device), try step(of: file))
    } catch let error as ParameterMismatch {
      throw FileError("\(path): \(error)")
    }
  }

  private func step(of file: SafetensorsFile) throws -> Int {
    guard let step = file.metadata["step"].flatMap({ Int($0) }), step >= 0 else {
      throw FileError("\(file.path): its metadata names no training step")
    }
    return step
  }

  private func noiseRange(of file: SafetensorsFile) throws -> ClosedRange<Double>? {
    guard let text = file.metadata["noise_range"] else { return nil }
    guard case .fixed(let low, let high)? = NoiseRange(text), low >= 0, low < high, high <= 1 else {
      throw FileError("\(file.path): its metadata's noise_range is '\(text)', expected two times from 0 to 1")
    }
    return low...high
  }

  // MARK: Checkpoints

  /// The step of the newest checkpoint.
  public func savedStep() throws -> Int {
    try step(of: try SafetensorsFile(contentsOf: "\(path)/latest/\(Weights.model.fileName)"))
  }

  /// Writes a checkpoint and turns `latest` to it. Earlier ones are deleted when it is safe on the disk.
  public func save(_ state: TrainingState) throws {
    let name = "step-" + String(repeating: "0", count: max(0, 8 - "\(state.step)".count)) + "\(state.step)"
    let (final, temporary) = ("\(path)/checkpoints/\(name)", "\(path)/checkpoints/.\(name).tmp")
    let files = FileManager.default
    do {
      try? files.removeItem(atPath: temporary)
      try Folder.make(temporary)
      var metadata = ["format": "pt", "step": "\(state.step)"]
      if let range = state.noiseRange { metadata["noise_range"] = "\(range.lowerBound),\(range.upperBound)" }
      try SafetensorsFile.write(
        state.model.namedParameters, metadata: metadata, to: "\(temporary)/\(Weights.model.fileName)")
      try SafetensorsFile.write(
        state.average.namedParameters, metadata: metadata, to: "\(temporary)/\(Weights.average.fileName)")
      let moments =
        zip(state.model.names, state.firstMoments).map { (name: "first.\($0)", tensor: $1) }
        + zip(state.model.names, state.secondMoments).map { (name: "second.\($0)", tensor: $1) }
      try SafetensorsFile.write(moments, metadata: metadata, to: "\(temporary)/\(Self.optimizerName)")
      // A complete checkpoint of this step that `latest` does not show is left from a run that was killed.
      try? files.removeItem(atPath: final)
      try Folder.rename(temporary, to: final)
    } catch {
      try? files.removeItem(atPath: temporary)
      throw error
    }
    try AtomicFile.link("\(path)/latest", to: "checkpoints/\(name)")
    for other in (try? files.contentsOfDirectory(atPath: "\(path)/checkpoints")) ?? [] where other != name {
      try? files.removeItem(atPath: "\(path)/checkpoints/\(other)")
    }
  }

  /// The newest checkpoint, to go on from.
  public func restore(device: Device = .cpu) throws -> TrainingState {
    let (model, step) = try model(from: "\(path)/latest/\(Weights.model.fileName)", device: device)
    let (average, averageStep) = try self.model(from: "\(path)/latest/\(Weights.average.fileName)", device: device)
    let file = try SafetensorsFile(contentsOf: "\(path)/latest/\(Self.optimizerName)")
    let optimizerStep = try self.step(of: file)
    guard averageStep == step, optimizerStep == step else {
      throw FileError(
        "\(path)/latest mixes checkpoints: weights of step \(step), average of step \(averageStep), "
          + "optimizer of step \(optimizerStep)")
    }
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
      secondMoments: try moments("second"), noiseRange: try noiseRange(of: file))
  }

  private static let optimizerName = "optimizer.safetensors"
}
