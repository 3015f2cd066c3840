import Checkpoints
import CommandSupport
import EsoLM
import Files
import Foundation
import RunSupport
import Runs
import Testing
import TestSupport
import Torch

/// What files say of their method, what they leave unsaid, and what they say in a roundabout way.
@Suite("Settings of published checkpoints")
struct PublishedSettingsTests {
  private static func field(_ name: String) -> String { "\(Fixtures.folder)/field_checkpoints/\(name)" }

  /// A modulated network beside a configuration.
  private func folder(_ config: String, weights: String = "mdlm") throws -> String {
    let folder = try Scratch.folder()
    try FileManager.default.copyItem(
      atPath: "\(Fixtures.path(of: weights))/weights.safetensors", toPath: "\(folder)/model.safetensors")
    try config.write(to: "\(folder)/config.json")
    return folder
  }

  private func method(_ config: String, given: ModelSettings = .init(), weights: String = "mdlm") throws
    -> MethodConfiguration
  {
    try Conversion(try Checkpoint(opening: folder(config, weights: weights)), given: given).method
  }

  private func refusal(_ config: String, given: ModelSettings = .init(), weights: String = "mdlm") throws -> String? {
    let folder = try folder(config, weights: weights)
    return message { try Conversion(try Checkpoint(opening: folder), given: given) }?
      .replacingOccurrences(of: folder, with: "x")
  }

  // MARK: What is said

  @Test(arguments: [
    ("mdlm.ckpt", MethodConfiguration(algorithm: .maskedDiffusion, length: 8)),
    ("bd3lm.ckpt", MethodConfiguration(algorithm: .blockDiffusion, blockSize: 8, keepsFirstToken: true, length: 8)),
    ("ar.ckpt", MethodConfiguration(algorithm: .autoregressive, prepend: MethodConfiguration.Prepend.none, length: 8)),
  ])
  func aLightningCheckpointOfTheFieldIsRead(file: String, expected: MethodConfiguration) throws {
    let conversion = try Conversion(try Checkpoint(opening: Self.field(file)))
    #expect(conversion.method == expected)
    #expect(conversion.network.vocabularySize == 9 && conversion.network.numHeads == 1)
    _ = try conversion.checkpoint.model(conversion.network)
  }

