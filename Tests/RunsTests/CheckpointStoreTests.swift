import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import Revision
import RunSupport
import Runs
import Testing
import TestSupport
import Tokenizers
import Torch

/// Which checkpoints of a run are kept, what each says of itself, and which one is gone on from.
@Suite("Checkpoints of a run")
struct CheckpointStoreTests {
  private func run(keepLast: Int? = nil, keepsBest: Bool = false) throws -> RunFolder {
    var configuration = TinyRun.configuration
    if let keepLast { configuration.training.keepLast = keepLast }
    configuration.training.keepsBest = keepsBest
    return try RunFolder(
      creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: TinyRun.tokenizer,
      state: TinyRun.state(step: 0))
  }

  private func save(_ run: RunFolder, step: Int, nelbo: Double? = nil) throws {
    var state = try TinyRun.state(step: step, seed: UInt64(step))
    state.validationNELBO = nelbo
    try run.save(state)
  }

  private func steps(_ run: RunFolder) throws -> [Int] {
    try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints").map { Int($0.dropFirst(5)) ?? -1 }
      .sorted()
  }

  private func folder(_ run: RunFolder, _ step: Int) -> String { "\(run.path)/checkpoints/step-0000000\(step)" }

  @Test(arguments: [(nil, [6, 8]), (1, [8]), (3, [4, 6, 8]), (100, [0, 2, 4, 6, 8])] as [(Int?, [Int])])
  func theLastFewAreKept(keepLast: Int?, kept: [Int]) throws {
    let run = try run(keepLast: keepLast)
    for step in [2, 4, 6, 8] { try save(run, step: step) }
    #expect(try steps(run) == kept)
    #expect(try run.restore().state.step == 8)
  }

