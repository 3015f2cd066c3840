import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import Randomness
import RunSupport
import Runs
import Testing
import TestSupport
import Tokenizers
import Torch

/// All that `inspect` and `convert` do with a file, on damaged ones of every form: bytes that are off, names, sizes and
/// configurations that nobody would write. Each is refused in a line or gives something that opens.
@Suite("Fuzzing of inspect and convert")
struct CheckpointFuzzTests {
  /// A checkpoint: what lies in its folder, and which of it is opened, the folder itself where empty.
  private struct Original {
    var files: [(name: String, data: Data)]
    var opened = ""
    /// What it does not say itself.
    var given = ModelSettings()
  }

  @Test func everyInputIsRefusedOrConverted() throws {
    let originals = try Self.originals()
    var attacker = Attacker(CounterGenerator(seed: Fuzzing.seed, stream: .toyLanguage, major: 9))
    let inputs = Fuzzing.inputs(600)
    let root = try Scratch.folder()
    var converted = 0
    for round in 0..<inputs {
      let original = originals[round % originals.count]
      let folder = "\(root)/\(round)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let victim = attacker.choose(0..<original.files.count)
      var size = 0
      for (index, file) in original.files.enumerated() {
        let data = index == victim ? attacker.damaged(file.name, file.data) : file.data
        size += data.count
        try data.write(to: URL(fileURLWithPath: "\(folder)/\(file.name)"))
      }
      let path = original.opened.isEmpty ? folder : "\(folder)/\(original.opened)"
      if try inspectAndConvert(path, size: size, given: attacker.settings(original.given), &attacker) { converted += 1 }
    }
    #expect((0.1...0.9).contains(Double(converted) / Double(inputs)), "\(converted) of \(inputs) were converted")
  }

