import Faults
import Testing

@Suite("Own faults")
struct TrapTests {
  @Test func aTrapSaysWhatWasFoundInOptimisedBuildsToo() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      trap(unless: 1 + 1 == 2, "arithmetic fails")
      trap(unless: CommandLine.arguments.isEmpty, "\(2 + 1) apples")
    }
    let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(words.contains("3 apples") && words.contains("TrapTests.swift") && !words.contains("arithmetic"))
  }
}
