import CommandSupport
import Foundation
import TestSupport
import Testing

/// Help texts are files in the folder `Help`, compared word by word. `ESOLM_UPDATE_SNAPSHOTS=1` writes them anew.
@Suite("Help")
struct HelpTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Help"

  /// A command's help, as wide as it is where nothing says how wide the terminal is.
  private static func help(_ command: [String], asking words: [String] = ["--help"]) async throws -> String {
    let result = try await Esolm.run(command + words, adding: ["COLUMNS": "80"])
    #expect(result.status == 0 && result.error == "")
    return result.output
  }

  /// The tool with all its commands and their subcommands, by their words, and the help of each.
  private static let texts = Task { () -> [[String]: String] in
    var (found, open): ([[String]: String], [[String]]) = ([:], [[]])
    while !open.isEmpty {
      let commands = open
      let texts = try await withThrowingTaskGroup(of: ([String], String).self) { group in
        for command in commands { group.addTask { (command, try await help(command)) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      found.merge(texts) { $1 }
      open = texts.flatMap { command, text in subcommands(in: text).map { command + [$0] } }
    }
    return found
  }

  private static func subcommands(in text: String) -> [String] {
    guard let list = text.range(of: "SUBCOMMANDS:\n") else { return [] }
    return text[list.upperBound...].matches(of: #/(?m)^  ([a-z][a-z-]*)/#).map { String($0.output.1) }
  }

  private static func file(of command: [String]) -> String {
    "\(folder)/\((["esolm"] + command).joined(separator: "-")).txt"
  }

  @Test func helpTextsAreThoseOnFile() async throws {
    let texts = try await Self.texts.value
    if ProcessInfo.processInfo.environment["ESOLM_UPDATE_SNAPSHOTS"] != nil {
      try? FileManager.default.removeItem(atPath: Self.folder)
      try FileManager.default.createDirectory(atPath: Self.folder, withIntermediateDirectories: true)
      for (command, text) in texts { try text.write(to: Self.file(of: command)) }
    }
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder).map { "\(Self.folder)/\($0)" }
    #expect(Set(files) == Set(texts.keys.map(Self.file)), "ESOLM_UPDATE_SNAPSHOTS=1 writes them anew")
    for (command, text) in texts {
      let expected = (try? String(contentsOf: Self.file(of: command))) ?? ""
      let lines = (text.components(separatedBy: "\n"), expected.components(separatedBy: "\n"))
      let place = zip(lines.0, lines.1).enumerated().first { $1.0 != $1.1 }
      #expect(
        text == expected,
        "\(Self.file(of: command)), line \((place?.offset ?? min(lines.0.count, lines.1.count)) + 1): \(place?.element.0 ?? "")"
      )
    }
  }

  /// Marks of the source that slip into a text.
  @Test func helpTextsHoldNoMarksOfTheirSource() async throws {
    for (command, text) in try await Self.texts.value {
      #expect(!text.contains(#/\\(\s|$)/#) && !text.contains("\\(") && !text.contains("Optional("), "\(command)")
    }
  }

  @Test(arguments: [[], ["help"]]) func theToolAloneTellsTheSame(words: [String]) async throws {
    #expect(try await Self.help([], asking: words) == Self.texts.value[[]])
  }

  @Test func theVersionNamesLibtorchs() async throws {
    let version = try await Esolm.succeed(["--version"])
    #expect(version.output.wholeMatch(of: #/\d+\.\d+\.\d+ \(libtorch 2\.\d+\.\d+.*\)\n/#) != nil)
  }

  /// Options without which a command complains of that first.
  private static let needed = [
    "eval zero-shot": ["--data-dir", "x"], "eval gen-ppl": ["--judge", "x"], "eval mauve": ["--judge", "x"],
    "eval choice": ["--data", "x"], "eval score": ["--text", "x", "--span", "0:1"],
    "tokenizer train": ["--vocabulary-size", "300", "--out", "x"],
  ]

  @Test func anUnknownOptionIsWrongUsage() async throws {
    for command in try await Self.texts.value.keys where !["", "bench", "tokenizer"].contains(command.joined()) {
      let name = command.joined(separator: " ")
      let result = try await Esolm.run(command + ["x"] + Self.needed[name, default: []] + ["--frobnicate"])
      #expect(result.status == 2)
      #expect(result.error == "esolm: error: Unknown option '--frobnicate' (see esolm \(name) --help)\n")
      #expect(result.output == "")
    }
  }
}
