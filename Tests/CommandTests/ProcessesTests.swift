import CommandSupport
import Foundation
import Testing

/// `mpirun -n N esolm train`, where Open MPI is installed.
@Suite(
  "Training on several processes", .serialized, .enabled(if: Processes.mpirun != nil, "Open MPI's mpirun is missing"))
struct ProcessesTests {
  private static let sizes = [
    "--hidden-size", "16", "--blocks", "2", "--heads", "2", "--conditioning-size", "8", "--length", "16", "--batch",
    "8",
    "--learning-rate", "0.003", "--dropout", "0", "--validate-every", "1", "--validation-sequences", "6",
  ]

  private func start(_ data: String, _ run: String, steps: Int) -> [String] {
    ["train", "--data", data, "--out", run, "--steps", "\(steps)"] + Self.sizes
  }

  private struct Line: Decodable {
    var step: Int
    var loss: Double
    var gradientNorm: Double
    var validationNELBO: Double
  }

  private func lines(_ run: String) throws -> [Line] {
    try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8))
    }
  }

  /// - Parameter tolerance: relative; what differs by rounding drifts apart with the steps.
  private func expectEqual(_ found: [Line], _ expected: [Line], within tolerance: Double = 1e-5) {
    #expect(found.map(\.step) == expected.map(\.step))
    for (found, expected) in zip(found, expected) {
      for value in [\Line.loss, \.gradientNorm, \.validationNELBO] {
        #expect(
          abs(found[keyPath: value] / expected[keyPath: value] - 1) < tolerance,
          "step \(found.step): \(found[keyPath: value]), expected \(expected[keyPath: value])")
      }
    }
  }

  @Test func theLossesOfOneTwoAndFourProcessesAreEqual() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    try await Esolm.succeed(start(data, "\(folder)/1", steps: 50))
    let alone = try lines("\(folder)/1")
    #expect(alone.count == 50)
    for count in [2, 4] {
      let result = try await Processes.run(count, start(data, "\(folder)/\(count)", steps: 50))
      #expect(result.status == 0, "\(result.error)")
      expectEqual(try lines("\(folder)/\(count)"), alone)
    }
    // The same data in the same order, whoever goes on.
    for (before, count) in [(4, 1), (1, 2)] {
      let run = "\(folder)/\(before)"
      let steps = ["--resume", run, "--steps", "60"]
      let result =
        count == 1 ? try await Esolm.run(["train"] + steps) : try await Processes.run(count, ["train"] + steps)
      #expect(result.status == 0, "\(result.error)")
    }
    expectEqual(try lines("\(folder)/4"), try lines("\(folder)/1"), within: 1e-4)
  }

  @Test func aProcessThatDiesEndsAllAndTheRunGoesOn() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let run = "\(folder)/run"
    let command = try await Processes.start(2, start(data, run, steps: 100_000_000) + ["--save-every", "5"])
    try await command.wait { (try? FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints").count) == 2 }
    kill(try #require(Processes.identifier(ofRank: 1, startedBy: command.identifier)), SIGKILL)
    let result = try await command.end(timeout: .seconds(10))
    #expect(result.status != 0)
    #expect(result.error.contains("rank 1"), "\(result.error)")

    // As if nothing had happened.
    let saved = try #require(lines(run).last).step
    try FileManager.default.copyItem(atPath: run, toPath: "\(folder)/copy")
    let end = "\(saved + 10)"
    try await Esolm.succeed(["train", "--resume", run, "--steps", end])
    let four = try await Processes.run(4, ["train", "--resume", "\(folder)/copy", "--steps", end])
    #expect(four.status == 0, "\(four.error)")
    try await Esolm.succeed(start(data, "\(folder)/whole", steps: saved + 10) + ["--warmup", "2500"])
    expectEqual(try lines("\(folder)/copy"), try lines(run), within: 1e-4)
    expectEqual(try lines(run), try lines("\(folder)/whole"), within: 1e-4)
  }

  @Test func aSignalStopsAllAndSaves() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let run = "\(folder)/run"
    let command = try await Processes.start(2, start(data, run, steps: 100_000_000))
    try await command.wait { (try? lines(run).count) ?? 0 > 3 }
    // To one of them; mpirun, and Slurm, send it to all.
    kill(try #require(Processes.identifier(ofRank: 1, startedBy: command.identifier)), SIGUSR1)
    let result = try await command.end(timeout: .seconds(20))
    #expect(result.status == 0, "\(result.error)")
    let last = try #require(lines(run).last).step
    #expect(result.error.contains("stopped at step \(last), saved"), "\(result.error)")
  }

  /// How a batch is divided can be said anew; what the run keeps changes only if it fits.
  @Test func aRunGoesOnInOtherParts() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let run = "\(folder)/run"
    try await Esolm.succeed(start(data, run, steps: 2) + ["--micro-batch", "8"])
    let before = try Data(contentsOf: URL(fileURLWithPath: "\(run)/config.json"))
    let resume = ["train", "--resume", run, "--steps", "4", "--micro-batch"]
    let wrong = try await Processes.run(2, resume + ["8"])
    #expect(wrong.error.contains("--micro-batch is 8, expected a divisor of 4, the sequences of a process"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: "\(run)/config.json")) == before)
    let right = try await Processes.run(4, resume + ["2"])
    #expect(right.status == 0, "\(right.error)")
    #expect(try lines(run).map(\.step) == [1, 2, 3, 4])
  }

  @Test func trainingThatDivergesIsSavedAndToldOnce() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let run = "\(folder)/run"
    let result = try await Processes.run(
      2, start(data, run, steps: 9) + ["--warmup", "0", "--learning-rate", "1e30"])
    #expect(result.status != 0)
    let errors = result.error.split(separator: "\n").filter { $0.contains("esolm: error:") }
    #expect(errors.count == 1 && errors[0].contains("training diverged at step "), "\(result.error)")
    #expect(FileManager.default.fileExists(atPath: "\(run)/diverged.json"))
    #expect(result.error.contains("\(run)/diverged.json"))
  }

  @Test(arguments: [
    (["--batch", "6"], "--batch is 6, expected a multiple of 4, the processes"),
    (["--learning-rate", "0"], "--learning-rate is 0.0, expected a number above 0"),
  ])
  func mistakesAreToldOnce(options: [String], message: String) async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let result = try await Processes.run(4, start(data, "\(folder)/run", steps: 5) + options)
    #expect(result.status != 0)
    let errors = result.error.split(separator: "\n").filter { $0.contains("esolm: error:") }
    #expect(errors.count == 1 && errors[0].contains(message), "\(result.error)")
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/run"))
  }

  @Test func processesThatWereToldDifferentThingsDoNotStart() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let result = try await Command.run(
      Processes.mpirun!,
      ["--oversubscribe", "-n", "1", Esolm.executable()] + start(data, "\(folder)/run", steps: 5)
        + [":", "-n", "1", Esolm.executable()] + start(data, "\(folder)/run", steps: 6),
      environment: Processes.environment)
    #expect(result.status != 0)
    #expect(result.error.contains("process 1 has another command line than process 0"), "\(result.error)")
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/run"))
  }
}

/// Open MPI as users have it.
enum Processes {
  static let mpirun: String? =
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/mpirun" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  static let environment = Esolm.environment.merging([
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  ]) { $1 }

  static func start(_ count: Int, _ arguments: [String]) async throws -> Command {
    try await Command.start(
      mpirun!, ["--oversubscribe", "-n", "\(count)", try Esolm.executable()] + arguments, environment: environment)
  }

  static func run(_ count: Int, _ arguments: [String]) async throws -> CommandOutput {
    try await start(count, arguments).end()
  }

  /// The process of a rank, among those that a process started.
  static func identifier(ofRank rank: Int, startedBy parent: Int32) -> Int32? {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { Int32($0) }.first { process in
      guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
        status.contains("\nPPid:\t\(parent)\n"),
        let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ")
      else { return false }
      return environment.split(separator: 0).contains(Data("OMPI_COMM_WORLD_RANK=\(rank)".utf8))
    }
  }
}
