import Files
import Testing

@Suite("Memory of the machine")
struct SystemMemoryTests {
  @Test func moreThanThereIsIsToldWithNumbers() throws {
    try SystemMemory.require(1_000, for: "it", wayOut: "", available: 1_000)
    try SystemMemory.require(1 << 40, for: "it", wayOut: "", available: nil)
    let error = #expect(throws: FileError.self) {
      try SystemMemory.require(
        3_210_000_000, for: "runs/a: the network in float32", wayOut: "use int8", available: 1_990_000_000)
    }
    #expect(
      error.map { "\($0)" }
        == "runs/a: the network in float32 takes 3.2 GB of memory, and 2.0 GB are available; use int8")
  }

  #if os(Linux)
    @Test func thisMachineHasSome() throws {
      let available = try #require(SystemMemory.available)
      #expect(available > 1 << 20 && available < 1 << 50)
    }
  #endif
}
