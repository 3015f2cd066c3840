import Randomness
import TestSupport
import Testing

@Suite("Counter generator")
struct CounterGeneratorTests {
  /// The known answers that are published with Random123.
  @Test(
    arguments: [
      (
        [0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
      ),
      (
        [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff], [0xffff_ffff, 0xffff_ffff],
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
      ),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ] as [([UInt32], [UInt32], [UInt32])])
  func theReferenceGivesThePublishedNumbers(counter: [UInt32], key: [UInt32], answer: [UInt32]) {
    #expect(referencePhilox(counter: counter, key: key) == answer)
  }

  @Test(arguments: [0, 1, 0xa409_3822_299f_31d0, UInt64.max], RandomStream.allCases)
  func numbersAreThoseOfPhilox(seed: UInt64, stream: RandomStream) {
    for (major, minor) in [(0, 0), (1, 0), (0, 1), (0x1319_8a2e, 0x0370_7344), (~3, 7), (1 << 32, 5)] {
      var generator = CounterGenerator(seed: seed, stream: stream, major: major, minor: minor)
      for block in 0..<3 as Range<UInt32> {
        let words = referencePhilox(
          counter: [block, stream.rawValue, UInt32(truncatingIfNeeded: major), UInt32(truncatingIfNeeded: minor)],
          key: [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)])
        #expect(generator.next() == UInt64(words[0]) | UInt64(words[1]) << 32)
        #expect(generator.next() == UInt64(words[2]) | UInt64(words[3]) << 32)
      }
    }
  }

  /// Changing one would change every result that a seed stands for.
  @Test func streamsKeepTheirNumbers() {
    #expect(RandomStream.allCases.map(\.rawValue) == Array(1...UInt32(RandomStream.allCases.count)))
    #expect(RandomStream.samplingToken.rawValue == 8)
  }

  @Test func everyPartOfTheKeyMatters() {
    let keys: [(UInt64, RandomStream, Int, Int)] = [
      (0, .corruption, 0, 0), (1, .corruption, 0, 0), (1 << 32, .corruption, 0, 0), (0, .dropout, 0, 0),
      (0, .corruption, 1, 0), (0, .corruption, 0, 1),
    ]
    let first = keys.map { seed, stream, major, minor in
      var generator = CounterGenerator(seed: seed, stream: stream, major: major, minor: minor)
      return generator.next()
    }
    #expect(Set(first).count == keys.count)
  }

  @Test func copiesGoTheirOwnWay() {
    var generator = CounterGenerator(seed: 1, stream: .corruption)
    _ = generator.next()
    var copy = generator
    #expect((0..<5).map { _ in generator.next() } == (0..<5).map { _ in copy.next() })
  }

  @Test func uniformNumbersFillTheUnitInterval() {
    var generator = CounterGenerator(seed: 1, stream: .corruption)
    let numbers = (0..<100_000).map { _ in generator.uniform() }
    #expect(numbers.allSatisfy { (0..<1).contains($0) && ($0 * 0x1p53).rounded() == $0 * 0x1p53 })
    var counts = [Int](repeating: 0, count: 64)
    for number in numbers { counts[Int(number * 64)] += 1 }
    #expect(chiSquareScore(counts, distribution: Array(repeating: 1 / 64, count: 64)) < 4)
  }

  /// The first numbers of neighbouring keys, which is how most of them are used.
  @Test func neighbouringKeysAreIndependent() {
    var counts = [Int](repeating: 0, count: 64)
    for major in 0..<200 {
      let row = (0..<200).map { minor in
        var generator = CounterGenerator(seed: 3, stream: .samplingToken, major: major, minor: minor)
        return Int(generator.uniform() * 8)
      }
      for (first, second) in zip(row, row.dropFirst()) { counts[first * 8 + second] += 1 }
    }
    // Pairs overlap, but those of independent numbers are still uncorrelated.
    #expect(chiSquareScore(counts, distribution: Array(repeating: 1 / 64, count: 64)) < 4)
  }
}
