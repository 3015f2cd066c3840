import Evaluation
import Foundation
import TestSupport
import Testing
import Torch

/// The numbers themselves are held to the recorded ones by the parity case `metrics`.
@Suite("GPT-2")
struct GPT2Tests {
  /// Runs a test with a copy of the recorded judge, of which a test may change the weights or the configuration.
  private func withJudge(
    config: (String, String)? = nil, weights: ((String, Tensor) -> [(String, Tensor)])? = nil,
    _ body: (_ folder: String) throws -> Void
  ) throws {
    try Fixtures.withCopy(of: "metrics") { fixture in
      let folder = "\(fixture)/judge"
      if let (old, new) = config {
        let text = try String(contentsOf: "\(folder)/config.json")
        try #require(text.contains(old))
        try text.replacingOccurrences(of: old, with: new).write(to: "\(folder)/config.json")
      }
      if let weights {
        let file = try SafetensorsFile(contentsOf: "\(folder)/model.safetensors")
        let tensors = try file.entries.keys.sorted().flatMap { weights($0, try file.tensor($0)) }
        try SafetensorsFile.write(tensors.map { (name: $0.0, tensor: $0.1) }, to: file.path)
      }
      try body(folder)
    }
  }

  private func recorded() throws -> GPT2 { try GPT2(folder: "\(Fixtures.path(of: "metrics"))/judge") }

  private let windows = [30, 7, 1, 12].enumerated().map {
    randomSequences(1, length: $1, tokens: 97, seed: UInt64($0))[0]
  }

  @Test func aWindowIsJudgedAsIfItWereAlone() throws {
    let judge = try recorded()
    let together = judge.logProbabilities(of: windows)
    #expect(together.map(\.count) == [29, 6, 0, 11])
    for (window, row) in zip(windows, together) {
      #expect(distance(judge.logProbabilities(of: [window])[0], row) < 1e-5)
    }
    let features = judge.features(of: windows)
    for (index, window) in windows.enumerated() {
      #expect(distance(judge.features(of: [window]), features.narrowed(dim: 0, to: index..<index + 1)) < 1e-5)
    }
  }

  @Test func logProbabilitiesAreThoseOfTheLogits() throws {
    let judge = try recorded()
    let window = windows[0]
    let logits = judge.logits([window]).reshaped([30, 97]).logSoftmax(dim: 1).array(of: Double.self)
    let expected = (1..<30).map { logits[($0 - 1) * 97 + Int(window[$0])] }
    #expect(distance(judge.logProbabilities(of: [window])[0], expected) < 1e-5)
  }

  @Test func anEmptyWindowSaysNothing() throws {
    #expect(try recorded().logProbabilities(of: [[], [5]]) == [[], []])
    #expect(try recorded().logProbabilities(of: []) == [])
  }

  /// Names without the prefix, a stored copy of the output layer, the masks of old files: all are the same network.
  @Test func namesMayDifferInTheWaysThatFilesDo() throws {
    let expected = try recorded().logProbabilities(of: windows)
    try withJudge(weights: { [(String($0.dropFirst("transformer.".count)), $1)] }) { folder in
      let found = try GPT2(folder: folder).logProbabilities(of: windows)
      #expect(found == expected)
    }
    try withJudge(weights: { name, tensor in
      name.hasSuffix("ln_1.weight")
        ? [
          (name, tensor),
          (name.replacingOccurrences(of: "ln_1.weight", with: "attn.bias"), .full([1, 1, 32, 32], 1, dtype: .bool)),
          (name.replacingOccurrences(of: "ln_1.weight", with: "attn.masked_bias"), .full([], -1e4)),
        ] : name.hasSuffix("wte.weight") ? [(name, tensor), ("lm_head.weight", .zeros([97, 32]))] : [(name, tensor)]
    }) { folder in
      let found = try GPT2(folder: folder).logProbabilities(of: windows)
      #expect(found == expected)
    }
  }

  @Test func anUntiedOutputLayerIsUsed() throws {
    let untied = ("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false")
    try withJudge(
      config: untied,
      weights: { $0.hasSuffix("wte.weight") ? [($0, $1), ("lm_head.weight", .zeros([97, 32]))] : [($0, $1)] }
    ) { folder in
      let rows = try GPT2(folder: folder).logProbabilities(of: windows)
      #expect(rows.joined().allSatisfy { abs($0 + log(97)) < 1e-5 })
    }
    try withJudge(config: untied) { folder in
      #expect(message { try GPT2(folder: folder) }?.contains("'lm_head.weight' [97, 32] is missing") == true)
    }
  }

  @Test(arguments: [DType.float16, .bfloat16, .float64])
  func weightsOfOtherPrecisionsAreRead(dtype: DType) throws {
    let expected = try recorded().logProbabilities(of: windows).flatMap { $0 }
    try withJudge(weights: { [($0, $1.to(dtype))] }) { folder in
      let found = try GPT2(folder: folder).logProbabilities(of: windows).flatMap { $0 }
      #expect(distance(found, expected) < (dtype == .float64 ? 1e-6 : 0.1))
    }
  }

