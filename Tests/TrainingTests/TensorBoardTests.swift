import CommandSupport
import Foundation
import Runs
import Testing
import Training

@Suite("TensorBoard")
struct TensorBoardTests {
  private static let isThere: Bool = {
    guard let python = PythonClients.python else { return false }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = ["-c", "import tensorboard"]
    process.standardError = FileHandle.nullDevice
    return (try? process.run()).map { process.waitUntilExit() } != nil && process.terminationStatus == 0
  }()

  private struct Shown: Decodable {
    struct Text: Decodable {
      var step: Int
      var text: String

      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        step = try list.decode(Int.self)
        text = try list.decode(String.self)
      }
    }
    var scalars: [String: [[Double]]]
    var texts: [String: [Text]]
  }

  /// Also after a resume from an earlier step than had been logged: each point once, the latest.
  @Test(.enabled(if: isThere, "no TensorBoard: see scripts/clients.sh"))
  func whatWasLoggedIsShownAlsoAfterAResumeThatWentBack() async throws {
    let trainer = try TinyTraining.trainer {
      $0.training.validationInterval = 2
      $0.training.saveInterval = 4
      $0.training.sampleTexts = 1
    }
    let run = trainer.run.path
    try trainer.train()
    try FileManager.default.removeItem(atPath: "\(run)/checkpoints/step-00000012")
    let again = try Trainer(RunFolder(resuming: run))
    #expect(again.learner.step == 8)
    try again.train()
    let files = try FileManager.default.contentsOfDirectory(atPath: run).filter { $0.contains("tfevents") }
    #expect(files.count == 1)

    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "tensorboard_reader.py")
    let result = try await Command.run(
      try #require(PythonClients.python), [script.path, run], environment: ["no_proxy": "*"], timeout: .seconds(120))
    let line = try #require(
      result.output.split(separator: "\n").last { $0.hasPrefix("RESULT ") }, "\(result.output)\n\(result.error)")
    let shown = try JSONDecoder().decode(Shown.self, from: Data(line.dropFirst("RESULT ".count).utf8))

    let records = try TrainingRecord.all(of: run)
    #expect(records.map(\.step) == [2, 4, 6, 8, 10, 12])
    var expected: [String: [[Double]]] = [:]
    for record in records {
      for (name, value) in record.scalars {
        expected[name, default: []].append([Double(record.step), Double(Float(value))])
      }
    }
    #expect(Set(shown.scalars.keys) == Set(expected.keys) && expected.count == 8)
    for (name, points) in expected {
      let found = try #require(shown.scalars[name])
      #expect(found.map { $0[0] } == points.map { $0[0] }, "\(name)")
      #expect(zip(found, points).allSatisfy { Float($0[1]) == Float($1[1]) }, "\(name)")
    }
    let texts = try #require(shown.texts["samples/1"])
    #expect(texts.map(\.step) == records.map(\.step))
    #expect(texts.map(\.text) == records.map { $0.texts?.first ?? "" })
  }

  @Test func metricsTellTimeAndTokensOverAllPartsOfARun() throws {
    let first = try TinyTraining.trainer { $0.training.validationInterval = 3 }
    try first.train(shouldStop: { first.learner.step == 6 })
    try Trainer(RunFolder(opening: first.run.path)).train()
    let records = try TrainingRecord.all(of: first.run.path)
    #expect(records.map(\.step) == [3, 6, 9, 10, 12])
    #expect(records.map(\.tokens) == records.map { $0.step * 4 * 16 })
    let seconds = records.compactMap(\.seconds)
    #expect(seconds.count == 5 && seconds == seconds.sorted())
  }
}
