import CommandSupport
import Foundation
import Runs
import Testing
import TestSupport

/// The same command given twice, as by a job that was queued again.
// One at a time: a test that holds a process and waits for another must be the only one that does.
@Suite("Two processes on one run", .serialized)
struct LockTests {
  private struct Line: Decodable { var step: Int }

  private static let everyStep = ["--save-every", "1", "--validate-every", "1", "--keep-last", "2"]

  /// Starts two processes at once, and returns the status of both and what they said. A shell starts them, so that a
  /// test does not wait for the place of its second process while it holds that of the first.
  private func twice(_ arguments: [String]) async throws -> [(status: Int, error: String)] {
    let folder = try Scratch.folder()
    let script = #""$0" "$@" 2>"$MESSAGES/0" & "$0" "$@" 2>"$MESSAGES/1"; second=$?; wait $!; echo $? $second"#
    let result = try await Command.run(
      "/bin/sh", ["-c", script, Esolm.executable()] + arguments,
      environment: Esolm.environment.merging(["MESSAGES": folder]) { $1 })
    return try result.output.split(whereSeparator: \.isWhitespace).enumerated().map {
      (status: Int($1) ?? -1, error: try String(contentsOf: "\(folder)/\($0)"))
    }
  }

  /// One trained to the step, or both, one after the other; one that was refused says why; nothing was lost.
  private func expectOrder(_ results: [(status: Int, error: String)], _ run: String, step: Int) throws {
    #expect(results.contains { $0.status == 0 }, "\(results.map(\.error))")
    for result in results where result.status != 0 {
      #expect(result.status == 1)
      let line = try #require(result.error.split(separator: "\n").last)
      let inUse =
        #/esolm: error: .*run is being trained by process \d+ on \S+ since \S+Z; wait until it ends, or stop it/#
      #expect(line.wholeMatch(of: inUse) != nil || line.contains("run already holds files"), "\(line)")
    }
    let metrics = try String(contentsOf: "\(run)/metrics.jsonl").split(separator: "\n")
    #expect(try metrics.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)).step } == Array(1...step))
    #expect(
      try contents(of: "\(run)/checkpoints") == [step - 1, step].map { "step-0000000\($0)" })
    #expect(try contents(of: run).allSatisfy { !$0.hasSuffix(".tmp") })
    #expect(try RunFolder(opening: run).restore().skipped == [])
  }

  @Test func whoTrainsIsLeftInPeace() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let first = try await Esolm.start(["train", "--resume", run, "--steps", "100000000"])
    try await first.wait { (try? String(contentsOf: "\(run)/lock").contains("\(first.identifier)")) == true }
    // More than the first one can have made by the time that this one begins.
    let second = try await Esolm.run(["train", "--resume", run, "--steps", "200000000"])
    #expect(second.status == 1)
    #expect(
      second.error.hasPrefix("esolm: error: \(run) is being trained by process \(first.identifier) on "),
      "\(second.error)")
    let other = try await Esolm.run(
      ["train", "--data", try Scratch.file(Esolm.text.utf8), "--out", run] + Esolm.tiny)
    #expect(other.status == 1 && other.error == second.error)
    // Whoever only reads may.
    try await Esolm.succeed(["sample", run])
    first.send(SIGKILL)
    _ = try await first.end()
    let step = try RunFolder(opening: run).restore().state.step
    try await Esolm.succeed(["train", "--resume", run, "--steps", "\(step + 1)"])
  }

  /// As in a folder of links to a run, made to try something without changing it.
  @Test func aLockThatIsALinkIsTaken() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let lock = "\(try Scratch.folder())/elsewhere"
    try Data().write(to: URL(fileURLWithPath: lock))
    try? FileManager.default.removeItem(atPath: "\(run)/lock")
    try FileManager.default.createSymbolicLink(atPath: "\(run)/lock", withDestinationPath: lock)
    let step = try RunFolder(opening: run).restore().state.step
    try await Esolm.succeed(["train", "--resume", run, "--steps", "\(step + 1)"])
    #expect(try String(contentsOf: lock).contains("process"))
  }

  @Test func oneOfTwoGoesOn() async throws {
    let run = "\(try Scratch.folder())/run"
    let data = try Scratch.file(Esolm.text.utf8)
    try await Esolm.succeed(["train", "--data", data, "--out", run, "--steps", "1"] + Self.everyStep + Esolm.tiny)
    for step in stride(from: 3, through: 9, by: 2) {
      try expectOrder(try await twice(["train", "--resume", run, "--steps", "\(step)"]), run, step: step)
    }
  }

  @Test func oneOfTwoBegins() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    for _ in 0..<4 {
      let run = "\(try Scratch.folder())/run"
      let arguments = ["train", "--data", data, "--out", run, "--steps", "3"] + Self.everyStep + Esolm.tiny
      try expectOrder(try await twice(arguments), run, step: 3)
    }
  }
}
