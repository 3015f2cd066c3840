import Foundation
import RunSupport
import Runs
import Testing

@Suite("metrics.jsonl")
struct MetricsLogTests {
  private struct Entry: Encodable {
    var step: Int
    var loss: Double?
  }

  @Test func entriesAreLinesWithSortedFields() throws {
    let run = try TinyRun.make()
    try MetricsLog(run).append(Entry(step: 1, loss: 2.5))
    try MetricsLog(run).append(Entry(step: 2))
    #expect(try text(run) == "{\"loss\":2.5,\"step\":1}\n{\"step\":2}\n")
  }

  @Test(arguments: [(9, "1 2 3"), (3, "1 2 3"), (2, "1 2"), (0, "")])
  func linesAfterAStepAreDropped(step: Int, kept: String) throws {
    let run = try TinyRun.make()
    for step in 1...3 { try MetricsLog(run).append(Entry(step: step)) }
    try MetricsLog(run).truncate(after: step)
    let expected = kept.split(separator: " ").map { "{\"step\":\($0)}\n" }.joined()
    #expect(try text(run) == expected)
  }

  @Test func aHalfWrittenLineIsDropped() throws {
    let run = try TinyRun.make()
    try Data("{\"step\":1}\nnonsense\n{\"step\":2}\n{\"loss\":1,\"st".utf8).write(to: file(run))
    try MetricsLog(run).truncate(after: 5)
    #expect(try text(run) == "{\"step\":1}\n{\"step\":2}\n")
  }

  @Test func aMissingFileIsNoReasonNotToGoOn() throws {
    let run = try TinyRun.make()
    try FileManager.default.removeItem(at: file(run))
    try MetricsLog(run).truncate(after: 1)
    try MetricsLog(run).append(Entry(step: 2))
    #expect(try text(run) == "{\"step\":2}\n")
  }

  private func file(_ run: RunFolder) -> URL { URL(fileURLWithPath: "\(run.path)/metrics.jsonl") }

  private func text(_ run: RunFolder) throws -> String { try String(contentsOf: file(run), encoding: .utf8) }
}
