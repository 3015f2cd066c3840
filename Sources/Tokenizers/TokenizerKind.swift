/// The tokenizers that a user can choose by name. The name is also the `type` in `tokenizer.json`.
public enum TokenizerKind: String, CaseIterable, Sendable {
  /// A token for each byte.
  case bytes
  /// A token for each character of the text.
  case characters
  /// The letters and the space of text8, beside eight special tokens.
  case text8
  /// The digits of Sudokus, 0 being the mask.
  case sudoku

  /// The one tokenizer of this kind; nil if it depends on the text.
  public var tokenizer: (any Tokenizer)? {
    switch self {
    case .bytes: ByteTokenizer()
    case .characters: nil
    case .text8: Text8Tokenizer()
    case .sudoku: SudokuTokenizer()
    }
  }

  /// A new tokenizer of this kind, with the vocabulary that `text` needs.
  public func makeTokenizer(for text: String) -> any Tokenizer { tokenizer ?? CharacterTokenizer(text: text) }
}
