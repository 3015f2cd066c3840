/// A tokenizer for a model that has more ids than its tokenizer, as vocabularies are padded for speed, or so that the
/// mask is not the first free id. The ids in excess are never encoded and decode to nothing.
public struct PaddedTokenizer: Tokenizer {
  public let base: any Tokenizer
  public let vocabularySize: Int
  public let maskToken: Int32?

  /// - Parameters:
  ///   - vocabularySize: the number of ids, at least that of `base`.
  ///   - maskToken: one of the ids; nil where the model appends a mask behind all of them.
  public init(_ base: any Tokenizer, vocabularySize: Int, maskToken: Int32?) {
    precondition(vocabularySize >= base.vocabularySize, "a vocabulary of \(vocabularySize)")
    precondition(maskToken.map { (0..<vocabularySize).contains(Int($0)) } ?? true, "mask \(maskToken!)")
    self.base = base
    self.vocabularySize = vocabularySize
    self.maskToken = maskToken
  }

  public var endOfText: Int32 { base.endOfText }
  public var beginningOfText: Int32 { base.beginningOfText }
  public var padding: Int32 { base.padding }
  public var note: String? { base.note }

  public func encode(_ text: String) throws -> [Int32] { try base.encode(text) }
  public func makeEncoder() -> any TextEncoder { base.makeEncoder() }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    let excess = base.vocabularySize..<vocabularySize
    return base.decode(
      tokens.filter { !excess.contains(Int($0)) && (keepingSpecialTokens || $0 != maskToken) },
      keepingSpecialTokens: keepingSpecialTokens)
  }
}
