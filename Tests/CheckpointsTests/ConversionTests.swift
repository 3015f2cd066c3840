import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import RunSupport
import Runs
import Testing
import TestSupport
import Tokenizers
import Torch

@Suite("Conversion")
struct ConversionTests {
  private var published: String { "\(Fixtures.path(of: "lightning_checkpoint"))/esolm.ckpt" }

  private func convert(
    _ input: String, _ target: Conversion.Target, weights: Checkpoint.Weights = .average, given: ModelSettings = .init()
  ) throws -> String {
    let output = "\(try Scratch.folder())/out" + (target == .safetensors ? ".safetensors" : "")
    try Conversion(try Checkpoint(opening: input), given: given).write(to: output, as: target, weights: weights)
    return output
  }

  /// The weights of a checkpoint, bit for bit.
  private func bits(_ path: String, _ weights: Checkpoint.Weights = .average) throws -> [String: [UInt32]] {
    let tensors = try Checkpoint(opening: path).tensors(weights)
    return try Dictionary(
      uniqueKeysWithValues: tensors.map { ($0.name, try $0.tensor().array(of: Float.self).map(\.bitPattern)) })
  }

  @Test func fromARunToHuggingFaceAndBackNothingChanges() throws {
    let run = try TinyRun.make().path
    for weights in [Checkpoint.Weights.model, .average] {
      let folder = try convert(run, .huggingFace, weights: weights)
      let back = try convert(folder, .run)
      let original = try bits(run, weights)
      #expect(try bits(folder) == original)
      #expect(try bits(back) == original)
      #expect(try bits(back, .model) == original)
      let (first, last) = (try RunFolder(opening: run), try RunFolder(opening: back))
      #expect(last.configuration.model == first.configuration.model)
      #expect(last.configuration.method.alpha0 == first.configuration.method.alpha0)
      #expect(last.configuration.method.length == first.configuration.method.length)
      #expect(last.tokenizer as? CharacterTokenizer == TinyRun.tokenizer)
      #expect(try last.savedStep() == 3)
      #expect(try Checkpoint(opening: folder).step == 3)
    }
  }

  @Test func aBareFileSaysWhatItHolds() throws {
    let file = try convert(published, .safetensors)
    let (first, second) = (
      try Conversion(try Checkpoint(opening: published)), try Conversion(try Checkpoint(opening: file))
    )
    #expect(second.network == first.network && second.method == first.method)
    #expect(try bits(file) == bits(published))
    #expect(try bits(convert(published, .safetensors, weights: .model)) == bits(published, .model))
  }

