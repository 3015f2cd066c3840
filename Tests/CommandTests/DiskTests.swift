import CommandSupport
import Foundation
import TestSupport
import Testing

/// Disks that take no more, or nothing at all.
@Suite("Full and read-only disks")
struct DiskTests {
  /// Files of more than 4 KiB cannot be written, which stands for a full disk where none can be made.
  private func runWithSmallFiles(_ arguments: [String]) async throws -> CommandOutput {
    try await Command.run(
      "/bin/sh", ["-c", #"ulimit -f 8 && exec "$0" "$@""#, Esolm.executable()] + arguments,
      environment: Esolm.environment)
  }

  /// Whether a line says that a checkpoint's weights could not be written, and why.
  private func isUnwritable(_ line: some StringProtocol, step: Int, _ reason: String) -> Bool {
    let path = #/esolm: error: cannot write \S+/\.step-0{0,7}(\d+)\.esolm-\d+-0\.tmp/\w+\.safetensors: (.+?)\n?/#
    return String(line).wholeMatch(of: path).map { $0.1 == "\(step)" && $0.2 == reason } ?? false
  }

  @Test func aRunThatDoesNotFitLeavesNothingBehind() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let result = try await runWithSmallFiles(["train", "--data", data, "--out", "\(folder)/run"] + Esolm.tiny)
    #expect(isUnwritable(result.error, step: 0, "File too large"), "\(result.error)")
    #expect(result.status == 1)
    #expect(try Scratch.snapshot(folder) == [:])
  }

  @Test func aSaveThatDoesNotFitLeavesTheEarlierOne() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let before = try Scratch.snapshot(run)
    let result = try await runWithSmallFiles(["train", "--resume", run, "--steps", "65"])
    let lines = result.error.split(separator: "\n").filter { $0.hasPrefix("esolm: ") }
    #expect(lines.count == 1 && isUnwritable(lines[0], step: 65, "File too large"), "\(lines)")
    #expect(result.status == 1)
    let after = try Scratch.snapshot(run)
    // TensorBoard's file gets a new name whenever a run goes on.
    func names(_ files: [String: Data]) -> [String] { files.keys.filter { !$0.contains("tfevents") }.sorted() }
    #expect(names(after) == names(before))
    for (name, contents) in before where name.hasPrefix("checkpoints") { #expect(after[name] == contents, "\(name)") }
    try await Esolm.succeed(["train", "--resume", run])
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints") == ["step-00000065"])
  }

  @Test(.enabled(Comment(rawValue: Disk.needsMount), Disk.canMount))
  func onAFullDiskTrainingEndsWithTheLastSaveIntact() async throws {
    try await Disk.withDisk(kilobytes: 224) { disk in
      let data = try Scratch.file(Esolm.text.utf8)
      let result = try await Esolm.run(
        ["train", "--data", data, "--out", "\(disk)/run", "--steps", "20", "--save-every", "5"] + Esolm.tiny)
      let line = try #require(result.error.split(separator: "\n").last)
      #expect(isUnwritable(line, step: 5, "No space left on device"), "\(line)")
      #expect(result.status == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(disk)/run/checkpoints") == ["step-00000000"])
      try await Esolm.succeed(["sample", "\(disk)/run"])
    }
  }

  @Test(.enabled(Comment(rawValue: Disk.needsMount), Disk.canMount))
  func onAFullDiskNoRunIsBegun() async throws {
    try await Disk.withDisk(kilobytes: 64) { disk in
      let data = try Scratch.file(Esolm.text.utf8)
      let result = try await Esolm.run(["train", "--data", data, "--out", "\(disk)/run"] + Esolm.tiny)
      #expect(isUnwritable(result.error, step: 0, "No space left on device"), "\(result.error)")
      #expect(result.status == 1)
      #expect(try Scratch.snapshot(disk) == [:])
    }
  }

  @Test(.enabled(Comment(rawValue: Disk.needsMount), Disk.canMount))
  func onAReadOnlyDiskARunIsSampledButNotTrained() async throws {
    try await Disk.withDisk(kilobytes: 1024) { disk in
      let run = "\(disk)/run"
      try await FileManager.default.copyItem(atPath: Esolm.trained(), toPath: run)
      try await Disk.makeReadOnly(disk)
      let before = try Scratch.snapshot(disk)
      try await Esolm.succeed(["sample", run])
      try await Esolm.succeed(["eval", run])
      let data = try Scratch.file(Esolm.text.utf8)
      let refused = [
        (["--resume", run, "--steps", "70"], "cannot write \(run)/lock: Read-only file system"),
        (
          ["--data", data, "--out", "\(disk)/other"] + Esolm.tiny,
          "cannot make the folder \(disk)/other: Read-only file system"
        ),
      ]
      for (arguments, message) in refused {
        let result = try await Esolm.run(["train"] + arguments)
        #expect(result.error == "esolm: error: \(message)\n")
        #expect(result.status == 1)
      }
      #expect(try Scratch.snapshot(disk) == before)
    }
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "this system has no /dev/full"))
  func outputThatCannotBeWrittenIsAnError() async throws {
    let run = try await Esolm.trained()
    let commands = [
      ["sample", run], ["sample", run, "--num-samples", "500", "--batch", "500"], ["sample", run, "--json"],
      ["eval", run], ["eval", run, "--json"], ["verify", Fixtures.path(of: "noise_schedule")], ["sample", "--help"],
      ["--version"], ["datasets"], ["eval", "entropy", run],
    ]
    for command in commands {
      for (output, reason) in [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")] {
        let result = try await Command.run(
          "/bin/sh", ["-c", #"exec "$0" "$@" \#(output)"#, Esolm.executable()] + command,
          environment: Esolm.environment)
        #expect(result.error.hasSuffix("esolm: error: cannot write the output: \(reason)\n"))
        #expect(result.status == 1)
      }
    }
  }

  /// As of `esolm sample RUN | head -1`: who reads no more has seen enough.
  @Test func outputThatNobodyReadsEndsWithoutAWord() async throws {
    let pipe = "\(try Scratch.folder())/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let run = try await Esolm.trained()
    // Opened to be read as well, so that opening waits for nobody, and then to be written alone.
    let script = #"exec 4<>"$0" 3>"$0" 4<&-; exec "$@" >&3 3>&-"#
    for command in [["sample", run], ["sample", run, "--json"], ["eval", run], ["--help"]] {
      let result = try await Command.run(
        "/bin/sh", ["-c", script, pipe, Esolm.executable()] + command, environment: Esolm.environment)
      #expect(result.error == "" && result.status == 128 + SIGPIPE, "\(command): \(result)")
    }
  }

  /// Messages are for people; work is done also where nobody reads them.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "this system has no /dev/full"))
  func messagesThatCannotBeWrittenStopNothing() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    for (step, messages) in [(70, "2>/dev/full"), (80, "2>&-")] {
      let result = try await Command.run(
        "/bin/sh",
        ["-c", #"exec "$0" "$@" \#(messages)"#, Esolm.executable(), "train", "--resume", run, "--steps", "\(step)"],
        environment: Esolm.environment)
      #expect(result.status == 0)
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest") == "checkpoints/step-000000\(step)")
    }
  }
}