  @Test func whatIsNotSaidIsAskedFor() throws {
    let whole = #""n_heads": 4, "length": 24"#
    #expect(
      try refusal("{\(whole)}")
        == "x does not say its algorithm; name it with --algo (esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm)")
    #expect(
      try refusal(#"{"algorithm": "esolm-b", \#(whole)}"#) == "x does not say its alpha0; name it with --alpha0")
    #expect(try refusal(#"{"model_type": "EsoLM", "alpha_0": 0.5, \#(whole)}"#)?.contains("--algo") == true)
    #expect(
      try refusal(#"{"model_type": "bd3lm", \#(whole)}"#) == "x does not say its block size; name it with --block-size")
    #expect(try refusal(#"{"model_type": "mdlm", "n_heads": 4}"#) == "x does not say its length; name it with --length")
    #expect(
      try refusal("{}", weights: "ar")
        == "x does not say how many attention heads its network has; name them with --heads")
    // Only one method has no modulation, but without a configuration nothing is said about its texts' beginning.
    var given = ModelSettings()
    (given.network.numHeads, given.length) = (4, 24)
    #expect(
      try refusal("{}", given: given, weights: "ar") == "x does not say its prepended token; name it with --prepend")
    given.prepend = .bos
    #expect(try method("{}", given: given, weights: "ar").prepend == .bos)
  }

  @Test func whatIsGivenTakesThePlaceOfWhatIsSaid() throws {
    var given = ModelSettings()
    (given.algorithm, given.blockSize, given.length) = (.blockDiffusion, 6, 24)
    (given.noiseRange, given.keepsFirstToken) = (.fixed(low: 0.25, high: 0.75), true)
    #expect(
      try method(#"{"model_type": "gpt2", "block_size": "${nothing}", "n_heads": 4}"#, given: given)
        == MethodConfiguration(
          algorithm: .blockDiffusion, blockSize: 6, noiseRange: .fixed(low: 0.25, high: 0.75), keepsFirstToken: true,
          length: 24))
    // What belongs to another method is no option of this one.
    var other = ModelSettings()
    other.blockSize = 4
    #expect(
      try refusal(#"{"model_type": "mdlm", "n_heads": 4, "length": 24}"#, given: other)
        == "x: blockSize is 4, expected none with mdlm: it belongs to BD3-LM")
  }

  /// Folders of earlier versions left out the usual token before a text of AR.
  @Test func anEarlierFolderOfOursStandsForWhatItStoodFor() throws {
    let config = #"{"model_type": "esolm", "algorithm": "ar", "n_heads": 4, "model_length": 24}"#
    #expect(try method(config, weights: "ar").prepend == .mask)
  }

  @Test(arguments: [
    ("0.0", "bidirectional", "causal", Algorithm.esolmB),
    ("0.0", "bidirectional", "mixed", .esolmA),
    ("1.0", "mixed2", "causal", .esolmA), ("1.0", "causal", "mixed", .esolmB), ("0.5", "mixed2", "mixed", .esolmA),
  ])
  func onlyThePhasesThatThereAreTellTheVariant(
    alpha0: String, diffusion: String, sequential: String, expected: Algorithm
  ) throws {
    let config = """
      {"algo": {"name": "esolm", "alpha_0": \(alpha0), "diffusion_attn_mode": "\(diffusion)",
        "sequential_attn_mode": "\(sequential)"}, "n_heads": 4, "length": 24}
      """
    #expect(try method(config).algorithm == expected)
  }

  /// The authors' branch of 2026: clean tokens left to right is (A2).
  @Test(
    arguments: [
      ("", nil, nil), (#", "keep_clean_unshuffled": true"#, .leftToRight, nil),
      (#", "keep_clean_unshuffled": false, "keep_masks_unshuffled": true"#, nil, .leftToRight),
    ] as [(String, DiffusionOrders.Order?, DiffusionOrders.Order?)])
  func ordersOfTheDiffusionTermAreRead(
    fields: String, clean: DiffusionOrders.Order?, masks: DiffusionOrders.Order?
  ) throws {
    let config = """
      {"algo": {"name": "esolm", "alpha_0": 1.0, "diffusion_attn_mode": "causal", "loss_type": "low_var"\(fields)},
        "n_heads": 4, "length": 24}
      """
    let method = try method(config)
    #expect(method.algorithm == .esolmB && method.cleanOrder == clean && method.maskOrder == masks)
    let orders = try method.method(for: TextTokens(mask: 0, beginning: 0, end: 0)).diffusionOrders
    #expect(orders == DiffusionOrders(clean: clean ?? .random, masks: masks ?? .random))
    #expect(try self.method(#"{"algorithm": "esolm-a2", "n_heads": 4, "length": 24}"#).algorithm == .esolmA2)
  }

  // MARK: What is computed otherwise, or is no setting

  @Test(arguments: [
    (#""time_conditioning": true"#, "time_conditioning is true, expected false"),
    (#""algo": {"name": "mdlm", "time_conditioning": true}"#, "time_conditioning is true, expected false"),
    (#""parameterization": "d3pm""#, "parameterization is 'd3pm', expected subs or ar"),
    (
      #""algo": {"name": "sedd", "parameterization": "score"}"#, "algo.parameterization is 'score', expected subs or ar"
    ),
    (#""diffusion": "uniform""#, "diffusion is 'uniform', expected absorbing_state"),
    (#""model_type": "duo""#, "its algorithm is 'duo', expected one of esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm"),
    (
      #""algorithm": "esolm-b", "alpha_0": 1, "clean_order": "up""#,
      "clean_order is 'up', expected one of random, left-to-right"
    ),
    (
      #""algo": {"name": "esolm", "alpha_0": 0.5, "diffusion_attn_mode": "causal", "sequential_attn_mode": "causal", "keep_clean_unshuffled": true}"#,
      "cleanOrder is left-to-right, expected random, but for Eso-LM (B) with alpha0 1"
    ),
    (#""n_blocks": "two""#, "n_blocks is 'two', expected a whole number"),
    (#""n_blocks": 2.5"#, "n_blocks is '2.5', expected a whole number"),
    (#""model_type": "mdlm", "loss_type": "half""#, "loss_type is 'half', expected one of elbo, low_var"),
    (#""prepend_token": "x""#, "prepend_token is 'x', expected one of none, bos, mask; name it with --prepend"),
    (#""ignore_bos": 1"#, "ignore_bos is '1', expected true or false; name it with --keep-first-token"),
  ])
  func whatCannotBeHonouredIsNamed(fields: String, problem: String) throws {
    let text = try #require(try refusal(#"{"n_heads": 4, "length": 24, \#(fields)}"#))
    #expect(text.hasPrefix("x: \(problem)"), "\(text)")
  }

  @Test(arguments: [
    #""n_heads": -9223372036854775808"#, #""n_heads": 9223372036854775807"#, #""hidden_size": -9223372036854775808"#,
    #""hidden_size": 9223372036854775807"#, #""n_blocks": 9223372036854775807"#,
    #""n_blocks": -9223372036854775808"#, #""cond_dim": -9223372036854775808"#,
    #""mask_index": -9223372036854775808"#, #""mask_index": 9223372036854775807"#, #""length": 9223372036854775807"#,
    #""length": -9223372036854775808"#, #""dropout": 1e300"#, #""model_type": "bd3lm", "block_size": 0"#,
    #""model_type": "bd3lm", "block_size": -9223372036854775808"#,
    #""model_type": "bd3lm", "block_size": 4, "sampling_eps_min": 0.9, "sampling_eps_max": 0.1"#,
    #""model_type": "bd3lm", "block_size": 4, "sampling_eps_min": -5"#,
    #""algorithm": "esolm-b", "alpha_0": -1e300"#,
  ])
  func impossibleNumbersAreNamed(fields: String) throws {
    // Of a field that is there twice the last counts.
    let config = #"{"model_type": "mdlm", "n_heads": 4, "length": 24, \#(fields)}"#
    #expect(try refusal(config)?.hasPrefix("x: ") == true)
  }

  /// A vocabulary is looked at where the tensors do not agree on one.
  @Test func impossibleVocabulariesAndBlockNumbersAreNamed() throws {
    let tensors = try SafetensorsFile(contentsOf: "\(Fixtures.path(of: "mdlm"))/weights.safetensors")
    func write(_ change: (String) -> String?) throws -> String {
      let path = "\(try Scratch.folder())/weights.safetensors"
      try SafetensorsFile.write(
        try tensors.entries.keys.sorted().compactMap { name in try change(name).map { ($0, try tensors.tensor(name)) }
        },
        metadata: [
          "esolm.config": #"{"model_type": "mdlm", "n_heads": 4, "length": 24, "vocab_size": -9223372036854775808}"#
        ], to: path)
      return path
    }
    let headless = try write { $0.hasPrefix("output_layer.linear") ? nil : $0 }
    #expect(
      message { try Conversion(try Checkpoint(opening: headless)) }
        == "\(headless): vocabularySize is \(Int.min), expected 2 to 16777216")
    for number in ["\(Int.max)", "\(Int.min)", "1024", "99999999999999999999"] {
      let path = try write { $0.replacingOccurrences(of: "blocks.0.norm1", with: "blocks.\(number).norm1") }
      #expect(
        message { try Conversion(try Checkpoint(opening: path)) }
          == "\(path): the weights do not fit the configuration: 'blocks.0.norm1.weight' [32] is missing; "
          + "'blocks.\(number).norm1.weight' is not expected")
    }
  }

  /// A step that is none is not kept, so that what is written is a run.
  @Test(arguments: ["-5", "9223372036854775807", "many"]) func aConvertedRunOpens(step: String) throws {
    let path = "\(try Scratch.folder())/x.safetensors"
    let file = try SafetensorsFile(contentsOf: "\(Fixtures.path(of: "mdlm"))/weights.safetensors")
    try SafetensorsFile.write(
      try file.entries.keys.sorted().map { ($0, try file.tensor($0)) },
      metadata: ["step": step, "esolm.config": #"{"model_type": "mdlm", "n_heads": 4, "length": 24}"#], to: path)
    let run = "\(try Scratch.folder())/run"
    try Conversion(try Checkpoint(opening: path)).write(to: run, as: .run)
    #expect(try RunFolder(opening: run).savedStep() == 0)
  }

  // MARK: References

  @Test(arguments: [
    (#"{"block_size": "${model.length}", "model": {"length": 24}}"#, 24),
    (#"{"model": {"length": 24}, "algo": {"block_size": "${.size}", "size": 6}}"#, 6),
    (#"{"model": {"length": 24}, "algo": {"block_size": "${..model.length}"}}"#, 24),
    (#"{"model": "${other}", "other": {"length": 24, "size": 8}, "block_size": "${model.size}"}"#, 8),
    (#"{"block_size": "${a.${which}}", "which": "b", "a": {"b": "${..c}"}, "c": 12, "length": 24}"#, 12),
  ])
  func aSettingMayReferToAnother(config: String, expected: Int) throws {
    let config = config.dropLast() + #", "model_type": "bd3lm", "n_heads": 4}"#
    let found = try method(String(config))
    #expect(found.blockSize == expected && found.length == 24)
  }

  @Test func aReferenceMayBePartOfAText() throws {
    let config =
      #"{"algo": {"name": "${kind}lm"}, "kind": "bd${number}", "number": 3, "block_size": 4, "length": 24, "n_heads": 4}"#
    #expect(try method(config).algorithm == .blockDiffusion)
  }

  @Test(arguments: [
    (#""block_size": "${block_size}""#, "block_size is '${block_size}', which leads in a circle"),
    (#""block_size": "${a}", "a": "${b}", "b": "${a}""#, "block_size is '${a}', which leads in a circle"),
    (#""block_size": "x${a}", "a": "${a}${a}""#, "block_size is '${a}${a}', which leads in a circle"),
    (
      #""block_size": "${nothing.there}""#,
      "block_size is '${nothing.there}', which refers to nothing that the file holds"
    ),
    (#""block_size": "${....length}""#, "block_size is '${....length}', which refers to nothing that the file holds"),
    (#""block_size": "${env:HOME}""#, "block_size is '${env:HOME}', which refers to nothing that the file holds"),
    (#""block_size": "${eval:\"2 * 3\"}""#, "block_size is '${eval:\"2 * 3\"}', which refers to nothing"),
  ])
  func aReferenceThatLeadsNowhereIsNamed(fields: String, problem: String) throws {
    let text = try #require(try refusal(#"{"model_type": "bd3lm", "n_heads": 4, "length": 24, \#(fields)}"#))
    #expect(text.hasPrefix("x: \(problem)"), "\(text)")
    #expect(text.hasSuffix("; name it with --block-size"))
  }

  /// Texts that double at every step would fill memory if they were written out.
  @Test func referencesThatMultiplyAreRefused() throws {
    let fields = (0..<40).map { #""a\#($0)": "${a\#($0 + 1)}${a\#($0 + 1)}""# }.joined(separator: ", ")
    let text = try refusal(#"{"model_type": "${a0}", \#(fields), "a40": "long enough"}"#)
    #expect(text?.hasPrefix("x: model_type is '${a0}', which") == true || text?.contains("which leads") == true)
  }

  // MARK: There and back

  @Test(arguments: [
    MethodConfiguration(
      algorithm: .blockDiffusion, blockSize: 4, noiseRange: .fixed(low: 0.3, high: 0.8), resamplesMasks: true,
      keepsFirstToken: true, length: 24),
    MethodConfiguration(algorithm: .blockDiffusion, blockSize: 12, noiseRange: .search, length: 24),
    MethodConfiguration(algorithm: .autoregressive, prepend: .bos, length: 24),
    MethodConfiguration(algorithm: .autoregressive, prepend: MethodConfiguration.Prepend.none, length: 24),
    MethodConfiguration(algorithm: .autoregressive, prepend: .mask, length: 24),
    MethodConfiguration(algorithm: .maskedDiffusion, weighting: .lowVariance, length: 24),
    MethodConfiguration(algorithm: .esolmA, alpha0: 1, weighting: .lowVariance, length: 24),
  ])
  func everySettingSurvivesEveryForm(method: MethodConfiguration) throws {
    var older = method
    // Runs from before this could be said, and what becomes of them.
    if method.startToken != nil { older.startToken = .end }
    for method in Set([method.startToken, older.startToken]).map({ token in
      var method = method
      method.startToken = token
      return method
    }) { try expectSurvival(of: method) }
  }

  private func expectSurvival(of method: MethodConfiguration) throws {
    let run = try TinyRun.make(method)
    let folder = try Scratch.folder()
    var path = run.path
    for target in [Conversion.Target.huggingFace, .run, .safetensors, .run] {
      let next = "\(folder)/\(target.rawValue)-\(path.count)"
      try Conversion(try Checkpoint(opening: path)).write(to: next, as: target)
      path = next
      // A file's name need not say what it is.
      if target == .safetensors { #expect(try Checkpoint(opening: path).form == .safetensors) }
      #expect(try Conversion(try Checkpoint(opening: path)).method == method, "\(target)")
      #expect(try InitialWeights(opening: path).method == method)
    }
    #expect(try RunFolder(opening: path).configuration.method == method)
  }

  /// The range that training had come to stands among the tensors.
  @Test func aClippedScheduleIsRead() throws {
    #expect(
      try method(
        #"{"model_type": "bd3lm", "n_heads": 4, "length": 24, "block_size": 4, "training": {"sampling_eps_min": 0.45, "sampling_eps_max": 0.95}}"#
      ).noiseRange == .fixed(low: 0.45, high: 0.95))
    #expect(
      try method(
        #"{"model_type": "bd3lm", "n_heads": 4, "length": 24, "block_size": 4, "sampling_eps_min": 0.001, "sampling_eps_max": 1}"#
      ).noiseRange == nil)
    let folder = try folder(
      #"{"model_type": "bd3lm", "n_heads": 4, "length": 24, "block_size": 4, "var_min": true, "clip_search_widths": [0.5]}"#
    )
    #expect(try Conversion(try Checkpoint(opening: folder)).method.noiseRange == .search)
    let file = try SafetensorsFile(contentsOf: "\(folder)/model.safetensors")
    try SafetensorsFile.write(
      try file.entries.keys.sorted().map { ($0, try file.tensor($0)) }
        + [("sampling_eps_min", .full([], 0.25)), ("sampling_eps_max", .full([], 0.75))],
      to: "\(folder)/model.safetensors")
    #expect(
      try Conversion(try Checkpoint(opening: folder)).method.noiseRange == .fixed(low: 0.25, high: 0.75))
  }

  @Test func aBareFileTakesTheConfigurationBesideIt() throws {
    let folder = try folder(#"{"model_type": "mdlm", "n_heads": 4, "length": 24}"#)
    let checkpoint = try Checkpoint(opening: "\(folder)/model.safetensors")
    #expect(checkpoint.form == .safetensors)
    #expect(try Conversion(checkpoint).method.algorithm == .maskedDiffusion)
    // A file of another name may lie beside any configuration.
    try FileManager.default.moveItem(atPath: "\(folder)/model.safetensors", toPath: "\(folder)/other.safetensors")
    #expect(
      message { try Conversion(try Checkpoint(opening: "\(folder)/other.safetensors")) }?.contains("--heads") == true)
    let run = try TinyRun.make()
    let ofRun = try Conversion(try Checkpoint(opening: "\(run.path)/model.safetensors"))
    #expect(ofRun.method == run.configuration.method && ofRun.tokenizer != nil)
  }
}