  @Test func aPublishedCheckpointBecomesARun() throws {
    let path = try convert(published, .run)
    let run = try RunFolder(opening: path)
    #expect(try bits(path, .model) == bits(published, .model))
    #expect(try bits(path, .average) == bits(published, .average))
    #expect(run.configuration.data.source == .converted(from: published))
    #expect(run.configuration.training.learningRate == 0.01 && run.configuration.training.emaDecay == 0.9)
    #expect(run.tokenizer as? NumberTokenizer == NumberTokenizer(vocabularySize: 32))
    _ = try run.model(.average)
    // There is nothing to go on with: no optimiser's state, no data.
    #expect(
      message { try run.restore() }
        == "\(path)/checkpoints/step-00000005/checkpoint.json does not list optimizer.safetensors")
  }

  @Test func namesAreThoseOfThePublishedClasses() throws {
    let folder = try convert(published, .huggingFace)
    let file = try SafetensorsFile(contentsOf: "\(folder)/model.safetensors")
    let dictionary = try TorchFile(try MappedFile.read(published), path: "x").root["state_dict"]?.entries
    let stored = dictionary?.compactMap { $0.key.text } ?? []
    #expect(Set(file.entries.keys) == Set(stored))
    #expect(file.entries["backbone.rotary_emb.inv_freq"]?.shape == [4])
    let frequencies = try Checkpoint(opening: published).buffers[0].tensor().array(of: Float.self)
    #expect(try file.tensor("backbone.rotary_emb.inv_freq").array(of: Float.self) == frequencies)
  }

  @Test func halfPrecisionIsKeptInFilesAndWidenedInRuns() throws {
    let folder = try Scratch.folder()
    let tensors = try Checkpoint(opening: published).weights.map {
      (name: $0.name, tensor: try $0.tensor().to(.bfloat16))
    }
    try SafetensorsFile.write(tensors, to: "\(folder)/model.safetensors")
    try #"{"algorithm": "esolm-b", "n_heads": 2, "alpha_0": 0.5, "length": 16}"#.write(to: "\(folder)/config.json")
    let file = try SafetensorsFile(contentsOf: try convert(folder, .safetensors))
    #expect(file.entries.values.allSatisfy { $0.dtype == .bfloat16 })
    let run = try Checkpoint(opening: try convert(folder, .run))
    #expect(run.weights.allSatisfy { $0.dtype == .float32 })
    for (name, tensor) in tensors {
      let found = try #require(run.weights.first { $0.name == name })
      #expect(distance(try found.tensor(), tensor.to(.float32)) == 0)
    }
  }

  @Test func nothingIsOverwrittenOrHalfWritten() throws {
    let folder = try Scratch.folder()
    let conversion = try Conversion(try Checkpoint(opening: published))
    try "mine".write(to: "\(folder)/file.safetensors")
    #expect(
      message { try conversion.write(to: "\(folder)/file.safetensors", as: .safetensors) }
        == "\(folder)/file.safetensors already exists; name a new file")
    for target in [Conversion.Target.run, .huggingFace] {
      #expect(message { try conversion.write(to: folder, as: target) } == "\(folder) already exists; name a new folder")
      // A tokenizer of another size is found before anything appears.
      #expect(
        message { try Conversion(conversion.checkpoint, tokenizer: ByteTokenizer()) }
          == "the tokenizer makes a vocabulary of 258 with the mask token 257, expected 33 and 32")
    }
    #expect(try contents(of: folder) == ["file.safetensors"])
    #expect(try String(contentsOf: "\(folder)/file.safetensors") == "mine")
  }

  @Test(.enabled(if: Python.hasSafetensors, "Python or its package safetensors is not here"))
  func pythonOpensOurFiles() async throws {
    let run = try TinyRun.make().path
    let files = [
      try convert(run, .safetensors), "\(try convert(run, .huggingFace))/model.safetensors",
      "\(run)/latest/optimizer.safetensors",
    ]
    for file in files {
      let script = """
        import sys, safetensors
        with safetensors.safe_open(sys.argv[1], framework="np") as f:
            for name in sorted(f.keys()):
                tensor = f.get_tensor(name)
                print(name, list(tensor.shape), tensor.dtype, float(tensor.astype("float64").sum()))
        """
      let result = try await Command.run(Python.path!, ["-c", script, file])
      try #require(result.status == 0, "\(result.error)")
      let ours = try SafetensorsFile(contentsOf: file)
      let lines = result.output.split(separator: "\n").map(String.init)
      #expect(lines.count == ours.entries.count)
      for (line, name) in zip(lines, ours.entries.keys.sorted()) {
        let tensor = try ours.tensor(name)
        #expect(line.hasPrefix("\(name) \(tensor.shape) float32 "))
        let sum = try #require(line.split(separator: " ").last.flatMap { Double($0) })
        #expect(abs(sum - tensor.array(of: Double.self).reduce(0, +)) < 1e-9 * Double(tensor.count + 1))
      }
    }
  }
}

/// Python, if it is here.
enum Python {
  static let path: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .map { "\($0)/python3" }.first { FileManager.default.isExecutableFile(atPath: $0) }

  /// Whether its packages safetensors and numpy are installed.
  static let hasSafetensors: Bool = {
    guard let path else { return false }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = ["-c", "import numpy, safetensors"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()
}
