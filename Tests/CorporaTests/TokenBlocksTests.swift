import Corpora
import Testing

@Suite("Blocks of tokens")
struct TokenBlocksTests {
  @Test func tokensAreCut() {
    let blocks = TokenBlocks(cutting: Array(0..<7), length: 3)
    #expect(blocks.map(Array.init) == [[0, 1, 2], [3, 4, 5]])
    #expect(blocks.first(1).map(Array.init) == [[0, 1, 2]])
    #expect(blocks.first(9).count == 2)
    #expect(TokenBlocks(cutting: [1, 2], length: 3).isEmpty)
    #expect(TokenBlocks(cutting: [], length: 1).isEmpty)
  }
}
