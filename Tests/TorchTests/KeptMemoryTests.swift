import Randomness
import Testing
import Torch

@Suite("Memory that is kept")
struct KeptMemoryTests {
  /// Tensors of sizes that differ come and go: none is written over, and what is kept never grows beyond a tenth.
  @Test func whatIsUsedAndKeptIsLittleMoreThanWasEverUsed() {
    Torch.keepMemory()
    var generator = CounterGenerator(seed: 1, stream: .toyLanguage)
    var live: [(value: Float, tensor: Tensor)] = []
    for round in 0..<2000 {
      if live.count == 24 {
        let (value, tensor) = live.remove(at: generator.integer(below: live.count))
        #expect(tensor.array(of: Float.self).allSatisfy { $0 == value })
      }
      let count = 1000 + generator.integer(below: 100_000)
      live.append((Float(round), .full([count], Double(round))))
      let memory = Torch.keptMemory
      #expect(Double(memory.used + memory.kept) <= 1.1 * Double(memory.mostUsed) + 1)
    }
    #if os(Linux)
      #expect(Torch.keptMemory.mostUsed > 24 * 100_000)
    #endif
  }
}
