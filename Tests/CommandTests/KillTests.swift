import CommandSupport
import Files
import Foundation
import Randomness
import Runs
import Testing
import TestSupport

/// Training that saves after every step, killed at moments that nobody chose, most of them within a save.
///
/// `ESOLM_KILLS` sets how often. The moments come from a seed, a new one each time, which a failure names as the test's
/// argument; `ESOLM_KILL_SEED` takes it again.
@Suite("Runs killed while they save")
struct KillTests {
  private static let kills = ProcessInfo.processInfo.environment["ESOLM_KILLS"].flatMap { Int($0) } ?? 50
  private static let seed =
    ProcessInfo.processInfo.environment["ESOLM_KILL_SEED"].flatMap { UInt64($0) } ?? .random(in: 0..<1_000_000)

  /// How long to wait before the kill of this number.
  private func wait(atMost microseconds: Int, seed: UInt64, kill: Int) -> Duration {
    var generator = CounterGenerator(seed: seed, stream: .toyLanguage, major: kill)
    return .microseconds(Int(generator.uniform() * Double(microseconds)))
  }

  @Test(arguments: [Self.seed])
  func afterEveryKillAWholeCheckpointLoadsAndAtMostOneSaveIsLost(seed: UInt64) async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    let run = "\(try Scratch.folder())/run"
    try await Esolm.succeed(["train", "--data", data, "--out", run, "--steps", "1", "--save-every", "1"] + Esolm.tiny)
    var last = 1
    var leftovers = 0
    for kill in 0..<Self.kills {
      let command = try await Esolm.start(["train", "--resume", run, "--steps", "100000000"])
      try await command.wait { newest(run) > last }
      try await Task.sleep(for: wait(atMost: 60_000, seed: seed, kill: kill))
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
      if try !unfinished(in: "\(run)/checkpoints").isEmpty { leftovers += 1 }
    }
    // Otherwise no kill fell into a save, and nothing was shown.
    #expect(leftovers > 0, "none of \(Self.kills) kills left a save half-done")
    try await Esolm.succeed(["train", "--resume", run, "--steps", "\(last + 1)"])
    #expect(try unfinished(in: run) + unfinished(in: "\(run)/checkpoints") == [])
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints").count == 2)
  }

  /// Also of text that was becoming tokens: what is there is whole, and the next one does away with the rest.
  @Test(arguments: [Self.seed]) func whatAKilledTokenisationLeftGoesWithTheNext(seed: UInt64) async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let (tokens, pipe) = ("\(folder)/tokens", "\(folder)/pipe")
    // A text that does not end: this process holds the pipe open.
    try #require(mkfifo(pipe, 0o600) == 0)
    let writer = try #require(FileHandle(forUpdatingAtPath: pipe))
    try writer.write(contentsOf: Data(Esolm.text.utf8))
    func arguments(_ data: String) -> [String] {
      ["tokenize", data, "--tokenizer", "bytes", "--out", "\(tokens)/text"]
    }
    try FileManager.default.createDirectory(atPath: tokens, withIntermediateDirectories: false)
    // Somebody else's, and one that a process is making.
    try "mine".write(to: "\(tokens)/a.tmp")
    let living = try #require(try LockedFile("\(tokens)/.other.esolm-1-0.tmp"))
    for kill in 0..<5 {
      let command = try await Esolm.start(arguments(pipe))
      try await command.wait { try unfinished(in: tokens).count > 1 }
      try await Task.sleep(for: wait(atMost: 20_000, seed: seed, kill: kill))
      command.send(SIGKILL)
      _ = try await command.end()
      // Each found what the one before it left.
      #expect(try unfinished(in: tokens).count <= 2)
    }
    try await Esolm.succeed(arguments(data))
    #expect(try contents(of: tokens) == [".other.esolm-1-0.tmp", "a.tmp", "text"])
    withExtendedLifetime((living, writer)) {}
  }

  private func unfinished(in folder: String) throws -> [String] {
    try contents(of: folder).filter { $0.hasPrefix(".") && $0.hasSuffix(".tmp") }
  }

  /// The step that `latest` shows.
  private func newest(_ run: String) -> Int {
    let latest = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest")
    return latest?.split(separator: "-").last.flatMap { Int($0) } ?? 0
  }
}