  /// What the two commands do, with whichever options.
  private func inspectAndConvert(
    _ path: String, size: Int, given: ModelSettings, _ attacker: inout Attacker
  ) throws -> Bool {
    let target = attacker.choose(Conversion.Target.allCases)
    let output = "\(Folder.split(path).folder)/out"
    defer { try? FileManager.default.removeItem(atPath: output) }
    do {
      let checkpoint = try Checkpoint(opening: path)
      let summary = CheckpointSummary(checkpoint, given: given)
      #expect((summary.network == nil) == !summary.problems.isEmpty)
      let encoder = JSONEncoder()
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      _ = try encoder.encode(summary)
      _ = summary.hyperParameters.leaves.map(\.value.description)
      var bytes = 0
      for tensor in checkpoint.weights + checkpoint.buffers { bytes += tensor.count * tensor.dtype.byteCount }
      #expect(bytes <= 2 * size + MemoryBudget.minimum)
      try Conversion(checkpoint, given: given).write(to: output, as: target)
    } catch {
      #expect(!"\(error)".isEmpty && !FileManager.default.fileExists(atPath: output))
      return false
    }
    #expect(throws: Never.self) {
      let again = try Conversion(try Checkpoint(opening: output))
      _ = try again.checkpoint.model(again.network)
    }
    return true
  }

  // MARK: Originals

  private static func originals() throws -> [Original] {
    func field(_ name: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: "\(Fixtures.folder)/field_checkpoints/\(name)"))
    }
    var given = ModelSettings()
    (given.algorithm, given.length, given.network.numHeads) = (.maskedDiffusion, 8, 1)
    let files = try ["mdlm.ckpt", "bd3lm.ckpt", "ar.ckpt", "params.pt", "nested.pt"].map { name in
      Original(
        files: [(name, try field(name))], opened: name, given: name.hasSuffix(".pt") ? given : ModelSettings())
    }
    let scratch = try Scratch.folder()
    let network = TransformerConfiguration(
      vocabularySize: 6, maskToken: 5, hiddenSize: 4, numBlocks: 1, numHeads: 1, conditioningSize: 2)
    func write(_ tensors: [(name: String, tensor: Tensor)], _ metadata: [String: String]) throws -> Data {
      try SafetensorsFile.write(tensors, metadata: metadata, to: "\(scratch)/x")
      return try Data(contentsOf: URL(fileURLWithPath: "\(scratch)/x"))
    }
    let tensors = try TransformerWeights(network, seed: 1).namedParameters.map { (name: "backbone.\($0)", tensor: $1) }
    let weights = try write(tensors, ["format": "pt"])
    let config = Data(
      #"{"model_type": "bd3lm", "n_heads": 1, "model_length": 8, "block_size": "${.model_length}", "vocab_size": 6}"#
        .utf8)
    let tokenizer = try TokenizerFile.data(for: CharacterTokenizer(text: "ab c"))
    let bare = try write(
      tensors, ["step": "3", "esolm.config": #"{"algorithm":"mdlm","n_heads":1,"model_length":8,"mask_index":5}"#])
    let halves = try [tensors.prefix(9), tensors.dropFirst(9)].map { try write(Array($0), [:]) }
    let map = tensors.enumerated().map { #""\#($1.name)": "model-\#($0 < 9 ? 1 : 2).safetensors""# }
    let index = Data("{\"weight_map\": {\(map.joined(separator: ", "))}}".utf8)
    let run = try TinyRun.make()
    let runFiles = ["config.json", "tokenizer.json", "model.safetensors"].map { name in
      (name, FileManager.default.contents(atPath: "\(run.path)/\(name)") ?? Data())
    }
    return files + [
      Original(files: [("config.json", config), ("model.safetensors", weights), ("tokenizer.json", tokenizer)]),
      Original(files: [("x.safetensors", bare)], opened: "x.safetensors"),
      Original(files: [("config.json", config), ("model.safetensors", weights)], opened: "model.safetensors"),
      Original(files: [
        ("config.json", config), ("model.safetensors.index.json", index), ("model-1.safetensors", halves[0]),
        ("model-2.safetensors", halves[1]),
      ]),
      Original(files: runFiles, opened: "model.safetensors"),
      Original(files: [("config.json", config), ("pytorch_model.bin", try field("nested.pt"))]),
    ]
  }
}

/// Makes of a file what an attacker would: bytes that are off, and what only somebody who knows the form would write.
private struct Attacker {
  private var mutator: Mutator
  private var generator: CounterGenerator

  init(_ generator: CounterGenerator) {
    self.generator = generator
    mutator = Mutator(CounterGenerator(seed: Fuzzing.seed, stream: .toyLanguage, major: 10))
  }

  mutating func choose<Choices: RandomAccessCollection>(_ choices: Choices) -> Choices.Element {
    choices[choices.index(choices.startIndex, offsetBy: Int.random(in: 0..<choices.count, using: &generator))]
  }

  private static let numbers = [
    Int.min, Int.min + 1, -1, 0, 1, 2, 3, 7, 8, 255, 1023, 1024, 1 << 24, 1 << 31, 1 << 62, Int.max - 1, Int.max,
  ]

  /// What is given, and at times something else.
  mutating func settings(_ given: ModelSettings) -> ModelSettings {
    guard choose(0..<4) == 0 else { return given }
    var settings = given
    func maybe<Value>(_ field: WritableKeyPath<ModelSettings, Value?>, _ value: Value, _ chance: Int = 8) {
      if choose(0..<chance) == 0 { settings[keyPath: field] = value }
    }
    maybe(\.algorithm, choose(Algorithm.allCases), 2)
    maybe(\.length, choose([8, 8, 8, choose(Self.numbers)]), 2)
    maybe(\.network.numHeads, choose([1, 1, choose(Self.numbers)]), 2)
    maybe(\.prepend, choose(MethodConfiguration.Prepend.allCases), 4)
    maybe(\.blockSize, choose([2, 4, choose(Self.numbers)]))
    maybe(\.maskToken, choose([5, choose(Self.numbers)]), 16)
    maybe(\.alpha0, choose([0, 0.5, 1, -.infinity, .nan]), 3)
    return settings
  }

  mutating func damaged(_ name: String, _ data: Data) -> Data {
    guard choose(0..<3) > 0 else { return mutator.damaged(data, others: [data]) }
    if name.hasSuffix(".json") { return configuration(data) }
    return name.hasSuffix(".safetensors") ? safetensors(data) : torch(data)
  }

  // MARK: Configurations

  private static let fields = [
    "n_heads", "n_blocks", "hidden_dim", "hidden_size", "vocab_size", "mask_index", "model_length", "block_size",
    "cond_dim", "dropout", "alpha_0", "algorithm", "model_type", "loss_type", "prepend_token", "ignore_bos", "algo",
    "model", "time_conditioning", "parameterization", "sampling_eps_min", "sampling_eps_max", "var_min",
    "clip_search_widths", "length", "formatVersion", "weight_map", "optim", "seed", "type", "method", "training",
    "data",
  ]

  private mutating func value() -> String {
    let texts = [
      "esolm", "bd3lm", "ar", "mdlm", "subs", "${model_length}", "${.a}", "${..b}", "${${x}}", "a${n_heads}b",
      "${block_size}${block_size}", "", "\u{301}", "../../x",
    ]
    switch choose(0..<8) {
    case 0...3: return "\(choose(Self.numbers))"
    case 4: return choose(["true", "false", "null", "[]", "{}", "1e308", "-1e308", "0.5", "1e400", "-0.0"])
    case 5: return #"{"name": "\#(choose(texts))", "length": \#(choose(Self.numbers)), "lr": 1e-300}"#
    case 6: return String(repeating: "[", count: choose([1, 40, 600]))
    default: return "\"\(choose(texts))\""
    }
  }

  /// An object with fields more, which come last and so take the place of what is there.
  private mutating func configuration(_ data: Data) -> Data {
    var text = String(decoding: data, as: UTF8.self)
    guard let end = text.lastIndex(of: "}") else { return data }
    let fields = (0...choose(0..<3)).map { _ in "\"\(choose(Self.fields))\": \(value())" }
    text.replaceSubrange(end..., with: ", \(fields.joined(separator: ", "))}")
    return Data(text.utf8)
  }

  // MARK: Weights

  private mutating func name() -> String {
    let parts = [
      "blocks", "norm1", "weight", "backbone", "model", "module", "_orig_mod", "vocab_embed.embedding", "sigma_map",
      "adaLN_modulation", "rotary_emb.inv_freq", "sampling_eps_min", "sampling_eps_max", "", "\u{301}", "h", "é",
      String(repeating: "n", count: 3000), "\(choose(Self.numbers))", "blocks.\(choose(Self.numbers)).norm1.weight",
    ]
    return (0...choose(0..<3)).map { _ in choose(parts) }.joined(separator: ".")
  }

  /// The header with one tensor called otherwise, or of another shape, or with other metadata.
  private mutating func safetensors(_ data: Data) -> Data {
    let length = Int(LittleEndianBytes.number(of: data))
    guard length <= data.count - 8, length >= 0,
      var header = try? JSONSerialization.jsonObject(with: data.bytes(8..<8 + length)) as? [String: Any],
      let victim = header.keys.sorted().dropFirst(choose(0..<header.count)).first
    else { return data }
    switch choose(0..<4) {
    case 0, 1: header[name()] = header.removeValue(forKey: victim)
    case 2:
      guard var tensor = header[victim] as? [String: Any], let shape = tensor["shape"] as? [Int] else { return data }
      tensor["shape"] = choose([shape.reversed(), shape + [1], [shape.reduce(1, *)], [0, Int.max], shape + [0]])
      if choose(0..<4) == 0 { tensor["dtype"] = choose(["I32", "F16", "F8_E4M3", "BOOL", "F64"]) }
      header[victim] = tensor
    default:
      header["__metadata__"] = [
        "step": choose(["\(choose(Self.numbers))", "x", "-0"]),
        "esolm.config":
          #"{"algorithm": "mdlm", "n_heads": 1, "model_length": 8, "\#(choose(Self.fields))": \#(value())}"#,
      ]
    }
    let text = try! JSONSerialization.data(withJSONObject: header)
    return ZipAssembler.bytes(UInt64(text.count)) + text + data.dropFirst(8 + length)
  }

  /// A whole archive around a pickle in which numbers of two bytes became any, or that is damaged.
  private mutating func torch(_ data: Data) -> Data {
    var budget = MemoryBudget(fileSize: data.count)
    guard let archive = try? ZipArchive(data, path: "x", budget: &budget) else { return data }
    let entries = archive.names(endingWith: "").map { name in
      (name, (try? archive.range(of: name)).flatMap { $0 }.map { Data(data.bytes($0)) } ?? Data())
    }
    return ZipAssembler(
      entries.map { name, bytes in
        guard name.hasSuffix("data.pkl") else { return (name, bytes) }
        guard choose(0..<2) == 0 else { return (name, mutator.damaged(bytes, others: [bytes])) }
        var bytes = [UInt8](bytes)
        for _ in 0...choose(0..<3) {
          let places = bytes.indices.dropLast().filter { bytes[$0] == UInt8(ascii: "K") }
          guard !places.isEmpty else { break }
          let place = choose(places)
          let number = withUnsafeBytes(of: Int64(choose(Self.numbers)).littleEndian) { Array($0) }
          bytes.replaceSubrange(place...place + 1, with: [0x8A, 8] + number)
        }
        return (name, Data(bytes))
      }
    ).data
  }
}

extension LittleEndianBytes {
  /// The first eight bytes as a number; 0 where there are fewer.
  fileprivate static func number(of data: Data) -> Int64 {
    data.withUnsafeBytes { LittleEndianBytes($0).number(Int64.self, at: 0) ?? 0 }
  }
}
