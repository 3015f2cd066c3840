import Checkpoints
import EsoLM
import Files
import Foundation
import TestSupport
import Testing
import Torch

/// Files that PyTorch wrote (`make.py` beside them), and damaged ones.
@Suite("Files of torch.save")
struct TorchFileTests {
  private func path(_ name: String) -> String { "\(Fixtures.folder)/torch_files/\(name)" }

  /// Types, shared storages, strides, offsets, scalars, empty tensors, parameters.
  @Test func everyLayoutIsReadAsPyTorchReadsIt() throws {
    var file = try TorchFile(try MappedFile.read(path("layouts.pt")), path: "x")
    let expected = try SafetensorsFile(contentsOf: path("layouts.safetensors"))
    var seen: Set<String> = []
    for (key, value) in try #require(file.root.entries) {
      let name = try #require(key.text)
      let stored = try #require(try file.tensor(value, name: name))
      let (found, wanted) = (try stored.tensor(), try expected.tensor(name))
      #expect(stored.shape == wanted.shape && found.shape == wanted.shape, "\(name)")
      #expect(stored.dtype == wanted.dtype && found.dtype == wanted.dtype, "\(name)")
      #expect(bytes(found) == bytes(wanted), "\(name)")
      seen.insert(name)
    }
    #expect(seen == Set(expected.entries.keys))
    #expect(seen.count == 18)
  }

  private func bytes(_ tensor: Tensor) -> [UInt8] {
    let count = tensor.count * tensor.dtype.byteCount
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0 { tensor.copyBytes(to: UnsafeMutableRawBufferPointer(buffer)) }
      initialized = count
    }
  }

  @Test func whatIsNotReadIsSaidClearly() throws {
    let reasons = [
      "expanded.pt":
        "tensor 'weight' has shape [1000, 1000] with strides [0, 0], more elements than the 1 that are stored",
      "int16.pt":
        "tensor 'weight' has elements of type ShortStorage, expected float, double, half, bfloat16, long, int, byte or bool",
    ]
    for (name, reason) in reasons {
      #expect(message { try Checkpoint(opening: path(name)) } == "\(path(name)): \(reason)")
    }
    #expect(
      message { try Checkpoint(opening: path("legacy.pt")) }
        == "\(path("legacy.pt")) is in the format of PyTorch before 1.6; load and save it again there, as a zip file")
    #expect(
      message { try Checkpoint(opening: path("list.pt")) }
        == "\(path("list.pt")) holds no dictionary, expected a Lightning checkpoint or a state dictionary")
  }

  // MARK: Files made by hand

  /// A state dictionary of one tensor, described as given.
  private func file(
    type: String = "FloatStorage", key: String = "0", count: Int32 = 6, offset: Int32 = 0, shape: [Int32] = [2, 3],
    strides: [Int32] = [3, 1], bytes: Int = 24, prefix: String = "archive/", extra: [(String, Data)] = []
  ) -> Data {
    let pickle = PickleAssembler.make { pickle in
      pickle.op("}")
      pickle.text("weight")
      pickle.global("torch._utils", "_rebuild_tensor_v2")
      pickle.op("(")
      pickle.op("(")
      pickle.text("storage")
      pickle.global("torch", type)
      pickle.text(key)
      pickle.text("cpu")
      pickle.integer(count)
      pickle.op("t")
      pickle.op("Q")
      pickle.integer(offset)
      for numbers in [shape, strides] {
        pickle.op("(")
        for number in numbers { pickle.integer(number) }
        pickle.op("t")
      }
      pickle.op(0x89)
      pickle.op("N")
      pickle.op("t")
      pickle.op("R")
      pickle.op("s")
    }
    let numbers = (0..<bytes / 4).map { Float($0) }
    let storage = numbers.withUnsafeBytes { Data($0) }
    return ZipAssembler([("\(prefix)data.pkl", pickle), ("\(prefix)data/0", storage)] + extra).data
  }

  private func read(_ data: Data) throws -> Tensor? {
    let checkpoint = try Checkpoint(data, path: "x")
    return try checkpoint.weights.first?.tensor()
  }

  @Test func aTensorIsReadThroughItsStrides() throws {
    #expect(try read(file())?.array(of: Float.self) == [0, 1, 2, 3, 4, 5])
    #expect(try read(file(shape: [3, 2], strides: [1, 3]))?.array(of: Float.self) == [0, 3, 1, 4, 2, 5])
    #expect(try read(file(offset: 1, shape: [2, 2], strides: [3, 1]))?.array(of: Float.self) == [1, 2, 4, 5])
    #expect(try read(file(offset: 5, shape: [], strides: []))?.array(of: Float.self) == [5])
    #expect(try read(file(offset: 6, shape: [0, 3], strides: [3, 1]))?.shape == [0, 3])
    #expect(try read(file(shape: [2, 2], strides: [0, 1]))?.array(of: Float.self) == [0, 1, 0, 1])
  }

  @Test func whatDoesNotFitItsStorageIsRefused() throws {
    func refusal(_ data: Data) -> String? {
      message { try read(data) }?.replacingOccurrences(of: "x: tensor 'weight' ", with: "")
    }
    #expect(
      refusal(file(offset: 1))
        == "has shape [2, 3] with strides [3, 1] at 1, which reach beyond its 6 elements")
    #expect(
      refusal(file(shape: [2, 3], strides: [.max, .max]))
        == "has shape [2, 3] with strides [2147483647, 2147483647] at 0, which reach beyond its 6 elements")
    #expect(
      refusal(file(shape: [.max, .max, .max], strides: [0, 0, 0]))
        == "has the impossible shape [2147483647, 2147483647, 2147483647]")
    #expect(
      refusal(file(shape: [3, 3], strides: [0, 1]))
        == "has shape [3, 3] with strides [0, 1], more elements than the 6 that are stored")
    for (offset, shape, strides) in [(-1, [2], [1]), (0, [-2], [1]), (0, [2], [-1]), (0, [2, 3], [1])]
      as [(Int32, [Int32], [Int32])]
    {
      #expect(
        refusal(file(offset: offset, shape: shape, strides: strides))
          == "has the impossible shape \(shape) with strides \(strides) at \(offset)")
    }
    #expect(refusal(file(count: 7)) == "needs 7 elements of 4 bytes in 'archive/data/0', which has 24 bytes")
    #expect(refusal(file(count: -1)) == "needs -1 elements of 4 bytes in 'archive/data/0', which has 24 bytes")
    #expect(refusal(file(key: "1")) == "lies in 'archive/data/1', which is not in the file")
    #expect(
      refusal(file(key: "../../etc/passwd")) == "lies in 'archive/data/../../etc/passwd', which is not in the file")
    #expect(refusal(file(type: "ComplexFloatStorage"))?.hasPrefix("has elements of type ComplexFloatStorage") == true)
  }

  @Test func anArchiveOfSomethingElseIsRefused() throws {
    #expect(
      message { try read(file(prefix: "a/b/")) } == "x is no file of torch.save: it has 0 entries data.pkl, expected 1")
    #expect(
      message { try read(file(extra: [("other/data.pkl", Data())])) }
        == "x is no file of torch.save: it has 2 entries data.pkl, expected 1")
    #expect(
      message { try read(file(extra: [("archive/byteorder", Data("big".utf8))])) }
        == "x has another byte order than little, the only one that is read")
    #expect(
      message { try read(Data("%PDF".utf8)) } == "x is not a file of torch.save (a zip archive) or a safetensors file")
    #expect(
      message { try read(Data()) }
        == "x is empty, expected a file of torch.save (a zip archive) or a safetensors file")
  }

  @Test func aSmallFileCannotStandForLargeWeights() throws {
    // A thousand names of one tensor: two bytes each in the pickle to recall it.
    let pickle = PickleAssembler.make { pickle in
      pickle.op("}")
      pickle.global("torch._utils", "_rebuild_tensor_v2")
      pickle.op("(")
      pickle.op("(")
      for text in ["storage"] { pickle.text(text) }
      pickle.global("torch", "FloatStorage")
      pickle.text("0")
      pickle.text("cpu")
      pickle.integer(100_000)
      pickle.op("t")
      pickle.op("Q")
      pickle.integer(0)
      pickle.integer(100_000)
      pickle.op(0x85)
      pickle.integer(1)
      pickle.op(0x85)
      pickle.op(0x89)
      pickle.op("N")
      pickle.op("t")
      pickle.op("R")
      pickle.op("q", [0])
      pickle.op("0")
      for number in 0..<1000 {
        pickle.text("t\(number)")
        pickle.op("h", [0])
        pickle.op("s")
      }
    }
    let data = ZipAssembler([("a/data.pkl", pickle), ("a/data/0", Data(count: 400_000))]).data
    #expect(
      message { try read(data) }
        == "x is refused: its tensors share so much that they would take more than twice its size")
  }
}
