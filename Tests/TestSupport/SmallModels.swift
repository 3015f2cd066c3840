import EsoLM
import Randomness
import Torch

extension TransformerConfiguration {
  /// A network of a few thousand weights whose mask token is the vocabulary's last.
  public static func small(
    vocabulary: Int = 13, hidden: Int = 16, blocks: Int = 2, heads: Int = 2, conditioning: Int? = 8,
    dropout: Double = 0
  ) -> TransformerConfiguration {
    TransformerConfiguration(
      vocabularySize: vocabulary, maskToken: vocabulary - 1, hiddenSize: hidden, numBlocks: blocks, numHeads: heads,
      conditioningSize: conditioning, dropout: dropout)
  }
}

extension TransformerWeights {
  /// A network with every weight at random. A fresh one would not do for tests: its gates and its output layer are 0.
  public static func random(_ configuration: TransformerConfiguration = .small(), seed: UInt64 = 1)
    -> TransformerWeights
  {
    var parameters: [String: Tensor] = [:]
    for (number, entry) in ParameterLayout(configuration).entries.enumerated() {
      parameters[entry.name] =
        .random(entry.shape, bound: entry.shape.count == 1 ? 1 : 0.6, seed: seed &* 1000 &+ UInt64(number))
    }
    return try! TransformerWeights(configuration, parameters: parameters)
  }
}

/// Sequences of random tokens, without the mask.
public func randomSequences(_ count: Int, length: Int, tokens: Int, seed: UInt64 = 1) -> [[Int32]] {
  var generator = CounterGenerator(seed: seed, stream: .toyLanguage)
  return (0..<count).map { _ in (0..<length).map { _ in Int32.random(in: 0..<Int32(tokens), using: &generator) } }
}
