/// A fixed, reversible way between text and token ids.
///
/// Ids run from 0 to `vocabularySize − 1`. The mask token is no part of a tokenizer: it never occurs in text, and the
/// model appends it as its own last id.
public protocol Tokenizer: Sendable {
  /// The number of ids, `endOfText` included and the model's mask token left out.
  var vocabularySize: Int { get }

  /// The id that stands after every document.
  var endOfText: Int32 { get }

  /// The ids of `text`, without `endOfText`.
  ///
  /// - Throws: an error that names the place in `text` that the vocabulary cannot write.
  func encode(_ text: String) throws -> [Int32]

  /// The text of `tokens`. Every sequence of ids has one, also what an untrained model samples:
  ///
  /// - `endOfText` adds nothing, so `decode(encode(text) + [endOfText])` is `text`. What is to be shown between
  ///   documents is for the caller to choose, who splits at `endOfText` first;
  /// - an id outside the vocabulary becomes U+FFFD, the replacement character, and so does what is not valid UTF-8.
  func decode(_ tokens: some Sequence<Int32>) -> String
}
