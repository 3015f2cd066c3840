/// The tokenizers that a user can choose by name. The name is also the `type` in `tokenizer.json`.
public enum TokenizerKind: String, CaseIterable, Sendable {
  case bytes
  case characters

  /// A new tokenizer of this kind, with the vocabulary that `text` needs.
  public func makeTokenizer(for text: String) -> any Tokenizer {
    switch self {
    case .bytes: ByteTokenizer()
    case .characters: CharacterTokenizer(text: text)
    }
  }
}
