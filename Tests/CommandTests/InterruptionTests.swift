import CommandSupport
import Foundation
import TestSupport
import Testing

/// Runs that are ended from outside, at a moment that nobody chose, go on as if nothing had been.
@Suite("Interrupted runs")
struct InterruptionTests {
  private static let training = [
    "--dropout", "0.1", "--warmup", "20", "--save-every", "40", "--validate-every", "70", "--keep-last", "1",
  ]

  @Test func aRunKilledBetweenTwoSavesEndsWithTheSameBytes() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    let run = "\(try Scratch.folder())/run"
    let command = try await start(data, run)
    // The moment may have passed before the signal arrives; a stopped process keeps still while one looks again.
    repeat {
      command.send(SIGCONT)
      try await command.wait { savedStep(run) >= 40 && lastMeasuredStep(run) > savedStep(run) }
      command.send(SIGSTOP)
      try await Task.sleep(for: .milliseconds(50))
    } while lastMeasuredStep(run) <= savedStep(run)
    command.send(SIGKILL)
    #expect(try await command.end().status == -SIGKILL)
    #expect(lastMeasuredStep(run) > savedStep(run))
    try await goOnAndCompare(data, run, steps: savedStep(run) + 95)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGUSR1]) func aRunAskedToStopSavesAndEndsWithTheSameBytes(signal: Int32)
    async throws
  {
    let data = try Scratch.file(Esolm.text.utf8)
    let run = "\(try Scratch.folder())/run"
    let command = try await start(data, run)
    try await command.wait { lastMeasuredStep(run) >= 10 }
    command.send(signal)
    let result = try await command.end()
    let step = savedStep(run)
    #expect(result.status == 0)
    #expect(lastMeasuredStep(run) <= step && step - lastMeasuredStep(run) < 10)
    #expect(
      result.error.hasSuffix("\nstopped at step \(step), saved; go on with: esolm train --resume \(run)\n"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints").count == 1)
    try await goOnAndCompare(data, run, steps: step + 55)
  }

  /// Before there is anything to save: it ends at once, and nothing is left of what it was making.
  @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGUSR1])
  func whoIsAskedToStopWhileItTokenisesLeavesNothing(signal: Int32) async throws {
    // A text that does not end: this process holds the pipe open. Training wants one that can be read again.
    let pipe = "\(try Scratch.folder())/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let writer = try #require(FileHandle(forUpdatingAtPath: pipe))
    let data = try Scratch.file(String(repeating: Esolm.text, count: 60_000).utf8)
    let folder = try Scratch.folder()
    let commands = [
      ["tokenize", pipe, "--tokenizer", "bytes", "--out", "\(folder)/tokens"],
      ["train", "--data", data, "--out", "\(folder)/run", "--token-dir", folder, "--tokenizer", "bytes"] + Esolm.tiny,
    ]
    for arguments in commands {
      let command = try await Esolm.start(arguments)
      try writer.write(contentsOf: Data(Esolm.text.utf8))
      try await command.send(signal) { try !contents(of: folder).isEmpty }
      #expect(try await command.end().status == 128 + signal)
      #expect(try contents(of: folder) == [])
    }
    withExtendedLifetime(writer) {}
  }

  /// Who starts a process by nohup wants it to outlive the terminal.
  @Test func aSignalThatWasIgnoredAtTheStartStaysIgnored() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let command = try await Command.start(
      "/bin/sh",
      ["-c", #"trap '' HUP; exec "$0" "$@""#, Esolm.executable(), "train", "--resume", run, "--steps", "100000000"],
      environment: Esolm.environment)
    try await command.wait { lastMeasuredStep(run) >= 70 }
    command.send(SIGHUP)
    let step = lastMeasuredStep(run)
    try await command.wait { lastMeasuredStep(run) > step + 10 }
    command.send(SIGUSR1)
    #expect(try await command.end().status == 0)
  }

  // MARK: Helpers

  private func start(_ data: String, _ run: String) async throws -> Command {
    try await Esolm.start(
      ["train", "--data", data, "--out", run, "--steps", "10000000"] + Self.training + Esolm.tiny)
  }

  /// Resumes a run and holds it against one that was never interrupted.
  private func goOnAndCompare(_ data: String, _ run: String, steps: Int) async throws {
    let other = "\(try Scratch.folder())/run"
    try await Esolm.succeed(["train", "--resume", run, "--steps", "\(steps)"])
    try await Esolm.succeed(
      ["train", "--data", data, "--out", other, "--steps", "\(steps)"] + Self.training + Esolm.tiny)
    #expect(savedStep(run) == steps)
    // TensorBoard's files have names of their own.
    func files(_ run: String) throws -> [String: Data] {
      try Scratch.snapshot(run).filter { !$0.key.contains("tfevents") }
    }
    let (resumed, uninterrupted) = (try files(run), try files(other))
    #expect(resumed.keys.sorted() == uninterrupted.keys.sorted())
    // Metrics hold speeds, which differ, and the lock who trained; everything else is the same to the last byte.
    for (name, contents) in uninterrupted where !["metrics.jsonl", "lock"].contains(name) {
      #expect(resumed[name] == contents, "\(name) differs")
    }
    #expect(try losses(run) == losses(other))
  }

  /// The step of the newest checkpoint; 0 while there is none.
  private func savedStep(_ run: String) -> Int {
    let latest = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest")
    return latest?.split(separator: "-").last.flatMap { Int($0) } ?? 0
  }

  private struct Line: Decodable {
    var step: Int
    var loss: Double
    var validationNELBO: Double?
  }

  private func lastMeasuredStep(_ run: String) -> Int {
    let text = (try? String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      .last?.step ?? 0
  }

  private func losses(_ run: String) throws -> [[Double?]] {
    try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      let line = try JSONDecoder().decode(Line.self, from: Data($0.utf8))
      return [Double(line.step), line.loss, line.validationNELBO]
    }
  }
}
