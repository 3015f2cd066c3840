import CommandSupport
import Corpora
import EsoLM
import Foundation
import Runs
import Tokenizers
import Torch
import Training

/// Training as small as it gets: a network of a few thousand numbers on a repetitive text.
enum TinyTraining {
  static let text = String(repeating: "the cat sees the dog. ", count: 40)
  static let tokenizer = CharacterTokenizer(text: text)

  /// A configuration, with changes. The text is `text`, in a file of its own.
  static func configuration(_ change: (inout RunConfiguration) -> Void = { _ in }) throws -> RunConfiguration {
    let data = CorpusConfiguration(
      source: CorpusSource(paths: [try Scratch.file(text.utf8)]), tokenFolder: try Scratch.folder())
    let fingerprint = try Corpus(data, length: 16, tokenizer: tokenizer).fingerprint
    var configuration = RunConfiguration(
      method: MethodConfiguration(alpha0: 0.5, length: 16),
      model: TransformerConfiguration(
        vocabularySize: tokenizer.vocabularySize + 1, maskToken: tokenizer.vocabularySize, hiddenSize: 16,
        numBlocks: 1, numHeads: 2, conditioningSize: 8, dropout: 0),
      data: DataConfiguration(source: .corpus(data, fingerprint: fingerprint)),
      training: TrainingConfiguration())
    configuration.training.steps = 12
    configuration.training.batchSize = 4
    configuration.training.learningRate = 3e-3
    configuration.training.warmupSteps = 3
    configuration.training.emaDecay = 0.9
    change(&configuration)
    return configuration
  }

  static func trainer(_ change: (inout RunConfiguration) -> Void = { _ in }) throws -> Trainer {
    try Trainer(creating: "\(Scratch.folder())/run", configuration: configuration(change), tokenizer: tokenizer)
  }

  /// All numbers that training keeps, bit for bit.
  static func bits(_ learner: Learner) -> [[UInt32]] {
    (learner.model.parameters + learner.average.parameters + learner.state.firstMoments + learner.state.secondMoments)
      .map { $0.array(of: Float.self).map(\.bitPattern) }
  }
}
