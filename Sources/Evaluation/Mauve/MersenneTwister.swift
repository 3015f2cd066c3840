/// The 32-bit Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), for nothing but agreeing with other software's
/// draws; what this package draws for itself comes from `CounterGenerator`.
struct MersenneTwister {
  private var state: [UInt32]
  private var index: Int

  private static let size = 624

  init(seed: UInt32) {
    state = [seed]
    for number in 1..<Self.size {
      let last = state[number - 1]
      state.append(1_812_433_253 &* (last ^ last >> 30) &+ UInt32(number))
    }
    index = Self.size
  }

  mutating func next() -> UInt32 {
    if index == Self.size { renew() }
    var y = state[index]
    index += 1
    y ^= y >> 11
    y ^= y << 7 & 0x9D2C_5680
    y ^= y << 15 & 0xEFC6_0000
    return y ^ y >> 18
  }

  /// A number from 0 to 1.
  mutating func uniform() -> Float { Float(next()) / Float(UInt32.max) }

  private mutating func renew() {
    for number in 0..<Self.size {
      let y = state[number] & 0x8000_0000 | state[(number + 1) % Self.size] & 0x7FFF_FFFF
      state[number] = state[(number + 397) % Self.size] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
    }
    index = 0
  }

  /// The numbers 0 ..< count, shuffled from the front.
  static func permutation(of count: Int, seed: UInt32) -> [Int] {
    var generator = MersenneTwister(seed: seed)
    var numbers = Array(0..<count)
    for place in numbers.indices.dropLast() {
      numbers.swapAt(place, place + Int(generator.next() % UInt32(count - place)))
    }
    return numbers
  }
}
