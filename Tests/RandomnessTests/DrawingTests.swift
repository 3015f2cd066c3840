import Randomness
import TestSupport
import Testing

@Suite("Drawing numbers and orders")
struct DrawingTests {
  /// Gives the numbers of a list, one after another.
  private struct Listed: RandomNumberGenerator {
    var numbers: ArraySlice<UInt64>
    mutating func next() -> UInt64 { numbers.removeFirst() }
  }

  /// Changing these would change every order that a seed stands for, and with it the data of resumed runs.
  @Test func ordersAreFixed() {
    var generator = CounterGenerator(seed: 42, stream: .corruption)
    #expect((0..<8).inRandomOrder(using: &generator) == [5, 4, 7, 2, 0, 6, 1, 3])
    #expect((0..<8).inRandomOrder(using: &generator) == [7, 4, 0, 5, 6, 3, 1, 2])
    #expect((0..<6).map { _ in generator.integer(below: 1000) } == [386, 849, 557, 197, 595, 354])
  }

  /// As runs of earlier versions were drawn.
  @Test(arguments: [0, 1, 2, 3, 10, 257])
  func ordersAreThoseOfTheStandardLibrary(count: Int) {
    var generator = CounterGenerator(seed: 5, stream: .dataOrder)
    var same = generator
    #expect((0..<count).inRandomOrder(using: &generator) == (0..<count).shuffled(using: &same))
    #expect(generator.next() == same.next())
  }

  @Test func everyOrderIsAsLikely() {
    var generator = CounterGenerator(seed: 7, stream: .dataOrder)
    let counts = (0..<24_000).reduce(into: [:]) { counts, _ in
      counts[[0, 1, 2, 3].inRandomOrder(using: &generator), default: 0] += 1
    }
    #expect(counts.count == 24)
    #expect(chiSquareScore(Array(counts.values), distribution: Array(repeating: 1 / 24, count: 24)) < 4)
  }

  /// One of the 2⁶⁴ numbers is too many to be shared among 3: it is drawn again.
  @Test func numbersThatWouldMakeOneLikelierAreDrawnAgain() {
    var generator = Listed(numbers: [0, 1 << 63, 0, .max])
    #expect(generator.integer(below: 3) == 1)
    #expect(generator.numbers.count == 2)
    #expect(generator.integer(below: 3) == 2)
    // A power of two shares them evenly.
    generator = Listed(numbers: [0, .max])
    #expect(generator.integer(below: 4) == 0)
    #expect(generator.integer(below: 4) == 3)
    generator = Listed(numbers: [12])
    #expect(generator.integer(below: 1) == 0)
  }
}
