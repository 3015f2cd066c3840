import EsoLM
import Files
import Tokenizers
import Torch

/// Weights to start training from: those of a run, or of any checkpoint that can be read.
///
/// Only the network's sizes and the vocabulary are fixed by them. Length, α₀, data and all else may be others than they
/// were trained with: rotary positions are computed where they are needed, so a longer context needs no other weights.
public struct InitialWeights {
  /// The network that the weights are of.
  public let network: TransformerConfiguration
  /// What they were trained on; what is to be trained where that is another algorithm.
  public let method: MethodConfiguration
  /// Their own, if it can be read.
  public let tokenizer: (any Tokenizer)?
  private let checkpoint: Checkpoint

  /// - Parameters:
  ///   - path: a run, or a checkpoint.
  ///   - wanted: what is to be trained, for what the file leaves unsaid.
  public init(opening path: String, for wanted: ModelSettings = .init()) throws {
    checkpoint = try Checkpoint(opening: path)
    var settings = try checkpoint.settings()
    if let algorithm = wanted.algorithm, let own = settings.algorithm, own != algorithm {
      settings = settings.withoutMethod
    }
    let conversion = try Conversion(checkpoint, settings: settings.filled(by: wanted))
    network = conversion.network
    method = conversion.method
    tokenizer = conversion.tokenizer
  }

  /// The network with the weights' moving average, or the weights themselves where there is none.
  ///
  /// - Throws: an error unless the vocabulary is one that `tokenizer` has. Only its own may be smaller.
  public func model(for tokenizer: any Tokenizer, device: Device = .cpu) throws -> TransformerWeights {
    guard network.fits(tokenizer), self.tokenizer != nil || tokenizer.modelVocabularySize == network.vocabularySize
    else {
      throw FileError(
        "\(checkpoint.path) has a vocabulary of \(network.vocabularySize) and the mask token \(network.maskToken), "
          + "the tokenizer makes \(tokenizer.modelVocabularySize) and \(tokenizer.modelMaskToken)")
    }
    return try checkpoint.model(network, .average, device: device)
  }
}
