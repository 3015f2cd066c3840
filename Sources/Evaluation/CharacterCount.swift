import Faults
import Tokenizers

extension Tokenizer {
  /// How many characters (Unicode scalars) tokens decode to, without holding more than a piece of them.
  ///
  /// What a token decodes to may depend on its neighbours: bytes of one character, pieces of one word. So pieces overlap,
  /// by more tokens than that reaches, and what the overlaps decode to is not counted twice.
  public func characterCount(of tokens: some Sequence<Int32>, pieceSize: Int = 1 << 16, overlap: Int = 64) -> Int {
    trap(unless: 0 < overlap && overlap < pieceSize, "pieces of \(pieceSize) tokens that overlap by \(overlap)")
    func count(_ tokens: some Sequence<Int32>) -> Int { decode(tokens).unicodeScalars.count }
    var (total, piece) = (0, [Int32]())
    for token in tokens {
      if piece.count == pieceSize {
        let last = piece.suffix(overlap)
        total += count(piece) - count(last)
        piece = Array(last)
      }
      piece.append(token)
    }
    return total + count(piece)
  }
}
