import EsoLM
import Training

/// A network to measure.
struct Model {
  let name: String
  let configuration: TransformerConfiguration
  let length: Int
  let batch: Int
  let runs: Int

  static let character = Model(
    name: "characters (d 128, 4 blocks)",
    configuration: TransformerConfiguration(
      vocabularySize: 67, maskToken: 66, hiddenSize: 128, numBlocks: 4, numHeads: 4, dropout: 0.1),
    length: 128, batch: 32, runs: 12)

  static let small = Model(
    name: "small (d 768, 12 blocks)", configuration: TransformerConfiguration(.small, vocabularySize: 50258),
    length: 128, batch: 8, runs: 3)

  /// Weights of the blocks' matrices, and of the output layer's.
  var blockWeights: Double {
    12 * Double(configuration.hiddenSize * configuration.hiddenSize * configuration.numBlocks)
  }
  var outputWeights: Double { Double(configuration.hiddenSize * configuration.vocabularySize) }
}
