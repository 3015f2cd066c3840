import CommandSupport
import EsoLM
import Foundation
import TestSupport
import Testing
import Tokenizers
import Torch

@Suite("The commands inspect and convert, and train --init-from")
struct CheckpointCommandTests {
  private var fixture: String { Fixtures.path(of: "lightning_checkpoint") }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  // MARK: inspect

  @Test func inspectShowsWhatACheckpointHolds() async throws {
    let result = try await Esolm.succeed(["inspect", "\(fixture)/esolm.ckpt"])
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(lines[0] == "\(fixture)/esolm.ckpt: Lightning checkpoint, step 5")
    #expect(lines[1] == "  weights: 30 tensors, 11617 parameters")
    #expect(lines[2] == "  moving average of the weights, decay 0.9, 5 updates")
    #expect(
      lines[3]
        == "  loads as esolm-b, alpha0 0.25, length 16: width 16, 2 blocks, 2 heads, conditioning 8, vocabulary 33, mask 32"
    )
    #expect(lines.contains { $0.wholeMatch(of: #/  blocks\.1\.attn_qkv\.weight +F32 +48 × 16/#) != nil })
    #expect(lines.contains("    algo.alpha_0: 0.25"))
    #expect(lines.contains("    tokenizer: <dataloader.SyntheticTokenizer>"))
  }

  @Test func inspectSaysWhatWouldNotLoad() async throws {
    let result = try await Esolm.succeed(["inspect", "\(fixture)/wrong_shape.ckpt"])
    #expect(
      result.output.contains("  does not load:\n    'blocks.1.attn_qkv.weight' has shape [48, 15], expected [48, 16]\n")
    )
    let json = try object(try await Esolm.succeed(["inspect", "\(fixture)/wrong_shape.ckpt", "--json"]).output)
    #expect((json["problems"] as? [String])?.count == 1)
    #expect(json["network"] == nil)
  }

  @Test func inspectPrintsJSON() async throws {
    let json = try object(try await Esolm.succeed(["inspect", "\(fixture)/esolm.ckpt", "--json"]).output)
    #expect(json["form"] as? String == "lightning" && json["step"] as? Int == 5)
    #expect((json["tensors"] as? [[String: Any]])?.count == 30)
    #expect((json["method"] as? [String: Any])?["algorithm"] as? String == "esolm-b")
    #expect(((json["hyperParameters"] as? [String: Any])?["model"] as? [String: Any])?["n_heads"] as? Int == 2)
    #expect(json["problems"] as? [String] == [])
  }

  @Test func aRunIsInspectedToo() async throws {
    let run = try await Esolm.trained()
    let result = try await Esolm.succeed(["inspect", run])
    #expect(result.output.hasPrefix("\(run): run folder, step 60\n"))
    #expect(result.output.contains("loads as esolm-b, alpha0 0.5, length 16"))
  }

  // MARK: convert

  @Test func aPublishedCheckpointIsConvertedSampledAndConvertedBack() async throws {
    let folder = try Scratch.folder()
    let first = try await Esolm.succeed(["convert", "\(fixture)/esolm.ckpt", "\(folder)/run"])
    #expect(
      first.output
        == "wrote \(folder)/run (run): esolm-b, step 5, 11617 parameters, weights: the last step's and their moving average\n"
    )
    #expect(first.error.hasPrefix("esolm: note: no tokenizer was found, so text is token ids as numbers"))
    let sample = try await Esolm.succeed(["sample", "\(folder)/run"]).output
    #expect(sample.split(whereSeparator: \.isWhitespace).allSatisfy { (0..<32).contains(Int($0) ?? -1) })

    let json = try object(
      try await Esolm.succeed(["convert", "\(folder)/run", "\(folder)/hf", "--to", "hugging-face", "--json"]).output)
    #expect(json["form"] as? String == "hugging-face" && json["parameters"] as? Int == 11617)
    try await Esolm.succeed(["convert", "\(folder)/hf", "\(folder)/bare.safetensors"])
    try await Esolm.succeed(["convert", "\(folder)/bare.safetensors", "\(folder)/again"])
    #expect(try await Esolm.succeed(["sample", "\(folder)/again"]).output == sample)
    #expect(
      try await Esolm.run(["convert", "\(folder)/hf", "\(folder)/run"]).error
        == "esolm: error: \(folder)/run already exists; name a new folder\n")
  }

  @Test(arguments: [
    (
      "truncated.ckpt",
      "is no whole zip file: the directory at its end is missing, so it may be cut off (it has 131208 bytes)"
    ),
    (
      "wrong_shape.ckpt",
      ": the weights do not fit the configuration: 'blocks.1.attn_qkv.weight' has shape [48, 15], expected [48, 16]"
    ),
    ("state_dict.pt", "does not say its algorithm; name it with --algo (esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm)"),
    (
      "inputs.safetensors",
      "holds no network of this family: it has no tensor 'vocab_embed.embedding' of two dimensions (it begins with 'order')"
    ),
    ("config.json", "is not a file of torch.save (a zip archive) or a safetensors file"),
    ("none.ckpt", ": there is no such file or folder"),
  ])
  func whatCannotBeConvertedIsOneClearLine(file: String, problem: String) async throws {
    let folder = try Scratch.folder()
    let result = try await Esolm.run(["convert", "\(fixture)/\(file)", "\(folder)/out"])
    #expect(result.status == 1)
    #expect(result.output == "")
    #expect(result.error.hasPrefix("esolm: error: "))
    #expect(result.error.contains(file) && result.error.contains(problem), "\(result.error)")
    #expect(result.error.split(separator: "\n").count == 1)
    #expect(try Scratch.snapshot(folder) == [:])
  }

  private static let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

  /// A file that is something else is called by its name, whatever it is read for.
  @Test(arguments: [
    ("last.ckpt", pointer, "a Git LFS pointer, not the file itself"), ("x.safetensors", pointer, "a Git LFS pointer"),
    ("last.ckpt", "<!DOCTYPE html><html></html>", "an HTML page"), ("x.pt", "GGUF\u{3}\0\0\0", "a GGUF file"),
    ("last.ckpt", "hello", "not a file of torch.save (a zip archive) or a safetensors file"),
    ("last.ckpt", "", "empty, expected a file of torch.save"),
    ("folder/model.safetensors", pointer, "a Git LFS pointer"),
    ("folder/pytorch_model.bin", pointer, "a Git LFS pointer"),
  ])
  func aFileThatIsSomethingElseIsCalledSo(name: String, contents: String, kind: String) async throws {
    let folder = try Scratch.folder()
    let path = "\(folder)/\(name)"
    try FileManager.default.createDirectory(atPath: "\(folder)/folder", withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(folder)/folder/config.json"))
    try Data(contents.utf8).write(to: URL(fileURLWithPath: path))
    let input = name.hasPrefix("folder") ? "\(folder)/folder" : path
    let data = try Scratch.file(Esolm.text.utf8)
    for arguments in [
      ["inspect", input], ["convert", input, "\(folder)/out"],
      ["train", "--init-from", input, "--data", data, "--out", "\(folder)/out"],
    ] {
      let result = try await Esolm.run(arguments)
      #expect(result.status == 1)
      #expect(result.error.hasPrefix("esolm: error: \(path) is \(kind)"), "\(result.error)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/out"))
    }
  }

  @Test func whatCannotBePrintedIsAnError() async throws {
    let folder = try Scratch.folder()
    for arguments in [
      ["inspect", "\(fixture)/esolm.ckpt"], ["inspect", "\(fixture)/esolm.ckpt", "--json"],
      ["convert", "\(fixture)/esolm.ckpt", "\(folder)/a"],
      ["convert", "\(fixture)/esolm.ckpt", "\(folder)/b", "--json"],
    ] {
      for (number, output) in [">/dev/full", ">&-"].enumerated() {
        let last = arguments[0] == "convert" ? [arguments[2] + "\(number)"] : []
        let words = Array(arguments.prefix(2)) + last + arguments.dropFirst(last.isEmpty ? 2 : 3)
        let result = try await Command.run(
          "/bin/sh", ["-c", #"exec "$0" "$@" "# + output, Esolm.executable()] + words, environment: Esolm.environment)
        #expect(result.status == 1)
        #expect(result.error.contains("esolm: error: cannot write the output: "), "\(result.error)")
      }
    }
  }

  /// Weights that are no numbers, and a configuration that promises more ids than there are.
  @Test func whatCannotBeMeasuredIsRefused() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let network = TransformerConfiguration(
      vocabularySize: 258, maskToken: 257, hiddenSize: 8, numBlocks: 1, numHeads: 2, conditioningSize: 4)
    let tensors = try TransformerWeights(network, seed: 1).namedParameters.map { name, tensor in
      (name: name, tensor: name == "output_layer.linear.bias" ? tensor * .nan : tensor)
    }
    try SafetensorsFile.write(tensors, to: "\(folder)/model.safetensors")
    try TokenizerFile.data(for: ByteTokenizer()).write(to: URL(fileURLWithPath: "\(folder)/tokenizer.json"))
    func describe(_ ids: Int) throws {
      try Data(#"{"model_type": "mdlm", "n_heads": 2, "model_length": 8, "vocab_size": \#(ids)}"#.utf8)
        .write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    }
    try describe(300)
    let promised = try await Esolm.run(["convert", folder, "\(folder)/run"])
    #expect(promised.status == 1)
    #expect(
      promised.error
        == "esolm: error: \(folder): its configuration names a vocabulary of 300, its tensors have 258 ids\n")
    try describe(258)
    try await Esolm.succeed(["convert", folder, "\(folder)/run"])
    let sets = try Scratch.folder()
    try Data(Esolm.text.utf8).write(to: URL(fileURLWithPath: "\(sets)/ptb.txt"))
    for command in [
      ["eval", "ppl", "\(folder)/run", "--data", data], ["eval", "zero-shot", "\(folder)/run", "--data-dir", sets],
      ["sample", "\(folder)/run"],
    ] {
      let result = try await Esolm.run(command)
      #expect(result.status == 1 && result.output.isEmpty)
      #expect(
        result.error.hasSuffix(
          "esolm: error: the network's logits are NaN; its weights are damaged or training diverged\n"))
    }
  }

  /// A vocabulary that was padded keeps its tokenizer; ids that no token has are written as U+FFFD.
  @Test func aPaddedVocabularyKeepsItsTokenizer() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let network = TransformerConfiguration(
      vocabularySize: 264, maskToken: 257, hiddenSize: 8, numBlocks: 1, numHeads: 2, conditioningSize: 4)
    // Nothing but an id that no token has is ever likely.
    let tensors = try TransformerWeights(network, seed: 1).namedParameters.map { name, tensor in
      let bias = (0..<264).map { Float($0 == 260 ? 50 : 0) }
      return (name: name, tensor: name == "output_layer.linear.bias" ? Tensor(bias) : tensor)
    }
    try SafetensorsFile.write(tensors, to: "\(folder)/model.safetensors")
    try Data(#"{"model_type": "mdlm", "n_heads": 2, "model_length": 8}"#.utf8)
      .write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    try TokenizerFile.data(for: ByteTokenizer()).write(to: URL(fileURLWithPath: "\(folder)/tokenizer.json"))

    let asked = try await Esolm.run(["convert", folder, "\(folder)/run"])
    #expect(asked.status == 1)
    #expect(
      asked.error
        == "esolm: error: \(folder): its vocabulary has 264 ids and the tokenizer 257 tokens; name the mask token's id "
        + "with --mask-token (257 is the first that no token has)\n")
    let note =
      "esolm: note: the vocabulary of 264 ids is larger than the tokenizer's 257 tokens; ids that no token has are "
      + "written as \u{FFFD}\n"
    var input = folder
    for (output, options) in [
      ("run", ["--mask-token", "257"]), ("hf", ["--to", "hugging-face"]), ("again", []),
    ] {
      let result = try await Esolm.succeed(["convert", input, "\(folder)/\(output)"] + options)
      #expect(result.error == note)
      input = "\(folder)/\(output)"
    }
    #expect(
      try await Esolm.succeed(["sample", input]).output
        == String(repeating: "\u{FFFD}", count: 8) + "\n")
    try await Esolm.succeed(["eval", input, "--data", data])
    try await Esolm.succeed(
      ["train", "--init-from", input, "--data", data, "--out", "\(folder)/trained", "--steps", "1", "--batch", "2"])
    try await Esolm.succeed(["train", "--resume", "\(folder)/trained", "--steps", "2"])
    // A tokenizer that a run was not made with is no padding.
    try TokenizerFile.data(for: CharacterTokenizer(text: "ab")).write(
      to: URL(fileURLWithPath: "\(input)/tokenizer.json"))
    #expect(
      try await Esolm.run(["sample", input]).error
        == "esolm: error: \(input)/tokenizer.json has 3 tokens, expected 257 as \(input)/config.json says\n")
  }

  /// Paths of one letter are paths too.
  @Test func aPathMayBeOneLetter() async throws {
    let folder = try Scratch.folder()
    let script = #"cd "$1" && "$0" convert "$2" r && "$0" convert r h --to hugging-face && exec "$0" inspect h"#
    let result = try await Command.run(
      "/bin/sh", ["-c", script, Esolm.executable(), folder, "\(fixture)/esolm.ckpt"], environment: Esolm.environment)
    #expect(result.status == 0, "\(result.error)")
    #expect(result.output.contains("h: Hugging Face folder, step 5\n"))
  }

  @Test func aHostileCheckpointHasNoEffect() async throws {
    let folder = try Scratch.folder()
    let script = #"cd "$1" && exec "$0" inspect "$2""#
    let result = try await Command.run(
      "/bin/sh", ["-c", script, Esolm.executable(), folder, "\(fixture)/hostile.ckpt"], environment: Esolm.environment)
    #expect(result.status == 0)
    #expect(try Scratch.snapshot(folder) == [:])
    for place in [NSTemporaryDirectory(), NSHomeDirectory(), fixture] {
      #expect(try !FileManager.default.contentsOfDirectory(atPath: place).contains { $0.contains("pwned") })
    }
  }

  @Test(arguments: [
    (["convert", "a"], "1 paths are given, expected two: what to read and what to write"),
    (["convert", "a", "b", "--from-hub", "o/n"], "2 paths are given, expected one with --from-hub: what to write"),
    (["convert", "a", "b", "--revision", "v1"], "--revision goes with --from-hub only"),
    (["inspect"], "name a file or folder, or a repository with --from-hub, one of the two"),
    (["inspect", "a", "--from-hub", "o/n"], "name a file or folder, or a repository with --from-hub, one of the two"),
    (["inspect", "--from-hub", "name"], "--from-hub: 'name' is no name of a model repository, expected OWNER/NAME"),
  ])
  func wrongUsageIsNamed(arguments: [String], problem: String) async throws {
    let result = try await Esolm.run(arguments)
    #expect(result.status == 2)
    #expect(result.error == "esolm: error: \(problem) (see esolm \(arguments[0]) --help)\n")
  }

  @Test func aModelIsFetchedFromAHub() async throws {
    let folder = try Scratch.folder()
    try await Esolm.succeed(["convert", "\(fixture)/esolm.ckpt", "\(folder)/hf", "--to", "hugging-face"])
    func file(_ name: String) async throws -> LocalHub.File {
      let path = "\(folder)/hf/\(name)"
      let sum = try await Command.run("/usr/bin/env", ["sha256sum", path]).output.prefix(64)
      return LocalHub.File(name, try Data(contentsOf: URL(fileURLWithPath: path)), checksum: String(sum), isLarge: true)
    }
    let hub = try LocalHub([try await file("config.json"), try await file("model.safetensors")])
    hub.cut(after: [100_000, 20_000])
    let environment = ["HF_ENDPOINT": hub.address, "HF_HOME": "\(folder)/home"].merging(Esolm.environment) { $1 }
    let result = try await Command.run(
      Esolm.executable(), ["convert", "--from-hub", "owner/name", "\(folder)/run"], environment: environment)
    #expect(result.status == 0, "\(result.error)")
    #expect(hub.requests.contains { $0.range == 20_000 })
    let direct = try await Esolm.succeed(["convert", "\(folder)/hf", "\(folder)/direct"])
    #expect(direct.status == 0)
    #expect(
      try await Esolm.succeed(["sample", "\(folder)/run"]).output
        == Esolm.succeed(["sample", "\(folder)/direct"]).output)
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/home/hub") == ["models--owner--name"])
  }

  // MARK: train

  @Test func aRunStartsFromAnotherAtALongerLength() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    let from = try await Esolm.trained()
    try await Esolm.succeed([
      "train", "--data", data, "--out", "\(folder)/longer", "--init-from", from, "--length", "64", "--alpha0", "0.25",
      "--steps", "3", "--batch", "4",
    ])
    let json = try object(try await Esolm.succeed(["inspect", "\(folder)/longer", "--json"]).output)
    let method = try #require(json["method"] as? [String: Any])
    #expect(method["length"] as? Int == 64 && method["alpha0"] as? Double == 0.25)
    #expect(try await Esolm.succeed(["sample", "\(folder)/longer"]).output.unicodeScalars.count > 16)
    let refused = try await Esolm.run([
      "train", "--data", data, "--out", "\(folder)/x", "--init-from", from, "--tokenizer", "bytes",
    ])
    #expect(refused.status == 2)
    #expect(
      refused.error
        == "esolm: error: --tokenizer is bytes, expected none with --init-from \(from), which has a tokenizer of its own "
        + "(see esolm train --help)\n")
  }

  /// What a run was trained to do is kept by those that are made of it.
  @Test func theObjectiveIsKept() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(Esolm.text.utf8))
    func method(_ run: String) async throws -> [String: Any]? {
      try object(try await Esolm.succeed(["inspect", run, "--json"]).output)["method"] as? [String: Any]
    }
    let sizes = ["--hidden-size", "16", "--blocks", "1", "--heads", "2", "--length", "16"]
    let steps = ["--data", data, "--steps", "1", "--batch", "2"]
    try await Esolm.succeed(
      ["train", "--out", "\(folder)/any", "--objective", "any-order", "--left-to-right-share", "0.5"] + sizes + steps)
    try await Esolm.succeed(["train", "--out", "\(folder)/further", "--init-from", "\(folder)/any"] + steps)
    try await Esolm.succeed(["convert", "\(folder)/any", "\(folder)/copy"])
    for run in ["any", "further", "copy"] {
      let method = try await method("\(folder)/\(run)")
      #expect(method?["objective"] as? String == "any-order" && method?["leftToRightShare"] as? Double == 0.5, "\(run)")
    }
    try await Esolm.succeed(
      ["train", "--out", "\(folder)/paper", "--init-from", "\(folder)/any", "--objective", "paper"] + steps)
    #expect(try await method("\(folder)/paper")?["leftToRightShare"] == nil)
  }

  /// What weights do not say themselves is asked for, and what is given is taken, unless they say it.
  @Test func weightsThatDoNotSayTheirMethodAreTold() async throws {
    let (folder, data) = (try Scratch.folder(), try Scratch.file(String(repeating: "a b c d e\n", count: 20).utf8))
    let weights = "\(Fixtures.folder)/field_checkpoints/nested.pt"
    func train(_ options: [String]) async throws -> CommandOutput {
      try await Esolm.run(
        ["train", "--init-from", weights, "--data", data, "--out", "\(folder)/run", "--steps", "1", "--batch", "2"]
          + options)
    }
    #expect(
      try await train(["--length", "8"]).error
        == "esolm: error: \(weights) does not say its algorithm; name it with --algo "
        + "(esolm-b, esolm-a, esolm-a2, ar, mdlm, bd3lm)\n")
    let result = try await train(["--length", "8", "--algo", "bd3lm", "--noise-range", "0.2,0.9", "--keep-first-token"])
    #expect(result.status == 0, "\(result.error)")
    let json = try object(try await Esolm.succeed(["inspect", "\(folder)/run", "--json"]).output)
    let method = try #require(json["method"] as? [String: Any])
    #expect(method["blockSize"] as? Int == 4 && method["noiseRange"] as? String == "0.2,0.9")
    #expect(method["keepsFirstToken"] as? Bool == true)
  }

  @Test func aConvertedRunHasNothingToGoOnWith() async throws {
    let folder = try Scratch.folder()
    try await Esolm.succeed(["convert", "\(fixture)/esolm.ckpt", "\(folder)/run"])
    let result = try await Esolm.run(["train", "--resume", "\(folder)/run"])
    #expect(result.status == 1)
    #expect(
      result.error
        == "esolm: error: \(folder)/run was converted from \(fixture)/esolm.ckpt, so there is nothing to go on with; "
        + "start a new run from it with --init-from\n")
  }

  @Test func resumingSaysWhatItPassesOver() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    let run = "\(try Scratch.folder())/run"
    try await Esolm.succeed(
      ["train", "--data", data, "--out", run, "--steps", "30", "--save-every", "10", "--keep-best"] + Esolm.tiny)
    let weights = "\(run)/checkpoints/step-00000030/model.safetensors"
    try FileManager.default.removeItem(atPath: weights)
    let result = try await Esolm.succeed(["train", "--resume", run, "--steps", "40"])
    #expect(
      result.error.hasPrefix(
        "esolm: note: a newer checkpoint was skipped: cannot read \(weights): there is no such file; going on from step 20\n"
      ))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest") == "checkpoints/step-00000040")
    try await Esolm.succeed(["sample", run, "--best"])
  }
}
