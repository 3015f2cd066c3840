import EsoLM
import Tokenizers

extension TransformerConfiguration {
  /// Whether a tokenizer's ids, and the mask token that it has or that the model appends, are among the network's.
  package func fits(_ tokenizer: any Tokenizer) -> Bool {
    guard tokenizer.vocabularySize <= vocabularySize else { return false }
    return tokenizer.maskToken.map { Int($0) == maskToken } ?? (maskToken >= tokenizer.vocabularySize)
  }
}
