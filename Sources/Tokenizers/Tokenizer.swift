/// A fixed way between text and token ids.
///
/// Ids run from 0 to `vocabularySize − 1`. Most tokenizers know no mask token: the model then appends it as its own
/// last id. A few have one among their ids (BERT's `[MASK]` is 103): they name it as `maskToken`.
public protocol Tokenizer: Sendable {
  /// The number of ids, `endOfText` included, and the mask token if the tokenizer has one.
  var vocabularySize: Int { get }

  /// The id that stands after every document.
  var endOfText: Int32 { get }

  /// The id that stands before a text, where something does; `endOfText` for most.
  var beginningOfText: Int32 { get }

  /// The mask token, if it is one of the tokenizer's ids; nil if the model is to append one.
  var maskToken: Int32? { get }

  /// The id that fills up sequences of different lengths; `endOfText` for most.
  var padding: Int32 { get }

  /// What a user should know about what becomes of text, such as bytes that are left out; nil if there is nothing.
  var note: String? { get }

  /// The ids of `text`, without `endOfText`.
  ///
  /// - Throws: an error that names the place in `text` that the vocabulary cannot write.
  func encode(_ text: String) throws -> [Int32]

  /// What encodes many texts, one after another: it may keep what makes later ones faster. It belongs to one thread.
  func makeEncoder() -> any TextEncoder

  /// The text of `tokens`. Every sequence of ids has one, also what an untrained model samples:
  ///
  /// - special tokens – `endOfText`, and others that a tokenizer may have – add nothing, so for tokenizers that keep
  ///   all of a text `decode(encode(text) + [endOfText])` is `text`. What is to be shown between documents is for the
  ///   caller to choose, who splits at `endOfText` first;
  /// - with `keepingSpecialTokens` those that have a text are written, such as `<|endoftext|>`;
  /// - an id of the vocabulary that has no token adds nothing;
  /// - an id outside the vocabulary becomes U+FFFD, the replacement character, and so does what is not valid UTF-8.
  func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String
}

/// Encodes texts one after another, on one thread.
public protocol TextEncoder: AnyObject {
  /// Appends the ids of a text to `tokens`.
  ///
  /// - Parameters:
  ///   - text: its bytes. Where they are not UTF-8, it depends on the tokenizer what becomes of them.
  ///   - tokens: what they are added to.
  /// - Throws: an error that names the place in `text` that the vocabulary cannot write; `tokens` may then have grown.
  func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) throws

  /// The last place at which `text` can be cut so that its two parts give the ids of the whole; nil if none is known.
  ///
  /// A long document is encoded in parts with it. What follows `text` is not known, so its end is no such place.
  func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int?
}

extension Tokenizer {
  public var beginningOfText: Int32 { endOfText }
  public var maskToken: Int32? { nil }
  public var padding: Int32 { endOfText }
  public var note: String? { nil }

  public func encode(_ text: String) throws -> [Int32] { try encode(utf8: text.utf8) }

  /// The ids of a text given as bytes, which need not be valid UTF-8.
  public func encode(utf8 bytes: some Sequence<UInt8>) throws -> [Int32] {
    let encoder = makeEncoder()
    func encoded(_ buffer: UnsafeBufferPointer<UInt8>) throws -> [Int32] {
      var tokens: [Int32] = []
      try encoder.append(buffer, to: &tokens)
      return tokens
    }
    return try bytes.withContiguousStorageIfAvailable(encoded) ?? Array(bytes).withUnsafeBufferPointer(encoded)
  }

  /// Text of tokens, special ones left out.
  public func decode(_ tokens: some Sequence<Int32>) -> String { decode(tokens, keepingSpecialTokens: false) }

  /// The number of ids of a model for this tokenizer, its mask token included.
  public var modelVocabularySize: Int { maskToken == nil ? vocabularySize + 1 : vocabularySize }

  /// The mask token of a model for this tokenizer.
  public var modelMaskToken: Int { maskToken.map(Int.init) ?? vocabularySize }
}