  @Test func theBestIsKeptToo() throws {
    let run = try run(keepLast: 1, keepsBest: true)
    #expect(
      message { try run.model(of: .best) }
        == "\(run.path) has no best checkpoint: it was not trained with --keep-best, or not yet validated")
    for (step, nelbo) in [(2, 3), (4, 1.5), (6, 2), (7, nil), (8, 2.5)] as [(Int, Double?)] {
      try save(run, step: step, nelbo: nelbo)
    }
    #expect(try steps(run) == [4, 8])
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: "\(run.path)/best") == "checkpoints/step-00000004")
    let best = try run.model(of: .best)
    let wanted = try TinyRun.state(step: 4, seed: 4).average
    for (left, right) in zip(best.parameters, wanted.parameters) { #expect(distance(left, right) == 0) }
    // A better one takes its place.
    try save(run, step: 9, nelbo: 1)
    #expect(try steps(run) == [9])
  }

  @Test func aCheckpointSaysWhatItIs() throws {
    let run = try run()
    try save(run, step: 5, nelbo: 1.25)
    let manifest = try CheckpointManifest.read(folder(run, 5))
    #expect(manifest.formatVersion == 1)
    #expect(manifest.step == 5 && manifest.seed == 0 && manifest.sequences == 5 * 32)
    #expect(manifest.validationNELBO == 1.25)
    #expect(manifest.revision == Revision.current)
    #expect(Revision.current.wholeMatch(of: #/unknown|[0-9a-f]{12}\+?/#) != nil)
    #expect(manifest.files.keys.sorted() == ["ema.safetensors", "model.safetensors", "optimizer.safetensors"])
    for (name, file) in manifest.files {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder(run, 5))/\(name)"))
      #expect(file.bytes == data.count)
      #expect(file.sha256.count == 64)
    }
    #expect(try run.restore().state.validationNELBO == 1.25)
  }

  /// All but what a manifest lists is somebody's.
  @Test func nothingElseIsEverDeleted() throws {
    let run = try run(keepLast: 1)
    let (checkpoints, files) = ("\(run.path)/checkpoints", FileManager.default)
    try save(run, step: 2)
    for copy in ["step-00000002-good", "step-2", "mine", "step-best"] {
      try files.copyItem(atPath: folder(run, 2), toPath: "\(checkpoints)/\(copy)")
    }
    try "my notes".write(to: "\(folder(run, 2))/notes.txt")
    try "mine".write(to: "\(checkpoints)/.step.tmp")
    try files.moveItem(atPath: folder(run, 2), toPath: "\(run.path)/elsewhere")
    try files.createSymbolicLink(atPath: folder(run, 2), withDestinationPath: "../elsewhere")
    try files.createDirectory(atPath: folder(run, 4), withIntermediateDirectories: false)
    try "not a checkpoint".write(to: "\(folder(run, 4))/file")
    let before = try Scratch.snapshot(run.path).filter { !$0.key.contains("step-00000004") && $0.key != "latest" }
    for step in [3, 4, 5] { try save(RunFolder(resuming: run.path), step: step) }
    let after = try Scratch.snapshot(run.path)
    for (name, contents) in before { #expect(after[name] == contents, "\(name)") }
    #expect(after["checkpoints/step-00000004-other-1/file"] == Data("not a checkpoint".utf8))
    #expect(!files.fileExists(atPath: folder(run, 3)) && !files.fileExists(atPath: folder(run, 4)))
    // In a checkpoint too: its own files go, the note stays.
    try "my notes".write(to: "\(folder(run, 5))/notes.txt")
    try save(run, step: 6)
    #expect(try contents(of: folder(run, 5)) == ["notes.txt"])
  }

  @Test func aManifestNamesNoFilesOutside() throws {
    let run = try run()
    try save(run, step: 2)
    let path = "\(folder(run, 2))/checkpoint.json"
    for name in ["../../config.json", "/etc/x", ".."] {
      var manifest = try CheckpointManifest.read(folder(run, 2))
      manifest.files[name] = manifest.files.values.first
      let whole = try String(contentsOf: path)
      try JSONEncoder().encode(manifest).write(to: URL(fileURLWithPath: path))
      #expect(
        message { try CheckpointManifest.read(folder(run, 2)) }
          == "\(path): files lists '\(name)', expected names of files in its folder")
      try whole.write(to: path)
    }
  }

  // MARK: One process at a time

  @Test func whoTrainsARunIsNamed() throws {
    let run = try run().path
    let other = try #require(try LockedFile("\(run)/lock"))
    try other.write(Data())
    #expect(
      message { try RunFolder(resuming: run) }
        == "\(run) is being trained by another process; wait until it ends, or stop it")
    try other.write(Data(#"{"host":"there","process":12,"since":"2026-01-02T03:04:05Z"}"#.utf8))
    let text =
      "\(run) is being trained by process 12 on there since 2026-01-02T03:04:05Z; wait until it ends, or stop it"
    #expect(message { try RunFolder(resuming: run) } == text)
    #expect(message { try RunFolder(opening: run).locked() } == text)
    #expect(message { try RunFolder.requireFree(run) } == text)
    // Reading needs no lock.
    #expect(try RunFolder(opening: run).restore().state.step == 0)
    withExtendedLifetime(other) {}
  }

  /// A start that was killed before the folder was a run leaves what the next one does away with.
  @Test func aStartThatWasKilledIsNoHindrance() throws {
    func create(_ path: String) throws {
      _ = try RunFolder(
        creating: path, configuration: TinyRun.configuration, tokenizer: TinyRun.tokenizer,
        state: TinyRun.state(step: 0))
    }
    let path = try run().path
    try FileManager.default.removeItem(atPath: "\(path)/config.json")
    try "half".write(to: "\(path)/.config.json.esolm-1-0.tmp")
    try create(path)
    #expect(try RunFolder(opening: path).restore().state.step == 0)
    #expect(try contents(of: path).allSatisfy { !$0.hasSuffix(".tmp") })
    // What it would not have written is somebody's.
    try FileManager.default.removeItem(atPath: "\(path)/config.json")
    try "mine".write(to: "\(path)/notes.txt")
    #expect(message { try create(path) }?.contains("already holds files") == true)
  }

  // MARK: Going on

  private enum Damage: CaseIterable {
    case noManifest, bit, cut, missing, empty
    func apply(to folder: String) throws {
      let path = "\(folder)/optimizer.safetensors"
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      switch self {
      case .noManifest: try FileManager.default.removeItem(atPath: "\(folder)/checkpoint.json")
      case .bit: try (data.dropLast() + [data.last! ^ 1]).write(to: URL(fileURLWithPath: path))
      case .cut: try data.dropLast(9).write(to: URL(fileURLWithPath: path))
      case .missing: try FileManager.default.removeItem(atPath: path)
      case .empty:
        for file in try contents(of: folder) { try FileManager.default.removeItem(atPath: "\(folder)/\(file)") }
      }
    }
  }

  @Test func theNewestWholeOneIsGoneOnFromAndTheOthersNamed() throws {
    for damage in Damage.allCases {
      let run = try run(keepLast: 3)
      for step in [2, 4, 6] { try save(run, step: step) }
      try damage.apply(to: folder(run, 6))
      let restored = try RunFolder(resuming: run.path).restore()
      #expect(restored.state.step == 4)
      #expect(TinyRun.bits(restored.state) == TinyRun.bits(try TinyRun.state(step: 4, seed: 4)))
      #expect(restored.skipped.count == 1 && restored.skipped[0].contains(folder(run, 6)), "\(restored.skipped)")
      // The damaged one is gone once training was saved again, if its manifest says that it is one, and no good one was
      // given up for it.
      try save(run, step: 5)
      let isKnown = damage != .noManifest
      #expect(try steps(run) == (isKnown ? [2, 4, 5] : [2, 4, 5, 6]))
      #expect(try run.restore().skipped.count == (isKnown ? 0 : 1))
      // What is no checkpoint is in nobody's way.
      try save(run, step: 6)
      #expect(try steps(run).suffix(3) == [4, 5, 6])
      #expect(try run.restore().skipped == [])
    }
  }

  @Test func aWholeCheckpointThatLatestDoesNotShowCounts() throws {
    let run = try run(keepLast: 3)
    for step in [2, 4] { try save(run, step: step) }
    let link = "\(run.path)/latest"
    try FileManager.default.removeItem(atPath: link)
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "checkpoints/step-00000002")
    #expect(try run.restore().state.step == 4)
  }

  @Test func withoutAWholeOneAllAreNamed() throws {
    let run = try run(keepLast: 3)
    for step in [2, 4] { try save(run, step: step) }
    for step in [0, 2, 4] { try Damage.missing.apply(to: folder(run, step)) }
    let reasons = [4, 2, 0].map { "cannot read \(folder(run, $0))/optimizer.safetensors: there is no such file" }
    #expect(
      message { try run.restore() } == "\(run.path) holds no usable checkpoint: \(reasons.joined(separator: "; "))")
    try FileManager.default.removeItem(atPath: "\(run.path)/checkpoints")
    #expect(message { try run.restore() } == "\(run.path) holds no checkpoint")
  }

  // MARK: Starting from weights

  @Test func weightsToStartFromComeFromEveryForm() throws {
    let run = try TinyRun.make().path
    let folder = "\(try Scratch.folder())/hf"
    try Conversion(try Checkpoint(opening: run)).write(to: folder, as: .huggingFace)
    for path in [run, folder] {
      let start = try InitialWeights(opening: path)
      #expect(start.network == TinyRun.configuration.model)
      #expect(start.method.alpha0 == 0.5 && start.method.length == 8)
      #expect(start.tokenizer as? CharacterTokenizer == TinyRun.tokenizer)
      let model = try start.model(for: TinyRun.tokenizer)
      let wanted = try TinyRun.state(step: 3).average
      for (left, right) in zip(model.parameters, wanted.parameters) { #expect(distance(left, right) == 0) }
      #expect(
        message { try start.model(for: ByteTokenizer()) }
          == "\(path) has a vocabulary of 6 and the mask token 5, the tokenizer makes 258 and 257")
    }
  }
}
