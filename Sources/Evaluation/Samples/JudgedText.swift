import Tokenizers

/// Samples in the words of a judge.
public enum JudgedText {
  /// The judge's tokens of a sample: its documents decoded and encoded anew, with the judge's end-of-text token wherever
  /// the sample has its own, cut to `length` tokens.
  ///
  /// - Parameters:
  ///   - sample: tokens of `own`.
  ///   - own: the tokenizer of the run that wrote it.
  ///   - judge: the judge's tokenizer.
  ///   - endOfText: the judge's.
  ///   - length: the sample's length, so that a judge with more tokens for the same text does not see more of it.
  public static func tokens(
    of sample: [Int32], by own: some Tokenizer, for judge: some Tokenizer, endOfText: Int32, length: Int
  ) throws -> [Int32] {
    let documents = sample.split(separator: own.endOfText, omittingEmptySubsequences: false)
    let encoded = try documents.map { try judge.encode(own.decode($0)) }
    return Array(encoded.joined(separator: [endOfText]).prefix(length))
  }
}
