import CommandSupport
import Foundation
import Testing

/// A program that is kept before its `main` does what it does when it is loaded for each command.
@Suite("A kept program")
struct KeptProgramTests {
  @Test(arguments: [
    ["--version"], ["sudoku", "grids", "--side", "4", "--count", "3", "--seed", "2"], ["train", "--nope"],
    ["inspect", "/nowhere"], ["datasets", "ö", ""],
  ])
  func keptIsLoaded(arguments: [String]) async throws {
    let kept = try await Esolm.run(arguments)
    let loaded = try await Command.run(Esolm.executable(), arguments, environment: Esolm.environment)
    #expect(kept.status == loaded.status && kept.output == loaded.output && kept.error == loaded.error)
  }

  @Test func aSignalIsItsStatus() async throws {
    let command = try await Esolm.start(["sudoku", "grids", "--count", "1000000"])
    command.send(SIGKILL)
    #expect(try await command.end().status == -SIGKILL)
  }

  /// Then each command loads the program, as on other systems.
  @Test func whatIsNoSwiftProgramIsNotKept() { #expect(KeptProgram("/bin/cat", environment: [:]) == nil) }
}
