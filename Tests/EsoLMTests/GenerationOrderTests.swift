import EsoLM
import Randomness
import TestSupport
import Testing

@Suite("Generation order")
struct GenerationOrderTests {
  private var generator = CounterGenerator(seed: 1, stream: .corruption)

  @Test(arguments: subsets(of: 5))
  mutating func cleanPositionsComeBeforeMaskedOnes(masked: [Bool]) {
    let hidden = masked.indices.filter { masked[$0] }
    for _ in 0..<5 {
      let diffusion = GenerationOrder.diffusion(masked: masked, using: &generator)
      let sequential = GenerationOrder.sequential(masked: masked, using: &generator)
      for order in [diffusion, sequential] {
        #expect(order.positions.sorted() == Array(0..<5))
        #expect(order.length == 5)
        #expect(order.maskedCount == hidden.count)
        #expect(order.positions[order.cleanCount...].sorted() == hidden)
      }
      #expect(Array(sequential.positions[sequential.cleanCount...]) == hidden)
    }
  }

  /// The table of ``DiffusionOrders``, every mask of five tokens.
  @Test(arguments: subsets(of: 5))
  mutating func tokensThatAreNotShuffledStandAsInTheText(masked: [Bool]) {
    for clean in DiffusionOrders.Order.allCases {
      for masks in DiffusionOrders.Order.allCases {
        let random = GenerationOrder.diffusion(masked: masked, using: &generator)
        let order = random.arranged(DiffusionOrders(clean: clean, masks: masks))
        func expected(_ part: ArraySlice<Int>, _ kind: DiffusionOrders.Order) -> [Int] {
          kind == .random ? Array(part) : part.sorted()
        }
        #expect(order.cleanCount == random.cleanCount)
        #expect(
          order.positions == expected(random.positions[..<random.cleanCount], clean)
            + expected(random.positions[random.cleanCount...], masks))
      }
    }
  }

  @Test func leftToRightIsTheTextsOrder() {
    let order = GenerationOrder.leftToRight(length: 3)
    #expect(order == GenerationOrder(positions: [0, 1, 2], cleanCount: 0))
    #expect(order.maskedCount == 3)
  }

  @Test(arguments: 0...6)
  mutating func whatDiffusionLeavesIsWrittenLeftToRight(diffused: Int) {
    for _ in 0..<20 {
      let order = GenerationOrder.random(length: 6, diffused: diffused, using: &generator)
      #expect(order.positions.sorted() == Array(0..<6))
      #expect(order.positions[diffused...].elementsEqual(order.positions[diffused...].sorted()))
      #expect(order.cleanCount == 0)
    }
  }

  /// Each random part takes all its arrangements equally often.
  @Test func randomPartsAreUniform() {
    let all = permutations(of: 4)
    let masked = [true, true, false, false]
    let draws: [(String, Int, (inout CounterGenerator) -> GenerationOrder)] = [
      ("diffusion", 4, { .diffusion(masked: masked, using: &$0) }),
      ("sequential", 2, { .sequential(masked: masked, using: &$0) }),
      ("random, all diffused", 24, { .random(length: 4, diffused: 4, using: &$0) }),
      ("random, two diffused", 12, { .random(length: 4, diffused: 2, using: &$0) }),
      ("random, nothing diffused", 1, { .random(length: 4, diffused: 0, using: &$0) }),
    ]
    for (number, (name, possible, draw)) in draws.enumerated() {
      var generator = CounterGenerator(seed: 2, stream: .corruption, major: number)
      var counts = [Int](repeating: 0, count: all.count)
      for _ in 0..<4800 { counts[all.firstIndex(of: draw(&generator).positions)!] += 1 }
      let seen = counts.filter { $0 > 0 }
      #expect(seen.count == possible, "\(name)")
      guard possible > 1 else { continue }
      #expect(
        chiSquareScore(seen, distribution: Array(repeating: 1 / Double(possible), count: possible)) < 4, "\(name)")
    }
  }
}
