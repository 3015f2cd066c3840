import CommandSupport
import EsoLM
import Foundation
import Runs
import Tokenizers
import Torch

/// A run as small as runs get, and states to save in it.
public enum TinyRun {
  public static let tokenizer = CharacterTokenizer(text: "ab c")

  public static var configuration: RunConfiguration {
    RunConfiguration(
      method: MethodConfiguration(alpha0: 0.5, length: 8),
      model: TransformerConfiguration(
        vocabularySize: 6, maskToken: 5, hiddenSize: 8, numBlocks: 1, numHeads: 2, conditioningSize: 4, dropout: 0),
      data: DataConfiguration(source: .file(path: "text.txt", fingerprint: "0")), training: TrainingConfiguration())
  }

  /// A state whose every number is different for different seeds.
  public static func state(step: Int, seed: UInt64 = 1) throws -> TrainingState {
    let start = try TransformerWeights(configuration.model, seed: 0)
    func noise(_ salt: UInt64) -> [Tensor] {
      start.parameters.enumerated().map { .uniform($1.shape, in: -1..<1, seed: seed * 1000 + salt * 100 + UInt64($0)) }
    }
    func network(_ salt: UInt64) throws -> TransformerWeights {
      try TransformerWeights(
        configuration.model, parameters: Dictionary(uniqueKeysWithValues: zip(start.names, noise(salt))))
    }
    return TrainingState(
      step: step, model: try network(1), average: try network(2), firstMoments: noise(3), secondMoments: noise(4))
  }

  /// A new run with a checkpoint of step 3.
  public static func make(_ method: MethodConfiguration? = nil) throws -> RunFolder {
    var configuration = configuration
    if let method { configuration.method = method }
    return try RunFolder(
      creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: tokenizer,
      state: state(step: 3))
  }

  /// All numbers of a state, bit for bit.
  public static func bits(_ state: TrainingState) -> [[UInt32]] {
    (state.model.parameters + state.average.parameters + state.firstMoments + state.secondMoments)
      .map { $0.array(of: Float.self).map(\.bitPattern) }
  }

  /// Replaces a file of the newest checkpoint, as if it had been written so.
  public static func replace(_ name: String, of run: RunFolder, by tensors: [(name: String, tensor: Tensor)]) throws {
    let folder = "\(run.path)/latest"
    try SafetensorsFile.write(tensors, to: "\(folder)/\(name)")
    var manifest = try CheckpointManifest.read(folder)
    try manifest.seal(folder, files: [name])
  }
}
