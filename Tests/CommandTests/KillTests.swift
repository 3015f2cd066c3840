import Checkpoints
import CommandSupport
import Foundation
import Testing

/// Training that saves after every step, killed at moments that nobody chose, most of them within a save.
///
/// `ESOLM_KILLS` sets how often.
@Suite("Runs killed while they save")
struct KillTests {
  private static let kills = ProcessInfo.processInfo.environment["ESOLM_KILLS"].flatMap { Int($0) } ?? 50

  @Test func afterEveryKillAWholeCheckpointLoadsAndAtMostOneSaveIsLost() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    let run = "\(try Scratch.folder())/run"
    try await Esolm.succeed(["train", "--data", data, "--out", run, "--steps", "1", "--save-every", "1"] + Esolm.tiny)
    var generator = SystemRandomNumberGenerator()
    var last = 1
    var leftovers = 0
    for _ in 0..<Self.kills {
      let command = try await Command.start(
        Esolm.executable(), ["train", "--resume", run, "--steps", "100000000"], environment: Esolm.environment)
      try await command.wait { newest(run) > last }
      try await Task.sleep(for: .microseconds(Int.random(in: 0..<60_000, using: &generator)))
      let seen = newest(run)
      command.send(SIGKILL)
      let result = try await command.end()
      #expect(result.status == -SIGKILL)
      #expect(!result.error.contains("skipped"), "\(result.error)")

      // What `latest` shows is whole: links, checksums, contents.
      let folder = try RunFolder(opening: run)
      _ = try folder.model(.model)
      let shown = try folder.savedStep()
      let restored = try folder.restore()
      #expect(restored.skipped == [])
      // What was saved before the kill is there; a save that was complete but not yet shown may be too.
      #expect(shown >= seen && (shown...shown + 1).contains(restored.state.step))
      last = restored.state.step
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")
      if names.contains(where: { $0.hasSuffix(".tmp") }) { leftovers += 1 }
    }
    // Otherwise no kill fell into a save, and nothing was shown.
    #expect(leftovers > 0, "none of \(Self.kills) kills left a save half-done")
  }

  /// The step that `latest` shows.
  private func newest(_ run: String) -> Int {
    let latest = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest")
    return latest?.split(separator: "-").last.flatMap { Int($0) } ?? 0
  }
}
