import Foundation
import Randomness

/// How much is tried. `ESOLM_FUZZ_INPUTS` sets how many inputs each reader gets, `ESOLM_FUZZ_SEED` the seed.
enum Fuzzing {
  static func inputs(_ usual: Int) -> Int { setting("ESOLM_FUZZ_INPUTS", usual) }
  static let seed = UInt64(setting("ESOLM_FUZZ_SEED", 1))

  private static func setting(_ name: String, _ usual: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? usual
  }
}

/// Damages bytes in the ways that programs and disks do, and in some that only an attacker would.
struct Mutator {
  private var generator: CounterGenerator

  init(_ generator: CounterGenerator) { self.generator = generator }

  private static let opcodes =
    Array("NJKMGXTUBC)t]l}da e su(012qrhjcRbQ.".utf8) + [
      0x80, 0x81, 0x85, 0x86, 0x87, 0x8A, 0x8B, 0x8D, 0x8F, 0x90, 0x91, 0x92, 0x93, 0x94, 0x96,
    ]
  private static let numbers: [UInt32] = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF]

  mutating func damaged(_ data: Data, others: [Data]) -> Data {
    var bytes = [UInt8](data)
    for _ in 0...Int.random(in: 0..<3, using: &generator) where !bytes.isEmpty { damage(&bytes, others) }
    return Data(bytes)
  }

  private mutating func damage(_ bytes: inout [UInt8], _ others: [Data]) {
    func place() -> Int { Int.random(in: 0..<bytes.count, using: &generator) }
    // Headers and directories stand at the ends.
    let spot =
      Bool.random(using: &generator) ? place() : min(bytes.count - 1, Int.random(in: 0..<64, using: &generator))
    let start = Bool.random(using: &generator) ? spot : bytes.count - 1 - spot
    switch Int.random(in: 0..<9, using: &generator) {
    case 0: bytes[start] = .random(in: 0...255, using: &generator)
    case 1: bytes[start] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 2: bytes[start] = Self.opcodes.randomElement(using: &generator)!
    case 3: bytes.insert(Self.opcodes.randomElement(using: &generator)!, at: start)
    case 4:
      for (offset, byte) in PickleAssembler.little(Self.numbers.randomElement(using: &generator)!).enumerated()
      where start + offset < bytes.count { bytes[start + offset] = byte }
    case 5: bytes.removeSubrange(start..<min(bytes.count, start + Int.random(in: 1..<24, using: &generator)))
    case 6:
      let end = min(bytes.count, start + Int.random(in: 1..<48, using: &generator))
      bytes.insert(contentsOf: Array(bytes[start..<end]), at: place())
    case 7:
      let other = others.randomElement(using: &generator)!
      let from = Int.random(in: 0..<other.count, using: &generator)
      bytes.insert(
        contentsOf: Array(other.dropFirst(from).prefix(Int.random(in: 1..<64, using: &generator))), at: start)
    default: if Int.random(in: 0..<8, using: &generator) == 0 { bytes.removeLast(start) }
    }
  }
}
