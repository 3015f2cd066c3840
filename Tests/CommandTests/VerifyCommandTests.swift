import CommandSupport
import Foundation
import Parity
import TestSupport
import Testing

@Suite("esolm verify")
struct VerifyCommandTests {
  private static let fixture = Fixtures.path(of: "noise_schedule")

  @Test func aRecordedCasePasses() async throws {
    let result = try await Esolm.succeed(["verify", Self.fixture])
    let lines = result.output.split(separator: "\n")
    #expect(lines.first == Self.fixture[...])
    #expect(lines.last == "9 passed, 0 failed")
    let tensors = lines.filter { $0.hasSuffix("pass") }
    #expect(tensors.count == 9)
    #expect(
      tensors.allSatisfy { $0.wholeMatch(of: #/  \S+ +\d\.?\d*(e-\d+)? +1e-06 +pass/#) != nil }, "\(tensors)")
    #expect(result.error == "")
  }

  @Test func oneChangedNumberFails() async throws {
    let folder = try Scratch.copy(of: Self.fixture)
    try changeLastNumber(of: "\(folder)/expected.safetensors")
    let result = try await Esolm.run(["verify", Self.fixture, folder])
    #expect(result.status == 1)
    #expect(result.output.split(separator: "\n").count { $0.hasSuffix("FAIL") } == 1)
    #expect(result.output.hasSuffix("\n17 passed, 1 failed\n"))
    #expect(result.error == "")
  }

  @Test func sequencesAreTheSameTogetherAndAlone() async throws {
    let run = try await Esolm.trained()
    let output = try await Esolm.succeed(["verify", "--batch-invariance", run]).output
    #expect(output.hasPrefix("64 sequences together and alone, threads 1: 0 with other tokens, "))
    #expect(output.hasSuffix(": pass\n"))
    let neither = try await Esolm.run(["verify"])
    #expect(neither.status == 2 && neither.error.contains("expected folders of cases, or --batch-invariance"))
  }

  @Test func resultsArePrintedAsJSON() async throws {
    struct Result: Decodable {
      var folder: String
      var tensor: String
      var error: Double
      var tolerance: Double
    }
    let output = try await Esolm.succeed(["verify", Self.fixture, "--json"]).output
    let results = try JSONDecoder().decode([Result].self, from: Data(output.utf8))
    #expect(results.count == 9)
    #expect(results.allSatisfy { $0.folder == Self.fixture && $0.error <= $0.tolerance })
  }

  @Test(arguments: [
    ("missing", "cannot read $folder/config.json: there is no such file"),
    ("text", "$folder/config.json: it is no valid JSON"),
    (
      "truncated",
      "$folder/expected.safetensors is no valid safetensors file: "
        + "it has 5 bytes, fewer than a header's length takes"
    ),
    (
      "renamed",
      "$folder is a case of kind 'other', expected one of \(Parity.kinds.joined(separator: ", "))"
    ),
  ])
  func aFolderThatCannotBeReadIsNamed(damage: String, message: String) async throws {
    var folder = try Scratch.copy(of: Self.fixture)
    switch damage {
    case "missing": folder += "/none"
    case "text": try Data("text".utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    case "truncated": try Data("short".utf8).write(to: URL(fileURLWithPath: "\(folder)/expected.safetensors"))
    default:
      let other = URL(fileURLWithPath: folder).deletingLastPathComponent().path + "/other"
      try FileManager.default.moveItem(atPath: folder, toPath: other)
      folder = other
    }
    let result = try await Esolm.run(["verify", folder, Self.fixture])
    #expect(result.status == 1)
    #expect(result.error == "esolm: error: \(message.replacingOccurrences(of: "$folder", with: folder))\n")
    #expect(result.output.hasSuffix("\n9 passed, 0 failed, 1 unreadable\n"))
  }

  private func changeLastNumber(of path: String) throws {
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    data.replaceSubrange(data.count - 4..<data.count, with: withUnsafeBytes(of: Float(0.25)) { Data($0) })
    try data.write(to: URL(fileURLWithPath: path))
  }
}
