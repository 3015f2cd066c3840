import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import TestSupport
import Testing
import Torch

@Suite("Checkpoints of the field")
struct CheckpointTests {
  private func lightning(_ name: String) -> String { "\(Fixtures.path(of: "lightning_checkpoint"))/\(name)" }

  // MARK: Lightning

  @Test func aLightningCheckpointSaysWhatItIs() throws {
    let checkpoint = try Checkpoint(opening: lightning("esolm.ckpt"))
    #expect(checkpoint.form == .lightning)
    #expect(checkpoint.step == 5)
    #expect(checkpoint.averageDecay == 0.9 && checkpoint.averageUpdates == 5)
    #expect(checkpoint.buffers.map(\.name) == ["rotary_emb.inv_freq"])
    #expect(checkpoint.hyperParameters["algo.alpha_0"] == .real(0.25))
    #expect(checkpoint.hyperParameters["trainer.max_steps"] == .integer(1_000_000))
    #expect(checkpoint.hyperParameters["wandb.tags"]?.description.hasPrefix("[${noise.type}, ") == true)
    // Objects that Python would have to make are named and no more.
    #expect(checkpoint.hyperParameters["tokenizer"] == .text("<dataloader.SyntheticTokenizer>"))
    let conversion = try Conversion(checkpoint)
    #expect(
      conversion.network
        == TransformerConfiguration(
          vocabularySize: 33, maskToken: 32, hiddenSize: 16, numBlocks: 2, numHeads: 2, conditioningSize: 8,
          dropout: 0.1))
    #expect(conversion.method == MethodConfiguration(algorithm: .esolmB, alpha0: 0.25, length: 16))
  }

  /// The tensors and logits themselves are a parity case.
  @Test func theMovingAverageIsNotTheWeights() throws {
    let checkpoint = try Checkpoint(opening: lightning("esolm.ckpt"))
    let network = try checkpoint.network(checkpoint.settings())
    let (model, average) = (try checkpoint.model(network, .model), try checkpoint.model(network, .average))
    #expect(zip(model.parameters, average.parameters).contains { distance($0, $1) > 0 })
  }

  @Test func aHostileCheckpointIsReadWithoutEffect() throws {
    let before = try contents(of: FileManager.default.currentDirectoryPath)
    let temporary = try contents(of: NSTemporaryDirectory()).filter { $0.contains("pwned") }
    let hostile = try Checkpoint(opening: lightning("hostile.ckpt"))
    let network = try hostile.network(hostile.settings())
    let model = try hostile.model(network, .model)
    let honest = try Checkpoint(opening: lightning("esolm.ckpt")).model(network, .model)
    for (left, right) in zip(model.parameters, honest.parameters) { #expect(distance(left, right) == 0) }
    #expect(try contents(of: FileManager.default.currentDirectoryPath) == before)
    #expect(try contents(of: NSTemporaryDirectory()).filter { $0.contains("pwned") } == temporary)
  }

  @Test func aTruncatedCheckpointIsRefusedInOneLine() throws {
    let path = lightning("truncated.ckpt")
    #expect(
      message { try Checkpoint(opening: path) }
        == "\(path) is no whole zip file: the directory at its end is missing, so it may be cut off (it has 131208 bytes)"
    )
  }

  @Test func aMisshapenTensorIsNamed() throws {
    let path = lightning("wrong_shape.ckpt")
    #expect(
      message { try Conversion(try Checkpoint(opening: path)) }
        == "\(path): the weights do not fit the configuration: "
        + "'blocks.1.attn_qkv.weight' has shape [48, 15], expected [48, 16]")
  }

  @Test func aStateDictionaryAloneNeedsToBeToldItsMethod() throws {
    let path = lightning("state_dict.pt")
    let checkpoint = try Checkpoint(opening: path)
    #expect(checkpoint.form == .stateDictionary)
    var given = ModelSettings()
    for (field, option) in [
      ("algorithm", "--algo (esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm)"), ("length", "--length"),
      ("alpha0", "--alpha0"),
    ] {
      #expect(
        message { try Conversion(checkpoint, given: given) }
          == "\(path) does not say its \(field); name it with \(option)")
      switch field {
      case "algorithm": given.algorithm = .esolmB
      case "length": given.length = 16
      default: given.alpha0 = 0.25
      }
    }
    let conversion = try Conversion(checkpoint, given: given)
    // These are the weights that were evaluated: the moving average.
    let whole = try Checkpoint(opening: lightning("esolm.ckpt"))
    #expect(conversion.network == (try Conversion(whole).network))
    let (left, right) = (
      try checkpoint.model(conversion.network, .model), try whole.model(conversion.network, .average)
    )
    for (left, right) in zip(left.parameters, right.parameters) { #expect(distance(left, right) == 0) }
  }

  // MARK: The family

  /// A Hugging Face folder with the recorded weights of a method, its names after a prefix.
  private func folder(of name: String, prefix: String, config: String) throws -> String {
    let folder = try Scratch.folder()
    let file = try SafetensorsFile(contentsOf: "\(Fixtures.path(of: name))/weights.safetensors")
    let tensors = try file.entries.keys.sorted().map { (name: prefix + $0, tensor: try file.tensor($0)) }
    try SafetensorsFile.write(tensors, to: "\(folder)/model.safetensors")
    try config.write(to: "\(folder)/config.json")
    return folder
  }

  @Test(arguments: [
    "", "backbone.", "module.backbone.", "backbone._orig_mod.", "model.", "_fsdp_wrapped_module.model.module.",
    "_forward_module.backbone.",
  ])
  func namesMayHavePrefixes(prefix: String) throws {
    let folder = try folder(
      of: "mdlm", prefix: prefix, config: #"{"model_type": "mdlm", "n_heads": 4, "model_length": 24}"#)
    let conversion = try Conversion(try Checkpoint(opening: folder))
    #expect(conversion.method == MethodConfiguration(algorithm: .maskedDiffusion, length: 24))
    #expect(conversion.network.conditioningSize == 16 && conversion.network.maskToken == 60)
  }

  @Test func everyMethodOfTheFamilyIsRecognised() throws {
    let cases: [(String, String, MethodConfiguration)] = [
      (
        "ar",
        #"{"algo": {"name": "ar", "prepend_token": "bos"}, "model": {"n_heads": 4, "cond_dim": 16, "length": 24}}"#,
        MethodConfiguration(algorithm: .autoregressive, prepend: .bos, length: 24)
      ),
      (
        "ar", #"{"n_heads": 4, "length": 24}"#,
        MethodConfiguration(algorithm: .autoregressive, prepend: MethodConfiguration.Prepend.none, length: 24)
      ),
      (
        "mdlm", #"{"algo": {"name": "mdlm", "loss_type": "low_var"}, "n_heads": 4, "length": 24}"#,
        MethodConfiguration(algorithm: .maskedDiffusion, weighting: .lowVariance, length: 24)
      ),
      (
        "bd3lm", #"{"model_type": "bd3lm", "block_size": 4, "n_heads": 4, "model_length": 24}"#,
        MethodConfiguration(algorithm: .blockDiffusion, blockSize: 4, length: 24)
      ),
      (
        "esolm_a_diffusion",
        #"{"algo": {"name": "esolm", "alpha_0": 1.0, "diffusion_attn_mode": "mixed2", "sequential_attn_mode": "mixed"}, "n_heads": 4, "length": 24}"#,
        MethodConfiguration(algorithm: .esolmA, alpha0: 1, length: 24)
      ),
      (
        "esolm_b_diffusion",
        #"{"algo": {"name": "esolm", "alpha_0": 0.5, "diffusion_attn_mode": "causal", "sequential_attn_mode": "causal"}, "n_heads": 4, "length": 24}"#,
        MethodConfiguration(algorithm: .esolmB, alpha0: 0.5, length: 24)
      ),
    ]
    for (name, config, expected) in cases {
      let folder = try folder(of: name, prefix: "backbone.", config: config)
      let checkpoint = try Checkpoint(opening: folder)
      let conversion = try Conversion(checkpoint)
      #expect(conversion.method == expected, "\(config)")
      #expect((conversion.network.conditioningSize == nil) == (name == "ar"))
      _ = try checkpoint.model(conversion.network)
    }
  }

  @Test func anUnknownMethodIsNamed() throws {
    let folder = try folder(of: "mdlm", prefix: "", config: #"{"model_type": "gpt2", "n_heads": 4}"#)
    #expect(
      message { try Conversion(try Checkpoint(opening: folder)) }
        == "\(folder): its algorithm is 'gpt2', expected one of esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm; "
        + "if it is one of these, name it with --algo")
  }

  @Test func headsThatAreNotSaidAreAskedFor() throws {
    let folder = try folder(of: "mdlm", prefix: "", config: "{}")
    #expect(
      message { try Conversion(try Checkpoint(opening: folder)) }
        == "\(folder) does not say how many attention heads its network has; name them with --heads")
  }

  @Test func everythingThatDoesNotFitIsListedAtOnce() throws {
    let folder = try folder(
      of: "mdlm", prefix: "", config: #"{"model_type": "mdlm", "n_heads": 4, "n_blocks": 3, "hidden_size": 32}"#)
    let path = "\(folder)/model.safetensors"
    let file = try SafetensorsFile(contentsOf: path)
    var tensors = try file.entries.keys.sorted().map { (name: $0, tensor: try file.tensor($0)) }
    tensors.removeAll { $0.name == "blocks.0.norm1.weight" }
    for index in tensors.indices where tensors[index].name == "blocks.1.mlp.0.bias" {
      tensors[index].tensor = .zeros([7])
    }
    for index in tensors.indices where tensors[index].name == "sigma_map.mlp.0.bias" {
      tensors[index].tensor = tensors[index].tensor.to(.int64)
    }
    tensors.append((name: "lm_head.weight", tensor: .zeros([2, 2])))
    try SafetensorsFile.write(tensors, to: path)
    let text = try #require(message { try Conversion(try Checkpoint(opening: folder)) })
    #expect(text.hasPrefix("\(folder): the weights do not fit the configuration: "))
    for problem in [
      "'blocks.0.norm1.weight' [32] is missing", "'blocks.1.mlp.0.bias' has shape [7], expected [128]",
      "'blocks.2.attn_qkv.weight' [96, 32] is missing", "'blocks.2.adaLN_modulation.bias' [192] is missing",
      "'lm_head.weight' is not expected", "'sigma_map.mlp.0.bias' holds I64, expected floating-point numbers",
    ] { #expect(text.contains(problem), "\(problem)") }
    #expect(!text.contains("\n"))
  }

  // MARK: Hugging Face folders

  @Test func weightsMayLieInSeveralFiles() throws {
    let folder = try folder(
      of: "mdlm", prefix: "backbone.", config: #"{"model_type": "mdlm", "n_heads": 4, "length": 24}"#)
    let whole = try Checkpoint(opening: folder)
    let network = try Conversion(whole).network
    let tensors = try whole.weights.map { (name: "backbone.\($0.name)", tensor: try $0.tensor()) }
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    var map: [String: String] = [:]
    for (number, name) in names.enumerated() {
      let share = tensors.enumerated().filter { $0.offset % 2 == number }.map(\.element)
      try SafetensorsFile.write(share, to: "\(folder)/\(name)")
      for tensor in share { map[tensor.name] = name }
    }
    try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
    let index = "\(folder)/model.safetensors.index.json"
    try JSONFile.write(["weight_map": map], to: index)
    let sharded = try Checkpoint(opening: folder).model(network)
    for (name, tensor) in tensors { #expect(distance(sharded[String(name.dropFirst(9))], tensor) == 0) }

    map["backbone.output_layer.linear.bias"] = "model-00001-of-00002.safetensors"
    map["backbone.output_layer.linear.weight"] = "model-00001-of-00002.safetensors"
    try JSONFile.write(["weight_map": map], to: index)
    let text = try #require(message { try Conversion(try Checkpoint(opening: folder)) })
    #expect(text.contains("' is not in model-00001-of-00002.safetensors, where model.safetensors.index.json says"))

    for name in ["../secret.safetensors", "/etc/passwd", ".hidden", "a/b"] {
      map["backbone.output_layer.linear.bias"] = name
      try JSONFile.write(["weight_map": map], to: index)
      #expect(
        message { try Checkpoint(opening: folder) }
          == "\(index): field 'weight_map.backbone.output_layer.linear.bias' is '\(name)', "
          + "expected a file's name in the same folder")
    }
  }

  @Test func weightsMayBeOfTorch() throws {
    let folder = try Scratch.folder()
    try FileManager.default.copyItem(atPath: lightning("state_dict.pt"), toPath: "\(folder)/pytorch_model.bin")
    try #"{"algorithm": "esolm-b", "alpha_0": 0.25, "length": 16}"#.write(to: "\(folder)/config.json")
    let checkpoint = try Checkpoint(opening: folder)
    #expect(checkpoint.form == .huggingFace)
    #expect(try Conversion(checkpoint).network.numHeads == 2)
  }

  @Test func foldersWithoutWeightsAreRefused() throws {
    let folder = try Scratch.folder()
    #expect(
      message { try Checkpoint(opening: folder) }
        == "\(folder) is no Hugging Face folder and no run folder: it has no config.json")
    try "{}".write(to: "\(folder)/config.json")
    #expect(
      message { try Checkpoint(opening: folder) }
        == "\(folder) holds no weights: none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
        + "pytorch_model.bin.index.json")
    try "[]".write(to: "\(folder)/config.json")
    #expect(message { try Checkpoint(opening: folder) } == "\(folder)/config.json: it is no JSON object")
    #expect(
      message { try Checkpoint(opening: "\(folder)/x") } == "cannot read \(folder)/x: there is no such file or folder")
  }
}
