/// The twelve tokens of the authors' models of Sudoku: digits as themselves, `[BOS]` 10 and `[EOS]` 11. 0, an empty cell, is
/// the mask, which no text says. Spaces and line ends between digits are left out, so that a grid may be written in rows.
public struct SudokuTokenizer: Tokenizer, Hashable {
  private static let specials: [Int32: String] = [0: "0", 10: "[BOS]", 11: "[EOS]"]

  public let vocabularySize = 12
  public let beginningOfText: Int32 = 10
  public let endOfText: Int32 = 11
  public let maskToken: Int32? = 0

  /// The one tokenizer of Sudokus.
  public init() {}

  public func makeEncoder() -> any TextEncoder { Encoder() }

  private final class Encoder: TextEncoder {
    func append(_ text: UnsafeBufferPointer<UInt8>, to tokens: inout [Int32]) throws {
      var line = 1
      for scalar in UTF8Scalars(text) {
        switch scalar {
        case "1"..."9": tokens.append(Int32(scalar.value - 48))
        case "\n": line += 1
        case " ", "\t", "\r": continue
        default: throw UnknownCharacterError(character: scalar, line: line)
        }
      }
    }

    func lastBoundary(in text: UnsafeBufferPointer<UInt8>) -> Int? { UTF8Scalars.lastBoundary(in: text) }
  }

  public func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String {
    tokens.map { token in
      if let special = Self.specials[token] { return keepingSpecialTokens ? special : "" }
      return (1...9).contains(token) ? "\(token)" : "\u{FFFD}"
    }.joined()
  }
}
