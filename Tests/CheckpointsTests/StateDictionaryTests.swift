import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import TestSupport
import Testing
import Torch

/// State dictionaries where trainers put them, and tensors as PyTorch describes them beside the usual way.
@Suite("State dictionaries")
struct StateDictionaryTests {
  private func field(_ name: String) -> String { "\(Fixtures.folder)/field_checkpoints/\(name)" }

  /// A file of torch.save whose pickle is made by hand, with one storage of so many bytes.
  private func file(storage: Int = 24, _ body: (inout PickleAssembler) -> Void) -> Data {
    ZipAssembler([("a/data.pkl", PickleAssembler.make(body)), ("a/data/0", Data(count: storage))]).data
  }

  /// A file that holds the file `nested.pt` with its field called otherwise.
  private func renamed(_ name: String) throws -> String {
    let data = try Data(contentsOf: URL(fileURLWithPath: field("nested.pt")))
    var budget = MemoryBudget(fileSize: data.count)
    let archive = try ZipArchive(data, path: "x", budget: &budget)
    func word(_ text: String) -> Data {
      Data([UInt8(ascii: "X")] + PickleAssembler.little(UInt32(text.utf8.count))) + Data(text.utf8)
    }
    let entries = try archive.names(endingWith: "").map { entry in
      var bytes = Data(data[try archive.range(of: entry)!])
      if entry.hasSuffix("data.pkl") {
        bytes.replaceSubrange(try #require(bytes.range(of: word("model"))), with: word(name))
      }
      return (entry, bytes)
    }
    return try Scratch.file(ZipAssembler(entries).data, name: "\(name).pt")
  }

  @Test(arguments: ["model", "model_state_dict", "module", "ema", "network", "state_dict"])
  func aStateDictionaryMayLieOneLevelDown(name: String) throws {
    let checkpoint = try Checkpoint(opening: try renamed(name))
    var given = ModelSettings()
    (given.algorithm, given.length) = (.maskedDiffusion, 8)
    #expect(checkpoint.form == (name == "state_dict" ? .lightning : .stateDictionary))
    #expect(checkpoint.weights.count == 20)
    #expect(try Conversion(checkpoint, given: given).network.vocabularySize == 9)
  }

  /// A dictionary with a tensor of the given name, which is not read.
  private func dictionary(_ pickle: inout PickleAssembler, of tensor: String) {
    pickle.op("}")
    pickle.text(tensor)
    self.tensor(&pickle)
    pickle.op("s")
  }

  /// A float32 tensor of 2 × 3, or of a type that the third version of the description names.
  private func tensor(
    _ pickle: inout PickleAssembler, type: String? = nil, storage: String = "FloatStorage", count: Int32 = 6
  ) {
    pickle.global("torch._utils", type == nil ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3")
    arguments(&pickle, type: type, storage: storage, count: count)
    pickle.op("R")
  }

  private func arguments(_ pickle: inout PickleAssembler, type: String?, storage: String, count: Int32) {
    pickle.op("(")
    pickle.op("(")
    pickle.text("storage")
    pickle.global(type == nil ? "torch" : "torch.storage", type == nil ? storage : "UntypedStorage")
    pickle.text("0")
    pickle.text("cpu")
    pickle.integer(count)
    pickle.op("t")
    pickle.op("Q")
    pickle.integer(0)
    for numbers in [[2, 3], [3, 1]] as [[Int32]] {
      pickle.integer(numbers[0])
      pickle.integer(numbers[1])
      pickle.op(0x86)
    }
    pickle.op(0x89)
    pickle.op("N")
    if let type { pickle.global("torch", type) }
    pickle.op("t")
  }

  @Test func ofSeveralTheOneWithTheNetworkIsTaken() throws {
    func checkpoint(_ fields: [(String, String)], field: String? = nil) throws -> Checkpoint {
      try Checkpoint(
        file { pickle in
          pickle.op("}")
          for (name, tensor) in fields {
            pickle.text(name)
            dictionary(&pickle, of: tensor)
            pickle.op("s")
          }
        }, path: "x", field: field)
    }
    let network = "model.vocab_embed.embedding"
    #expect(try checkpoint([("critic", "w"), ("net", network)]).weights.map(\.name) == ["vocab_embed.embedding"])
    let both = [("model", network), ("ema", network), ("critic", "w")]
    #expect(
      message { try checkpoint(both) }
        == "x holds several state dictionaries: 'model', 'ema'; name one with --state-dict")
    #expect(try checkpoint(both, field: "ema").weights.count == 1)
    #expect(try checkpoint(both, field: "critic").weights.map(\.name) == ["w"])
    #expect(
      message { try checkpoint(both, field: "none") }
        == "x has no field 'none' that is a dictionary, expected one of 'model', 'ema', 'critic'")
    #expect(
      message { try checkpoint([("critic", "w"), ("net", "w")]) }
        == "x holds no tensors by name, it has the fields 'critic', 'net'")
  }

  /// Each of many fields that show one large dictionary would be looked through, if it were not one.
  @Test func oneDictionaryUnderManyNamesIsLookedIntoOnce() throws {
    let many: Int32 = 20_000
    let file = file { pickle in
      pickle.op("}")
      pickle.op("}")
      pickle.op("q", [0])
      pickle.op("(")
      for number in 0..<many {
        pickle.text("w\(number)")
        pickle.op("N")
      }
      pickle.op("u")
      pickle.op("0")
      pickle.op("(")
      for number in 0..<many {
        pickle.text("f\(number)")
        pickle.op("h", [0])
      }
      pickle.op("u")
    }
    let refusal = message { try Checkpoint(file, path: "x") }
    #expect(refusal?.hasPrefix("x holds no tensors by name, it has the fields 'f0', ") == true)
  }

  // MARK: Tensors

  @Test func parametersWithAttributesAreTensors() throws {
    var given = ModelSettings()
    (given.algorithm, given.length, given.network.numHeads) = (.maskedDiffusion, 8, 1)
    let conversion = try Conversion(try Checkpoint(opening: field("params.pt")), given: given)
    let plain = try Checkpoint(opening: field("mdlm.ckpt"))
    #expect(conversion.checkpoint.weights.map(\.shape) == plain.weights.map(\.shape))
    _ = try conversion.checkpoint.model(conversion.network)
  }

  @Test func aTensorMayHaveAttributesOrNameItsType() throws {
    let data = file { pickle in
      pickle.op("}")
      pickle.text("attributes")
      pickle.global("torch._tensor", "_rebuild_from_type_v2")
      pickle.op("(")
      pickle.global("torch._utils", "_rebuild_tensor_v2")
      pickle.global("torch", "Tensor")
      arguments(&pickle, type: nil, storage: "FloatStorage", count: 6)
      pickle.op("}")
      pickle.op("t")
      pickle.op("R")
      pickle.op("s")
      pickle.text("named")
      tensor(&pickle, type: "float32", count: 24)
      pickle.op("s")
    }
    var file = try TorchFile(data, path: "x")
    for (key, value) in try #require(file.root.entries) {
      let found = try #require(try file.tensor(value, name: key.text!))
      #expect(found.dtype == .float32 && found.shape == [2, 3])
      #expect(try found.tensor().maxAbs().item == 0)
    }
  }

  @Test func typesThatAreNotReadAreNamed() throws {
    let types = "expected float, double, half, bfloat16, long, int, byte or bool"
    #expect(
      message { try Checkpoint(opening: field("float8.pt")) }
        == "\(field("float8.pt")): tensor 'backbone.vocab_embed.embedding' has elements of type float8_e4m3fn, \(types)"
    )
    func refusal(_ body: (inout PickleAssembler) -> Void) throws -> String? {
      let file = file { pickle in
        pickle.op("}")
        pickle.text("w")
        body(&pickle)
        pickle.op("s")
      }
      return message { try Checkpoint(file, path: "x") }
    }
    #expect(
      try refusal { tensor(&$0, type: "uint16") } == "x: tensor 'w' has elements of type uint16, \(types)")
    #expect(
      try refusal { pickle in
        pickle.global("torch._utils", "_rebuild_sparse_tensor")
        pickle.op(")")
        pickle.op("R")
      } == "x: tensor 'w' is made by torch._utils._rebuild_sparse_tensor, expected a dense tensor")
  }

  // MARK: Beside the weights

  /// Numbers of two bytes each, and words of a vocabulary: a pickle may describe as many as it has bytes for.
  @Test(arguments: [3_000, 200_000]) func aLongHistoryIsNoReasonToRefuse(count: Int) throws {
    let file = file { pickle in
      pickle.op("}")
      pickle.text("state_dict")
      dictionary(&pickle, of: "vocab_embed.embedding")
      pickle.op("s")
      pickle.text("hyper_parameters")
      pickle.op("}")
      pickle.text("losses")
      pickle.op("]")
      pickle.op("(")
      for number in 0..<count { pickle.op("K", [UInt8(truncatingIfNeeded: number)]) }
      pickle.op("e")
      pickle.op("s")
      pickle.text("words")
      pickle.op("}")
      pickle.op("(")
      for number in 0..<count {
        pickle.text("w\(number)")
        pickle.integer(Int32(number))
      }
      pickle.op("u")
      pickle.op("s")
      pickle.op("s")
    }
    let checkpoint = try Checkpoint(file, path: "x")
    #expect(checkpoint.hyperParameters["words.w\(count - 1)"] == .integer(count - 1))
    guard case .list(let losses)? = checkpoint.hyperParameters["losses"] else { throw Missing() }
    #expect(losses.count == count)
  }

  private struct Missing: Error {}

  @Test func aDescriptionJustifiesAMultipleOfItselfAndNoMore() {
    #expect(MemoryBudget(fileSize: 100).limit == 200 + MemoryBudget.minimum)
    #expect(
      MemoryBudget(fileSize: 100, description: 10).limit
        == 200 + MemoryBudget.minimum + 10 * MemoryBudget.descriptionFactor)
    #expect(
      MemoryBudget(fileSize: 1 << 40, description: 1 << 40).limit
        == 2 << 40 + MemoryBudget.minimum + MemoryBudget.descriptionLimit)
    #expect(MemoryBudget(fileSize: .max, description: .max).limit == .max)
  }
}