  @Test(arguments: [
    (
      "\"model_type\": \"gpt2\"", "\"model_type\": \"llama\"",
      "field 'model_type' is 'llama', expected 'gpt2': a judge must be a GPT-2"
    ),
    ("\"model_type\": \"gpt2\"", "\"x\": 1", "field 'model_type' is missing"),
    ("\"n_head\": 4", "\"n_head\": 5", "n_head is 5, expected a divisor of n_embd 32"),
    ("\"n_head\": 4", "\"n_head\": 0", "n_head is 0, expected 1 to 32"),
    ("\"n_layer\": 2", "\"n_layer\": -1", "n_layer is -1, expected 1 to 1024"),
    ("\"n_layer\": 2", "\"layers\": 2", "field 'n_layer' is missing"),
    ("\"vocab_size\": 97", "\"vocab_size\": 99999999999", "vocab_size is 99999999999, expected 2 to 16777216"),
    ("\"n_inner\": null", "\"n_inner\": 0", "n_inner is 0, expected 1 to 1048576"),
    (
      "\"gelu_new\"", "\"relu\"",
      "activation_function is relu, expected gelu_new or gelu_pytorch_tanh or gelu_fast"
    ),
    (
      "\"scale_attn_by_inverse_layer_idx\": false", "\"scale_attn_by_inverse_layer_idx\": true",
      "scale_attn_by_inverse_layer_idx is true, expected false: only plain GPT-2 is known"
    ),
    ("\"eos_token_id\": 96", "\"eos_token_id\": 97", "eos_token_id is 97, expected 0 to 96"),
    (
      "\"layer_norm_epsilon\": 1e-05", "\"layer_norm_epsilon\": 0",
      "layer_norm_epsilon is 0.0, expected a number between 0 and 1"
    ),
  ])
  func aConfigurationThatIsNoGPT2IsRefused(field: String, replacement: String, problem: String) throws {
    try withJudge(config: (field, replacement)) { folder in
      #expect(message { try GPT2(folder: folder) } == "\(folder)/config.json: \(problem)")
    }
  }

  @Test func weightsThatDoNotFitAreAllListed() throws {
    try withJudge(weights: { name, tensor in
      switch name {
      case "transformer.ln_f.bias": []
      case "transformer.ln_f.weight": [(name, .zeros([31]))]
      case "transformer.wpe.weight": [(name, tensor.to(.int64))]
      case "transformer.wte.weight": [(name, tensor), ("transformer.h.2.ln_1.bias", .zeros([32]))]
      default: [(name, tensor)]
      }
    }) { folder in
      #expect(
        message { try GPT2(folder: folder) }
          == "\(folder): the weights are not those of the GPT-2 that config.json describes: "
          + "'ln_f.bias' [32] is missing; 'transformer.ln_f.weight' has shape [31], expected [32]; "
          + "'transformer.wpe.weight' has type I64, expected a floating-point type; "
          + "'transformer.h.2.ln_1.bias' is not expected")
    }
  }

  @Test(arguments: [
    ("config.json", "cannot read $folder/config.json: there is no such file"),
    (
      "model.safetensors",
      "$folder holds no weights: none of model.safetensors, "
        + "model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"
    ),
  ])
  func aMissingFileIsNamed(file: String, problem: String) throws {
    try withJudge { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/\(file)")
      #expect(message { try GPT2(folder: folder) } == problem.replacingOccurrences(of: "$folder", with: folder))
    }
  }

  @Test func weightsMayLieInSeveralFiles() throws {
    let expected = try recorded().logProbabilities(of: windows)
    try withJudge { folder in
      let whole = "\(folder)/model.safetensors"
      let file = try SafetensorsFile(contentsOf: whole)
      var map: [String: String] = [:]
      for (number, name) in file.entries.keys.sorted().enumerated() { map[name] = "model-\(number % 2).safetensors" }
      for part in Set(map.values) {
        let names = map.keys.filter { map[$0] == part }
        try SafetensorsFile.write(try names.map { ($0, try file.tensor($0)) }, to: "\(folder)/\(part)")
      }
      try FileManager.default.removeItem(atPath: whole)
      try JSONEncoder().encode(["weight_map": map]).write(to: URL(fileURLWithPath: "\(whole).index.json"))
      #expect(try GPT2(folder: folder).logProbabilities(of: windows) == expected)
      try FileManager.default.removeItem(atPath: "\(folder)/model-1.safetensors")
      #expect(
        message { try GPT2(folder: folder) }
          == "cannot read \(folder)/model-1.safetensors: there is no such file")
    }
  }

  @Test func weightsThatAreOnlyPointedAtAreNamed() throws {
    try withJudge { folder in
      let path = "\(folder)/model.safetensors"
      try "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".write(to: path)
      #expect(
        message { try GPT2(folder: folder) }
          == "\(path) is a Git LFS pointer, not the file itself, expected a safetensors file; "
          + "fetch the file by git lfs pull")
    }
  }
}
