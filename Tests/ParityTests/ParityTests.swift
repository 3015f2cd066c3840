import Foundation
import Parity
import TestSupport
import Testing
import Torch

@Suite("Parity cases")
struct ParityTests {
  @Test(arguments: Fixtures.names)
  func numbersAreThoseOfThePublishedCode(name: String) throws {
    let results = try Parity.verify(folder: Fixtures.path(of: name))
    #expect(!results.isEmpty)
    for result in results {
      #expect(result.passed, "\(result.tensor): off by \(result.error), allowed is \(result.tolerance)")
    }
  }

  @Test func everyKindHasACase() {
    let kinds = Set((Fixtures.names + Fixtures.textNames).map { String($0.prefix { $0 != "." }) })
    #expect(kinds.sorted() == Parity.kinds)
  }

  @Test(arguments: Fixtures.names)
  func everyExpectedTensorIsCompared(name: String) throws {
    try Fixtures.withCopy(of: name) { folder in
      try changeOneNumber(ofTensors: { _ in true }, in: folder)
      for result in try Parity.verify(folder: folder) {
        #expect(!result.passed, "\(result.tensor) passes with a wrong number")
        #expect(result.error.isFinite)
      }
    }
  }

  @Test func onlyTheTensorWithAWrongNumberFails() throws {
    try Fixtures.withCopy(of: "esolm_b_hybrid_loss") { folder in
      try changeOneNumber(ofTensors: { $0 == "diffusion_loss" }, in: folder)
      #expect(try Parity.verify(folder: folder).filter { !$0.passed }.map(\.tensor) == ["diffusion_loss"])
    }
  }

  @Test func aTensorOfAnotherShapeFails() throws {
    try Fixtures.withCopy(of: "noise_schedule") { folder in
      try rewrite("\(folder)/expected.safetensors") { _, tensor in tensor.narrowed(dim: 0, to: 0..<1) }
      #expect(try Parity.verify(folder: folder).allSatisfy { $0.error == .infinity && !$0.passed })
    }
  }

  @Test func anUnknownTensorFails() throws {
    try Fixtures.withCopy(of: "noise_schedule") { folder in
      try SafetensorsFile.write([("surprise", Tensor([1] as [Float]))], to: "\(folder)/expected.safetensors")
      let results = try Parity.verify(folder: folder)
      #expect(results.map(\.tensor) == ["surprise"])
      #expect(results.map(\.passed) == [false])
    }
  }

  // MARK: Folders that are no case

  @Test(arguments: ["config.json", "inputs.safetensors", "expected.safetensors", "weights.safetensors"])
  func aMissingFileIsNamed(file: String) throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/\(file)")
      #expect(
        message { try Parity.verify(folder: folder) } == "cannot read \(folder)/\(file): there is no such file")
    }
  }

  @Test(arguments: ["inputs.safetensors", "expected.safetensors", "weights.safetensors"])
  func aTruncatedFileIsNamed(file: String) throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      let path = "\(folder)/\(file)"
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      try whole.dropLast(5).write(to: URL(fileURLWithPath: path))
      let text = try #require(message { try Parity.verify(folder: folder) })
      #expect(text.hasPrefix("\(path) is no valid safetensors file: tensor '"))
      #expect(text.contains("], the file has "))
    }
  }

  @Test func anUnknownKindIsNamedBesideTheKnownOnes() throws {
    try Fixtures.withCopy(of: "nucleus", named: "perplexity.tiny") { folder in
      #expect(
        message { try Parity.verify(folder: folder) }
          == "\(folder) is a case of kind 'perplexity', expected one of \(Parity.kinds.joined(separator: ", "))")
    }
  }

  @Test(arguments: [
    (#""tolerance": 2e-05"#, #""tolerance": 0"#, "field 'tolerance' is 0.0, expected a number above 0"),
    (#""tolerance": 2e-05"#, #""tolerance": "small""#, "field 'tolerance' is not a number"),
    (#""alpha_0": 1.0"#, #""alpha_0": 1.5"#, "field 'algo.alpha_0' must be a number from 0 to 1"),
    (#""alpha_0": 1.0"#, #""beta": 1"#, "field 'algo.alpha_0' must be a number from 0 to 1"),
    (#""n_blocks": 2,"#, "", "field 'network.n_blocks' is missing"),
    (#""n_blocks": 2,"#, "2,", "it is no valid JSON"),
  ])
  func aWrongFieldIsNamed(field: String, replacement: String, problem: String) throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      let path = "\(folder)/config.json"
      let text = try String(contentsOf: path)
      try #require(text.contains(field))
      try text.replacingOccurrences(of: field, with: replacement).write(to: path)
      #expect(message { try Parity.verify(folder: folder) } == "\(path): \(problem)")
    }
  }

  @Test func sizesThatDoNotFitTheWeightsAreAllListed() throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      let path = "\(folder)/config.json"
      try String(contentsOf: path).replacingOccurrences(of: #""n_blocks": 2"#, with: #""n_blocks": 1"#).write(to: path)
      let text = try #require(message { try Parity.verify(folder: folder) })
      #expect(text.hasPrefix("the weights do not fit the configuration: 'blocks.1."))
      #expect(text.hasSuffix("; and 2 more"))
    }
  }

  @Test(arguments: [
    ("t", "has no tensor 't'"), ("order", "has no tensor 'order'"), ("x0", "has no tensor 'x0'"),
  ])
  func aMissingInputIsNamed(tensor: String, problem: String) throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      let path = "\(folder)/inputs.safetensors"
      try rewrite(path) { name, value in name == tensor ? nil : value }
      #expect(message { try Parity.verify(folder: folder) } == "\(path) \(problem)")
    }
  }

  @Test(arguments: [
    ("x0", 61, "'x0' holds token 61, expected 0 to 60"), ("x0", -1, "'x0' holds token -1, expected 0 to 60"),
    ("order", 24, "a row of 'order' is no permutation"),
  ])
  func anInputOutOfRangeIsNamed(tensor: String, value: Int64, problem: String) throws {
    try Fixtures.withCopy(of: "esolm_b_diffusion") { folder in
      let path = "\(folder)/inputs.safetensors"
      try rewrite(path) { name, old in
        if name == tensor { old.withUnsafeElements(of: Int64.self) { $0[0] = value } }
        return old
      }
      #expect(message { try Parity.verify(folder: folder) } == "\(path): \(problem)")
    }
  }

  // MARK: Damage

  /// Rewrites a file with other tensors, without those for which `change` returns nil.
  private func rewrite(_ path: String, _ change: (_ name: String, _ tensor: Tensor) -> Tensor?) throws {
    let file = try SafetensorsFile(contentsOf: path)
    let tensors = try file.entries.keys.sorted().compactMap { name in
      change(name, try file.tensor(name)).map { (name, $0) }
    }
    try SafetensorsFile.write(tensors, to: path)
  }

  /// Makes the first number of some expected tensors wrong by three times what any case allows.
  private func changeOneNumber(ofTensors chosen: (String) -> Bool, in folder: String) throws {
    try rewrite("\(folder)/expected.safetensors") { name, tensor in
      guard chosen(name) else { return tensor }
      var numbers: [Double] = tensor.array()
      // Of numbers that depend on random draws the range counts, so all of them must move.
      guard name != "scores_by_seed" else { return tensor + 0.2 }
      let isWhole = tensor.dtype != .float32 && tensor.dtype != .float64
      numbers[0] += isWhole ? 1 : 3 * 1e-4 * max(1, tensor.maxAbs().item)
      return Tensor(numbers, shape: tensor.shape).to(tensor.dtype)
    }
  }
}
