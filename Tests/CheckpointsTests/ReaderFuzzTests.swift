import Checkpoints
import Files
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

/// Random damage to pickles, zip archives, files of torch.save and safetensors files. Whatever comes of it, a reader ends,
/// with a value or an error, and takes no more memory than its budget.
///
/// `ESOLM_FUZZ_INPUTS` sets how many inputs each reader gets, `ESOLM_FUZZ_SEED` the seed.
@Suite("Fuzzing of readers")
struct ReaderFuzzTests {
  private let inputs = Fuzzing.inputs(4_000)
  private let seed = Fuzzing.seed

  private func fixture(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: "\(Fixtures.folder)/\(path)"))
  }

  /// Runs a reader on damaged copies; `read` returns whether it found a value, and checks what it took.
  private func fuzz(_ originals: [Data], salt: Int, accepted: ClosedRange<Double>, _ read: (Data) throws -> Bool) throws
  {
    var mutator = Mutator(CounterGenerator(seed: seed, stream: .toyLanguage, major: salt))
    var valid = 0
    for round in 0..<inputs {
      let data = mutator.damaged(originals[round % originals.count], others: originals)
      if try read(data) { valid += 1 }
    }
    // Damage that is always or never found would test one path only.
    #expect(accepted.contains(Double(valid) / Double(inputs)), "\(valid) of \(inputs) were read")
  }

  @Test func pickles() throws {
    let published = try fixture("lightning_checkpoint/state_dict.pt")
    let layouts = try fixture("torch_files/layouts.pt")
    let originals = try [published, layouts].map { try pickle(of: $0) } + [Self.everyOpcode]
    try fuzz(originals, salt: 1, accepted: 0.01...0.9) { data in
      var budget = MemoryBudget(fileSize: data.count, description: data.count)
      let value = try? Pickle(data, path: "x", budget: &budget).root
      if let value { _ = try? PlainValue(value, budget: &budget) }
      #expect(budget.peak <= budget.limit)
      return value != nil
    }
  }

  @Test func zipArchives() throws {
    var wide = ZipAssembler([
      ("a/data.pkl", Data([1, 2])), ("a/data/0", Data(count: 30)), ("a/version", Data("3\n".utf8)),
    ])
    let narrow = wide.data
    wide.isWide = true
    try fuzz([narrow, wide.data, try fixture("torch_files/layouts.pt")], salt: 2, accepted: 0.01...0.9) { data in
      var budget = MemoryBudget(fileSize: data.count)
      let archive = try? ZipArchive(data, path: "x", budget: &budget)
      for name in archive?.names(endingWith: "") ?? [] {
        if let range = try? archive?.range(of: name) {
          #expect(range.lowerBound >= 0 && range.upperBound <= data.count)
        }
      }
      #expect(budget.peak <= budget.limit)
      return archive != nil
    }
  }

  /// Damaged archives, and whole archives around damaged pickles.
  @Test func filesOfTorch() throws {
    let (layouts, state) = (try fixture("torch_files/layouts.pt"), try fixture("lightning_checkpoint/state_dict.pt"))
    var mutator = Mutator(CounterGenerator(seed: seed, stream: .toyLanguage, major: 4))
    let (pickle, storages) = (try pickle(of: layouts), try storages(of: layouts))
    var round = 0
    try fuzz([layouts, layouts, layouts, state], salt: 3, accepted: 0.01...0.9) { damaged in
      round += 1
      let data =
        round.isMultiple(of: 2)
        ? damaged : ZipAssembler([("layouts/data.pkl", mutator.damaged(pickle, others: [pickle]))] + storages).data
      guard var file = try? TorchFile(data, path: "x") else { return false }
      _ = try? file.plain(file.root)
      let checkpoint = try? Checkpoint(data, path: "x")
      var bytes = 0
      for tensor in (checkpoint?.weights ?? []) + (checkpoint?.buffers ?? []) {
        bytes += tensor.count * tensor.dtype.byteCount
        _ = try? tensor.tensor()
      }
      #expect(file.budget.peak <= file.budget.limit)
      #expect(bytes <= 2 * data.count + MemoryBudget.minimum)
      return checkpoint != nil
    }
  }

  @Test func safetensorsFiles() throws {
    let originals =
      try ["noise_schedule/expected.safetensors", "torch_files/layouts.safetensors"].map(fixture)
      + [
        Self.safetensors(
          #"{"__metadata__":{"a\n\u00e9":"b"},"t":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8],"x":[{}]}}"#, 8)
      ]
    try fuzz(originals, salt: 5, accepted: 0.01...0.95) { data in
      guard let file = try? SafetensorsFile(data, path: "x") else { return false }
      #expect(file.memory.peak <= file.memory.limit)
      for name in file.entries.keys { _ = try file.tensor(name) }
      return true
    }
  }

  // MARK: Originals

  private static func safetensors(_ header: String, _ bytes: Int) -> Data {
    ZipAssembler.bytes(UInt64(header.utf8.count)) + Data(header.utf8) + Data(count: bytes)
  }

  private func pickle(of file: Data) throws -> Data {
    try storages(of: file, all: true).first { $0.0.hasSuffix("data.pkl") }!.1
  }

  private func storages(of file: Data, all: Bool = false) throws -> [(String, Data)] {
    var budget = MemoryBudget(fileSize: file.count)
    let archive = try ZipArchive(file, path: "x", budget: &budget)
    return try archive.names(endingWith: "").filter { all || !$0.hasSuffix("data.pkl") }
      .map { ($0, Data(file[try archive.range(of: $0)!])) }
  }

  /// A pickle with every opcode that is read.
  private static let everyOpcode = PickleAssembler.make { pickle in
    pickle.op(0x95, [UInt8](repeating: 0, count: 8))
    pickle.op("(")
    for opcode in [UInt8(ascii: "N"), 0x88, 0x89, 0x8F, UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ")")] {
      pickle.op(opcode)
    }
    pickle.integer(1 << 20)
    pickle.op(0x8A, [3, 1, 2, 0x80])
    pickle.op(0x8B, [1, 0, 0, 0, 5])
    pickle.op("G", [0x40, 0, 0, 0, 0, 0, 0, 0])
    pickle.op("T", [2, 0, 0, 0, 0x61, 0x62])
    pickle.op(0x8D, [1, 0, 0, 0, 0, 0, 0, 0, 0x61])
    pickle.op("B", [1, 0, 0, 0, 9])
    pickle.op(0x8E, [1, 0, 0, 0, 0, 0, 0, 0, 9])
    pickle.op(0x96, [1, 0, 0, 0, 0, 0, 0, 0, 9])
    pickle.op(0x94)
    pickle.op("0")
    pickle.op("h", [0])
    pickle.op("(")
    pickle.op("N")
    pickle.op(0x91)
    pickle.op("(")
    pickle.op("N")
    pickle.op("2")
    pickle.op("1")
    pickle.op("(")
    pickle.op("N")
    pickle.op("2")
    pickle.op("d")
    pickle.op("(")
    pickle.op("t")
    pickle.global("os", "system")
    pickle.text("x")
    pickle.op(0x85)
    pickle.op("R")
    pickle.op("}")
    pickle.op("b")
    pickle.text("m")
    pickle.text("n")
    pickle.op(0x93)
    pickle.op(")")
    pickle.op(0x81)
    pickle.text("m")
    pickle.op(")")
    pickle.op("}")
    pickle.op(0x92)
    pickle.op("Q")
    pickle.op("l")
  }
}
