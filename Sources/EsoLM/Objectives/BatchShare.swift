import Faults

/// Sequences of a training step's global batch, some or all of them, with what their draws and weights depend on in the
/// rest of it.
///
/// A global batch is dealt out like cards: share i of n has the places i, i + n, i + 2n and so on. In a batch the sequences
/// that train one term stand together, by their times; so all shares have as many of each kind as the others, give or
/// take one, and times that cover the whole interval.
public struct BatchShare: Sendable {
  /// The sequences of this share.
  public let sequences: [PaddedTokens]
  /// Where each of them stands in the global batch.
  public let places: [Int]
  /// How many tokens of each sequence of the *global* batch are no padding.
  public let contentCounts: [Int]

  /// - Parameters:
  ///   - number: which of the shares, from 0.
  ///   - count: how many there are.
  ///   - contentCounts: of each sequence of the global batch.
  ///   - sequence: the sequence at a place of the global batch.
  /// - Precondition: there is such a share.
  public init(
    _ number: Int = 0, of count: Int = 1, contentCounts: [Int], sequence: (_ place: Int) -> PaddedTokens
  ) {
    trap(unless: (0..<count).contains(number), "share \(number) of \(count)")
    places = Array(stride(from: number, to: contentCounts.count, by: count))
    sequences = places.map(sequence)
    self.contentCounts = contentCounts
  }

  /// A global batch in one share.
  public init(_ batch: [PaddedTokens]) {
    self.init(contentCounts: batch.map(\.contentCount)) { batch[$0] }
  }
}
