import CommandSupport
import Foundation
import Testing

/// The tool as users have it: the built program, run in a process of its own.
enum Esolm {
  /// Where the build put it: beside the tests' own program.
  private static let path: String? = {
    let places = [Bundle.main.bundleURL, URL(fileURLWithPath: CommandLine.arguments[0])]
    return places.flatMap { place in sequence(first: place) { $0.path == "/" ? nil : $0.deletingLastPathComponent() } }
      .map { $0.appendingPathComponent("esolm").path }
      .first { file in
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) && !isFolder.boolValue
          && FileManager.default.isExecutableFile(atPath: file)
      }
  }()

  static func executable() throws -> String {
    try #require(path, "the program esolm is not where the tests are")
  }

  /// Networks this small are faster on one thread.
  static let environment = ["OMP_NUM_THREADS": "1", "TERM": "dumb", "ESOLM_CACHE": cache]

  /// Token files of tests are kept apart from the user's.
  private static let cache = try! Scratch.folder()

  private static let kept = path.flatMap { KeptProgram($0, environment: environment) }

  /// Starts a command, with some more environment variables.
  static func start(
    _ arguments: [String], adding variables: [String: String] = [:], onTerminal: Bool = false, mostlyWaits: Bool = false
  ) async throws -> Command {
    try await Command.start(
      executable(), arguments, environment: environment.merging(variables) { $1 }, kept: kept, onTerminal: onTerminal,
      mostlyWaits: mostlyWaits)
  }

  @discardableResult
  static func run(_ arguments: [String], adding variables: [String: String] = [:]) async throws -> CommandOutput {
    try await start(arguments, adding: variables).end()
  }

  /// What a command that succeeds shows on a terminal.
  static func shown(by arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
    let result = try await start(arguments, adding: ["TERM": "xterm"], onTerminal: true).end()
    try #require(result.status == 0, "\(result.error)", sourceLocation: sourceLocation)
    return result.error
  }

  /// Runs what must succeed.
  @discardableResult
  static func succeed(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws
    -> CommandOutput
  {
    let result = try await run(arguments)
    try #require(result.status == 0, "\(result.error)", sourceLocation: sourceLocation)
    return result
  }

  // MARK: A tiny run

  static let text = (0..<60).map { number in
    let (animals, verbs) = (["cat", "dog", "man", "fox"], ["sees", "likes", "hunts"])
    return "the \(animals[number % 4]) \(verbs[number % 3]) the \(animals[number / 4 % 4]).\n"
  }.joined()

  /// The sizes of a network that trains in a moment.
  static let tiny = [
    "--hidden-size", "16", "--blocks", "1", "--heads", "2", "--conditioning-size", "8", "--length", "16",
    "--batch", "4", "--learning-rate", "0.01",
  ]

  /// A run of 60 steps on `text`. It is shared: read it, or copy it.
  static func trained() async throws -> String { try await training.value.run }

  /// What training it printed.
  static func trainingOutput() async throws -> CommandOutput { try await training.value.output }

  private static let training = Task {
    let run = "\(try Scratch.folder())/run"
    let output = try await succeed(
      [
        "train", "--data", try Scratch.file(text.utf8), "--out", run, "--steps", "60", "--validate-every", "25",
        "--keep-last", "1",
      ]
        + tiny)
    return (run: run, output: output)
  }
}
