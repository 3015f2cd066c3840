import EsoLM
import Files
import Foundation
import Runs
import Tokenizers
import Torch

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
          try SafetensorsFile.write(widened, metadata: metadata, to: "\(folder)/\(weights.fileName)")
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
