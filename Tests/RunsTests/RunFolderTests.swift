import CommandSupport
import EsoLM
import Foundation
import RunSupport
import Runs
import Testing
import TestSupport
import Tokenizers
import Torch

@Suite("Run folders")
struct RunFolderTests {
  // MARK: Saving and opening

  @Test func whatWasSavedIsRestoredBitForBit() throws {
    let path = try TinyRun.make().path
    let run = try RunFolder(opening: path)
    let (saved, restored) = (try TinyRun.state(step: 3), try run.restore().state)
    #expect(restored.step == 3)
    #expect(TinyRun.bits(restored) == TinyRun.bits(saved))
    #expect(run.configuration == TinyRun.configuration)
    #expect(run.tokenizer as? CharacterTokenizer == TinyRun.tokenizer)
    #expect(
      try run.model(.model).parameters.map { $0.array(of: Float.self) } == saved.model.parameters.map { $0.array() })
    #expect(try run.model().parameters.map { $0.array(of: Float.self) } == saved.average.parameters.map { $0.array() })
  }

  @Test func aRunHasTheFilesThatItsDocumentationLists() throws {
    let files = try Scratch.snapshot(TinyRun.make().path).keys.sorted()
    #expect(
      files == [
        "checkpoints", "checkpoints/step-00000003", "checkpoints/step-00000003/checkpoint.json",
        "checkpoints/step-00000003/ema.safetensors",
        "checkpoints/step-00000003/model.safetensors", "checkpoints/step-00000003/optimizer.safetensors",
        "config.json", "ema.safetensors", "latest", "metrics.jsonl", "model.safetensors", "tokenizer.json",
      ])
  }

  @Test func aChangedConfigurationIsKept() throws {
    var configuration = TinyRun.configuration
    configuration.training.steps = 77
    let run = try TinyRun.make().updating(configuration)
    #expect(try RunFolder(opening: run.path).configuration == configuration)
    #expect(try run.restore().state.step == 3)
  }

  // MARK: Folders in use

  @Test func aFolderThatHoldsARunIsNotUsedForAnother() throws {
    let path = try TinyRun.make().path
    let before = try Scratch.snapshot(path)
    #expect(
      message { try create(path) }
        == "\(path) already holds files; name a new folder, or go on with a run by --resume \(path)")
    #expect(try Scratch.snapshot(path) == before)
  }

  @Test func anEmptyFolderServes() throws {
    let path = try Scratch.folder()
    try create(path)
    #expect(try RunFolder(opening: path).restore().state.step == 3)
  }

  @Test func aFileInTheWayIsNamed() throws {
    let file = try Scratch.file("x".utf8)
    #expect(message { try create(file) } == "cannot make the folder \(file): File exists")
    #expect(message { try create("\(file)/run") } == "cannot make the folder \(file)/run: Not a directory")
  }

  @Test func aRunThatCannotBeMadeLeavesNothingBehind() throws {
    let path = "\(try Scratch.folder())/run"
    let unstorable = message {
      _ = try RunFolder(
        creating: path, configuration: TinyRun.configuration, tokenizer: Unstorable(), state: TinyRun.state(step: 0))
    }
    #expect(
      unstorable
        == "tokenizer.json: cannot hold a Unstorable; expected one of the kinds \"bytes\", \"characters\", \"text8\", \"sudoku\""
    )
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  private struct Unstorable: Tokenizer {
    let vocabularySize = 5
    let endOfText: Int32 = 4
    func encode(_ text: String) -> [Int32] { [] }
    func makeEncoder() -> any TextEncoder { ByteTokenizer().makeEncoder() }
    func decode(_ tokens: some Sequence<Int32>, keepingSpecialTokens: Bool) -> String { "" }
  }

  // MARK: Interrupted saves

  enum Leftover: CaseIterable {
    case partOfACheckpoint, checkpointThatLatestDoesNotShow, checkpointOfTheSameStep
  }

  @Test(arguments: Leftover.allCases)
  func afterAnInterruptedSaveTheEarlierCheckpointCounts(leftover: Leftover) throws {
    let run = try TinyRun.make()
    let name =
      switch leftover {
      case .partOfACheckpoint: ".step-00000005.esolm-1-0.tmp"
      case .checkpointThatLatestDoesNotShow: "step-00000004"
      case .checkpointOfTheSameStep: "step-00000005"
      }
    let folder = "\(run.path)/checkpoints/\(name)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    try Data("half".utf8).write(to: URL(fileURLWithPath: "\(folder)/model.safetensors"))
    #expect(try TinyRun.bits(RunFolder(opening: run.path).restore().state) == TinyRun.bits(TinyRun.state(step: 3)))

    let next = try TinyRun.state(step: 5, seed: 9)
    try run.save(next)
    #expect(try checkpoints(run).contains("step-00000005"))
    #expect(try TinyRun.bits(run.restore().state) == TinyRun.bits(next))
  }

  @Test(.enabled(Comment(rawValue: Disk.needsMount), Disk.canMount))
  func onAReadOnlyDiskARunIsReadButNotWritten() async throws {
    try await Disk.withDisk(kilobytes: 1024) { disk in
      let path = try RunFolder(
        creating: "\(disk)/run", configuration: TinyRun.configuration, tokenizer: TinyRun.tokenizer,
        state: TinyRun.state(step: 3)
      ).path
      try await Disk.makeReadOnly(disk)
      let run = try RunFolder(opening: path)
      let before = try Scratch.snapshot(disk)
      #expect(try RunFolder(opening: run.path).restore().state.step == 3)
      #expect(
        message { try run.save(TinyRun.state(step: 4)) }
          == "cannot make the folder \(run.path)/checkpoints/step-00000004: Read-only file system")
      #expect(
        message { try MetricsLog(run).append(["step": 4]) }
          == "cannot write \(run.path)/metrics.jsonl: Read-only file system")
      #expect(
        message { try run.updating(TinyRun.configuration) }
          == "cannot write \(run.path)/lock: Read-only file system")
      #expect(message { try create("\(disk)/other") } == "cannot make the folder \(disk)/other: Read-only file system")
      #expect(try Scratch.snapshot(disk) == before)
    }
  }

  @Test(.enabled(Comment(rawValue: Disk.needsMount), Disk.canMount))
  func onAFullDiskASaveFailsAndTheEarlierCheckpointStays() async throws {
    try await Disk.withDisk(kilobytes: 96) { disk in
      let run = try RunFolder(
        creating: "\(disk)/run", configuration: TinyRun.configuration, tokenizer: TinyRun.tokenizer,
        state: TinyRun.state(step: 3))
      let before = try Scratch.snapshot(disk)
      #expect(
        message { try run.save(TinyRun.state(step: 4)) }?.hasSuffix(".safetensors: No space left on device") == true)
      #expect(try Scratch.snapshot(disk) == before)
      #expect(try TinyRun.bits(run.restore().state) == TinyRun.bits(TinyRun.state(step: 3)))
    }
  }

  // MARK: Damage

  @Test(arguments: [
    "config.json", "tokenizer.json", "model.safetensors", "ema.safetensors",
    "checkpoints/step-00000003/model.safetensors", "checkpoints/step-00000003/ema.safetensors",
  ])
  func aMissingFileIsNamed(file: String) throws {
    let path = try TinyRun.make().path
    try FileManager.default.removeItem(atPath: "\(path)/\(file)")
    let name = file.split(separator: "/").last!
    #expect(message { try RunFolder(opening: path) } == "\(path) is no complete run folder: \(name) is missing")
  }

  @Test func aMissingFolderIsNamed() throws {
    let path = "\(try Scratch.folder())/none"
    #expect(message { try RunFolder(opening: path) } == "\(path) is no run folder: there is no such folder")
  }

  @Test func aMissingOptimizerIsMissedWhenGoingOn() throws {
    let run = try TinyRun.make()
    try FileManager.default.removeItem(atPath: "\(checkpoint(run))/optimizer.safetensors")
    #expect(
      message { try run.restore() }
        == "cannot read \(checkpoint(run))/optimizer.safetensors: there is no such file")
    #expect(message { try run.model() } == nil)
  }

  @Test(arguments: ["model", "ema", "optimizer"])
  func aTruncatedFileIsRefused(name: String) throws {
    let run = try TinyRun.make()
    let path = "\(checkpoint(run))/\(name).safetensors"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    for count in [0, 7, 100, data.count - 1] {
      try data.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(
        message { try run.restore() } == "\(path) is damaged: it has \(count) bytes, expected \(data.count)")
    }
  }

  @Test(arguments: ["model", "ema", "optimizer"])
  func oneChangedBitIsFound(name: String) throws {
    let run = try TinyRun.make()
    let path = "\(checkpoint(run))/\(name).safetensors"
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    data[data.count - 3] ^= 0x10
    try data.write(to: URL(fileURLWithPath: path))
    let text = try #require(message { try run.restore() })
    #expect(text.wholeMatch(of: #/\S+ is damaged: its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}/#) != nil)
    #expect(text.hasPrefix(path))
    guard name != "optimizer" else { return }
    let used = message { try run.model(name == "ema" ? .average : .model) }
    #expect(used == text.replacingOccurrences(of: "checkpoints/step-00000003", with: "latest"))
  }

  @Test func aForeignFileIsRefused() throws {
    let run = try TinyRun.make()
    let path = "\(run.path)/latest/ema.safetensors"
    try TinyRun.replace("ema.safetensors", of: run, by: [("weight", .zeros([2, 3]))])
    #expect(
      message { try run.model() }
        == "\(path): the weights do not fit the configuration: 'vocab_embed.embedding' [6, 8] is missing; "
        + "'sigma_map.mlp.0.weight' [4, 256] is missing; 'sigma_map.mlp.0.bias' [4] is missing; "
        + "'sigma_map.mlp.2.weight' [4, 4] is missing; 'sigma_map.mlp.2.bias' [4] is missing; "
        + "'blocks.0.norm1.weight' [8] is missing; 'blocks.0.attn_qkv.weight' [24, 8] is missing; "
        + "'blocks.0.attn_out.weight' [8, 8] is missing; and 13 more")
  }

  @Test func weightsOfOtherSizesAreRefused() throws {
    let run = try TinyRun.make()
    var weights = try TinyRun.state(step: 3).model.namedParameters
    weights[0].tensor = .zeros([7, 8])
    try TinyRun.replace("model.safetensors", of: run, by: weights)
    #expect(
      message { try run.restore() }
        == "\(checkpoint(run))/model.safetensors: the weights do not fit the configuration: "
        + "'vocab_embed.embedding' has shape [7, 8], expected [6, 8]")
  }

  @Test(arguments: [
    (#""step" : 3"#, #""step" : 4"#, "step is 4, expected 3"),
    (#""step" : 3"#, #""step" : "many""#, "field 'step' is not a whole number"),
    (#""step" : 3"#, #""step" : -1"#, "step is -1, expected 0 to 1099511627776"),
    (#""formatVersion" : 1"#, #""formatVersion" : 2"#, "formatVersion is 2, expected 1"),
    (#""formatVersion" : 1,"#, "", "field 'formatVersion' is missing"),
    ("{", "", "it is no valid JSON"),
  ])
  func aWrongManifestIsRefused(field: String, replacement: String, problem: String) throws {
    let run = try TinyRun.make()
    let path = "\(checkpoint(run))/checkpoint.json"
    let text = try String(contentsOf: path)
    let place = try #require(text.range(of: field))
    try text.replacingCharacters(in: place, with: replacement).write(to: path)
    #expect(message { try run.restore() } == "\(path): \(problem)")
  }

  @Test func filesOfDifferentStepsAreRefused() throws {
    let (run, other) = (try TinyRun.make(), try TinyRun.make())
    try other.save(TinyRun.state(step: 3, seed: 8))
    for name in ["model", "ema", "optimizer"] {
      let file = "latest/\(name).safetensors"
      let own = try Data(contentsOf: URL(fileURLWithPath: "\(run.path)/\(file)"))
      try Data(contentsOf: URL(fileURLWithPath: "\(other.path)/\(file)"))
        .write(to: URL(fileURLWithPath: "\(run.path)/\(file)"))
      let text = try #require(message { try run.restore() })
      #expect(text.hasPrefix("\(checkpoint(run))/\(name).safetensors is damaged: its SHA-256 is "))
      try own.write(to: URL(fileURLWithPath: "\(run.path)/\(file)"))
    }
  }

  @Test func aMomentOfAnotherTypeIsRefused() throws {
    let run = try TinyRun.make()
    let state = try TinyRun.state(step: 3)
    let path = "\(checkpoint(run))/optimizer.safetensors"
    let moments = ["first", "second"].flatMap { prefix in
      state.model.namedParameters.map { (name: "\(prefix).\($0.name)", tensor: $0.tensor.to(.float64)) }
    }
    try TinyRun.replace("optimizer.safetensors", of: run, by: moments)
    #expect(
      message { try run.restore() } == "\(path): 'first.vocab_embed.embedding' is F64 [6, 8], expected F32 [6, 8]")
    try TinyRun.replace("optimizer.safetensors", of: run, by: Array(moments.dropFirst()))
    #expect(message { try run.restore() } == "\(path) has no tensor 'first.vocab_embed.embedding'")
  }

  @Test func aTokenizerOfAnotherRunIsRefused() throws {
    let path = try TinyRun.make().path
    let file = "\(path)/tokenizer.json"
    try TokenizerFile.data(for: ByteTokenizer()).write(to: URL(fileURLWithPath: file))
    #expect(
      message { try RunFolder(opening: path) }
        == "\(file) has 257 tokens, expected 5 as \(path)/config.json says")
    try Data("{".utf8).write(to: URL(fileURLWithPath: file))
    #expect(message { try RunFolder(opening: path) } == "\(file): no valid JSON at byte 1: expected a key in quotes")
  }

  // MARK: Helpers

  private func checkpoint(_ run: RunFolder) -> String { "\(run.path)/checkpoints/step-00000003" }

  private func create(_ path: String) throws {
    _ = try RunFolder(
      creating: path, configuration: TinyRun.configuration, tokenizer: TinyRun.tokenizer,
      state: TinyRun.state(step: 3))
  }

  private func checkpoints(_ run: RunFolder) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints").sorted(by: >)
  }
}
