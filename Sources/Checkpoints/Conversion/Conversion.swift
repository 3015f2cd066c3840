import EsoLM
import Files
import Foundation
import Tokenizers
import Torch

/// A checkpoint that fits a network of this package, ready to be written in another form.
public struct Conversion {
  /// The forms that are written.
  public enum Target: String, CaseIterable, Sendable, Codable {
    case run
    case huggingFace = "hugging-face"
    case safetensors
  }

  public let checkpoint: Checkpoint
  public let settings: ModelSettings
  public let network: TransformerConfiguration
  public let method: MethodConfiguration

  /// Finds out what a checkpoint holds.
  ///
  /// - Parameter given: settings that take the place of what the file says.
  /// - Throws: one error that lists all that is missing, unknown or of another shape.
  public init(_ checkpoint: Checkpoint, given: ModelSettings = .init()) throws {
    self.checkpoint = checkpoint
    let found = checkpoint.settings.overridden(by: given)
    network = try checkpoint.network(found)
    try checkpoint.requireFit(network)
    method = try found.method(for: network, path: checkpoint.path)
    settings = ModelSettings(network, method: method)
  }

  /// Writes the checkpoint to a place where nothing is yet; what appears there is complete.
  ///
  /// - Parameters:
  ///   - weights: for the forms that hold one set of weights, which.
  ///   - tokenizer: what the text of a run becomes; where nil, the folder's own, and where that cannot be read numbers.
  /// - Returns: the tokenizer of the run or folder, nil where none was written.
  @discardableResult
  public func write(
    to path: String, as target: Target, weights: Checkpoint.Weights = .average, tokenizer: (any Tokenizer)? = nil
  ) throws -> (any Tokenizer)? {
    switch target {
    case .safetensors:
      try requireNothing(at: path)
      var metadata = ["format": "pt"]
      if let step = checkpoint.step { metadata["step"] = "\(step)" }
      metadata[Checkpoint.settingsField] = try settings.plain.compactJSON()
      try SafetensorsFile.write(checkpoint.tensors(weights), metadata: metadata, to: path)
      return nil
    case .huggingFace:
      let tokenizer = tokenizer ?? ownTokenizer()
      let files = try tokenizer.map { try TokenizerFile.folderFiles(for: $0) } ?? []
      try HuggingFaceFolder.write(
        checkpoint.tensors(weights), network: network, settings: settings, step: checkpoint.step, files: files, to: path
      )
      return tokenizer
    case .run:
      let tokenizer = tokenizer ?? ownTokenizer() ?? network.numberTokenizer
      try RunFolder.write(
        imported: RunConfiguration(
          method: method, model: network, data: DataConfiguration(source: .converted(from: checkpoint.path)),
          training: training),
        tokenizer: tokenizer, step: checkpoint.step ?? 0, model: checkpoint.weights,
        average: checkpoint.average ?? checkpoint.weights, to: path)
      return tokenizer
    }
  }

  /// How the checkpoint was trained, as far as it says so in numbers that a run can hold.
  private var training: TrainingConfiguration {
    var training = TrainingConfiguration()
    let plain = checkpoint.hyperParameters
    var found = training
    if let seed = plain["seed"]?.integer.flatMap({ UInt64(exactly: $0) }) { found.seed = seed }
    if let rate = plain["optim.lr"]?.number { found.learningRate = rate }
    if let decay = plain["optim.weight_decay"]?.number { found.weightDecay = decay }
    if let clip = plain["trainer.gradient_clip_val"]?.number { found.gradientClip = clip }
    if let steps = plain["trainer.max_steps"]?.integer { found.steps = steps }
    if let warmup = plain["lr_scheduler.num_warmup_steps"]?.integer { found.warmupSteps = warmup }
    if let batch = plain["loader.global_batch_size"]?.integer { found.batchSize = batch }
    if let decay = checkpoint.averageDecay { found.emaDecay = decay }
    if (try? found.validate()) != nil { training = found }
    return training
  }

  /// The tokenizer beside the weights; nil if there is none that can be read and fits.
  func ownTokenizer() -> (any Tokenizer)? {
    guard [.run, .huggingFace].contains(checkpoint.form),
      let tokenizer = try? TokenizerFile.tokenizer(at: checkpoint.path), network.fits(tokenizer)
    else { return nil }
    return tokenizer
  }

  private func requireNothing(at path: String) throws {
    guard !FileManager.default.fileExists(atPath: path) else {
      throw FileError("\(path) already exists; name a new file")
    }
  }
}

extension TransformerConfiguration {
  /// Whether a tokenizer's ids, and the mask token that it has or that the model appends, are the network's.
  func fits(_ tokenizer: any Tokenizer) -> Bool {
    tokenizer.modelVocabularySize == vocabularySize && tokenizer.modelMaskToken == maskToken
  }

  /// Ids as text, for a network whose tokenizer is not at hand.
  var numberTokenizer: NumberTokenizer {
    maskToken == vocabularySize - 1
      ? NumberTokenizer(vocabularySize: vocabularySize - 1)
      : NumberTokenizer(vocabularySize: vocabularySize, maskToken: Int32(maskToken))
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
