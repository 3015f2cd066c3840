import EsoLM
import Files
import Foundation
import Runs
import Tokenizers
import Torch

extension Conversion {
  /// Writes the checkpoint to a place where nothing is yet; what appears there is complete. A run without a tokenizer
  /// takes ids as numbers for its text.
  ///
  /// - Parameters:
  ///   - path: where.
  ///   - target: in which form.
  ///   - weights: for the forms that hold one set of weights, which.
  ///   - progress: called with the share of numbers that are read and are being written.
  public func write(
    to path: String, as target: Target, weights: Checkpoint.Weights = .average,
    progress: @escaping (Double) -> Void = { _ in }
  ) throws {
    var (read, total) = (0, 0)
    func watched(_ tensors: [StoredTensor]) -> [StoredTensor] {
      total += tensors.reduce(0) { $0 + $1.count }
      return tensors.map { tensor in
        StoredTensor(name: tensor.name, dtype: tensor.dtype, shape: tensor.shape) {
          read += tensor.count
          progress(Double(read) / Double(max(1, total)))
          return try tensor.tensor()
        }
      }
    }
    switch target {
    case .safetensors:
      try requireNothing(at: path)
      var metadata = ["format": "pt"]
      if let step = checkpoint.step { metadata["step"] = "\(step)" }
      metadata[Checkpoint.settingsField] = try settings.plain.compactJSON()
      try SafetensorsFile.write(reading: watched(checkpoint.tensors(weights)), metadata: metadata, to: path)
    case .huggingFace:
      let files = try tokenizer.map { try TokenizerFile.folderFiles(for: $0) } ?? []
      try HuggingFaceFolder.write(
        watched(checkpoint.tensors(weights)), network: network, settings: settings, step: checkpoint.step,
        files: files, to: path)
    case .run:
      try RunFolder.write(
        imported: RunConfiguration(
          method: method, model: network, data: DataConfiguration(source: .converted(from: checkpoint.path)),
          training: checkpoint.training),
        tokenizer: tokenizer ?? network.numberTokenizer, step: checkpoint.step ?? 0,
        model: watched(checkpoint.weights), average: watched(checkpoint.average ?? checkpoint.weights), to: path)
    }
  }

  private func requireNothing(at path: String) throws {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw FileError("\(path) already exists; name a new file")
    }
  }
}

extension Checkpoint {
  /// How the checkpoint was trained, as far as it says so in numbers that a run can hold.
  fileprivate var training: TrainingConfiguration {
    if let run { return run.training }
    let reader = SettingsReader(hyperParameters, path: path)
    var found = TrainingConfiguration()
    func integer(_ name: String) -> Int? { try? reader.integer(name) }
    func number(_ name: String) -> Double? { try? reader.number(name) }
    if let seed = integer("seed").flatMap({ UInt64(exactly: $0) }) { found.seed = seed }
    if let rate = number("optim.lr") { found.learningRate = rate }
    if let decay = number("optim.weight_decay") { found.weightDecay = decay }
    if let clip = number("trainer.gradient_clip_val") { found.gradientClip = clip }
    if let steps = integer("trainer.max_steps") { found.steps = steps }
    if let warmup = integer("lr_scheduler.num_warmup_steps") { found.warmupSteps = warmup }
    if let batch = integer("loader.global_batch_size") { found.batchSize = batch }
    if let decay = averageDecay { found.emaDecay = decay }
    return (try? found.validate()) == nil ? TrainingConfiguration() : found
  }
}

extension PlainValue {
  /// As one line of JSON, the same for equal values.
  func compactJSON() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension RunFolder {
  /// Writes a run whose weights come from elsewhere. It holds no optimiser state, so it can be sampled, evaluated and
  /// started from, but not gone on with.
  static func write(
    imported configuration: RunConfiguration, tokenizer: any Tokenizer, step: Int, model: [StoredTensor],
    average: [StoredTensor], to path: String
  ) throws {
    do {
      try configuration.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(path) cannot become a run: \(error)")
    }
    try FolderDraft.write(to: path) { draft in
      let manifest = CheckpointManifest(step: step, seed: configuration.training.seed, sequences: 0)
      try CheckpointStore(run: draft).write(manifest) { folder in
        let metadata = ["format": "pt", "step": "\(step)"]
        // A run's weights are float32; others become that here, as the network would make them.
        for (weights, tensors) in [(Weights.model, model), (.average, average)] {
          let widened = tensors.map { tensor in
            StoredTensor(name: tensor.name, dtype: .float32, shape: tensor.shape) { try tensor.tensor().to(.float32) }
          }
          try SafetensorsFile.write(reading: widened, metadata: metadata, to: "\(folder)/\(weights.fileName)")
        }
        return Weights.allCases.map(\.fileName)
      }
      try AtomicFile.write(try TokenizerFile.data(for: tokenizer), to: "\(draft)/\(TokenizerFile.name)")
      try AtomicFile.write(Data(), to: "\(draft)/\(MetricsLog.fileName)")
      try JSONFile.write(configuration.matching(tokenizer), to: "\(draft)/\(configurationName)")
      for weights in Weights.allCases {
        try AtomicFile.link("\(draft)/\(weights.fileName)", to: "latest/\(weights.fileName)")
      }
      // Whatever the file that it came from says, what appears is a run.
      _ = try RunFolder(opening: draft)
    }
  }
}

extension TransformerConfiguration {
  /// Ids as text, for a network whose tokenizer is not at hand.
  var numberTokenizer: NumberTokenizer {
    maskToken == vocabularySize - 1
      ? NumberTokenizer(vocabularySize: vocabularySize - 1)
      : NumberTokenizer(vocabularySize: vocabularySize, maskToken: Int32(maskToken))
  }
}
