import CommandSupport
import Foundation
import Testing

@Suite("esolm train")
struct TrainCommandTests {
  private struct Line: Decodable {
    var step: Int
    var loss: Double
    var learningRate: Double
    var tokensPerSecond: Double
    var validationNELBO: Double?
    var validationPerplexity: Double?
  }

  @Test func aRunFolderHasAllItsFiles() async throws {
    let run = try await Esolm.trained()
    let files = try Scratch.snapshot(run)
    for name in ["config.json", "tokenizer.json", "metrics.jsonl", "model.safetensors", "ema.safetensors"] {
      #expect(files[name]?.isEmpty == false, "\(name)")
    }
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/latest") == "checkpoints/step-00000060")
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints") == ["step-00000060"])
  }

  @Test func metricsAreLinesOfJSON() async throws {
    let text = try await String(contentsOfFile: "\(Esolm.trained())/metrics.jsonl", encoding: .utf8)
    let lines = try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    #expect(text.hasSuffix("\n"))
    #expect(lines.map(\.step) == [10, 20, 25, 30, 40, 50, 60])
    #expect(lines.filter { $0.validationNELBO != nil }.map(\.step) == [25, 50, 60])
    #expect(lines.allSatisfy { $0.loss.isFinite && $0.tokensPerSecond > 0 && $0.learningRate == 0.01 })
    #expect(lines.compactMap(\.validationPerplexity).allSatisfy { (1..<21).contains($0) })
  }

  @Test func progressIsShownOnStandardError() async throws {
    let output = try await Esolm.trainingOutput()
    let lines = output.error.split(separator: "\n")
    #expect(output.output == "")
    #expect(lines.first?.hasSuffix("text.txt: read 1 document, 1361 tokens") == true)
    let step =
      #/step 1/60  loss \d+\.\d{4} \(\d+\.\d\d \+ \d+\.\d\d\)  \S+ tokens/s  ETA \d+:\d\d  norm \S+  lr \S+(  \S+ GB)?/#
    #expect(lines.dropFirst().first?.wholeMatch(of: step) != nil, "\(lines.dropFirst().first ?? "")")
    let validation = #/step (25|50|60)  validation NELBO \d+\.\d{4} nats/token, perplexity \d+\.\d{3}/#
    #expect(lines.count { $0.wholeMatch(of: validation) != nil } == 3)
  }

  @Test func theSameSeedTrainsTheSameWeights() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    var weights: [Data] = []
    for seed in ["5", "5", "6"] {
      let run = "\(try Scratch.folder())/run"
      try await Esolm.succeed(["train", "--data", data, "--out", run, "--seed", seed, "--steps", "8"] + Esolm.tiny)
      weights.append(try Data(contentsOf: URL(fileURLWithPath: "\(run)/model.safetensors")))
    }
    #expect(weights[0] == weights[1])
    #expect(weights[0] != weights[2])
  }

  @Test(
    arguments: [
      ["--alpha0", "0", "--batch", "1"], ["--alpha0", "1", "--loss", "low_var"], ["--tokenizer", "bytes"],
      ["--objective", "any-order", "--batch", "1"],
      ["--objective", "any-order", "--alpha0", "1", "--left-to-right-share", "0.25"],
      ["--dropout", "0", "--weight-decay", "0.1", "--clip", "0.5", "--ema", "0.9", "--warmup", "2"],
      ["--bf16", "--validation-fraction", "0.3", "--validation-sequences", "2", "--save-every", "3"],
      ["--micro-batch", "2", "--recompute", "--sample-texts", "1", "--keep-best", "--keep-last", "3"],
      ["--decay", "cosine", "--final-share", "0.1"],
      ["--decay", "step", "--decay-every", "2", "--decay-factor", "0.9"],
      ["--threads", "2", "--device", "cpu", "--model", "tiny"],
      ["--algo", "esolm-a", "--alpha0", "0.25"], ["--algo", "mdlm", "--loss", "low_var"], ["--algo", "ar"],
      ["--algo", "ar", "--prepend", "none"], ["--algo", "ar", "--prepend", "bos", "--adaln"],
      ["--algo", "bd3lm", "--block-size", "8", "--noise-range", "0.3,0.8"],
      ["--algo", "bd3lm", "--block-size", "8", "--noise-range", "0.3,0.8", "--no-resample"],
      ["--algo", "bd3lm", "--noise-range", "search", "--keep-first-token", "--validate-every", "2"],
    ])
  func everyOptionIsTaken(options: [String]) async throws {
    let run = "\(try Scratch.folder())/run"
    let data = try Scratch.file(Esolm.text.utf8)
    try await Esolm.succeed(["train", "--data", data, "--out", run, "--steps", "5"] + Esolm.tiny + options)
    let sample = try await Esolm.succeed(["sample", run, "--raw-weights", "--seed", "3"])
    #expect(!sample.output.isEmpty)
    let recomputed = try await Esolm.succeed(["sample", run, "--raw-weights", "--seed", "3", "--no-cache"])
    #expect(recomputed.output == sample.output)
    let report = try await Esolm.succeed(["eval", run, "--max-sequences", "4", "--json"])
    #expect(report.output.contains("\"natsPerToken\""))
  }

  @Test func aFinishedRunGoesOnToLaterSteps() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    try await Esolm.succeed(["train", "--resume", run, "--steps", "75"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints") == ["step-00000075"])
    func snapshot() throws -> [String: Data] { try Scratch.snapshot(run).filter { $0.key != "lock" } }
    let before = try snapshot()
    let again = try await Esolm.succeed(["train", "--resume", run])
    #expect(again.error == "" && again.output == "")
    #expect(try snapshot() == before)
  }

  /// `config.json` of a run, in the keys that people write.
  private func stored(_ run: String) throws -> [String: [String: NSObject]] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(run)/config.json"))
    let object = try #require(JSONSerialization.jsonObject(with: data) as? [String: NSObject])
    return object.compactMapValues { $0 as? [String: NSObject] }
  }

  @Test func aFlagCountsMoreThanAnOverrideAndThatMoreThanAFile() async throws {
    let data = try Scratch.file(Esolm.text.utf8)
    let base = try Scratch.file(
      "model: {hiddenSize: 16, numBlocks: 1, numHeads: 2}\nmethod: {length: 16}\n".utf8, name: "base.yaml")
    let folder = URL(fileURLWithPath: base).deletingLastPathComponent().path
    let text = "extends: base.yaml\ntraining:\n  steps: 2\n  batchSize: 2\n  decay: linear\n  learningRate: 1e-3\n"
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/run.yaml"))
    let run = "\(folder)/run"
    try await Esolm.succeed(
      ["train", "\(folder)/run.yaml", "training.batchSize=4", "training.learningRate=2e-3", "--learning-rate", "3e-3"]
        + ["data.paths=\(data)", "--out", run])
    let found = try stored(run)
    #expect(found["training"]?["steps"] == 2 as NSNumber && found["training"]?["batchSize"] == 4 as NSNumber)
    #expect(
      found["training"]?["learningRate"] == 0.003 as NSNumber && found["training"]?["decay"] == "linear" as NSString)
    #expect(found["model"]?["hiddenSize"] == 16 as NSNumber && found["method"]?["length"] == 16 as NSNumber)
    #expect(found["data"]?["paths"] == [data] as NSArray && found["data"]?["kind"] == "text" as NSString)
    // The same settings change nothing of a run, others that may are taken.
    try await Esolm.succeed([
      "train", "--resume", run, "training.batchSize=4", "--learning-rate", "3e-3", "--steps", "3", "--recompute",
    ])
    let changed = try stored(run)
    #expect(changed["training"]?["steps"] == 3 as NSNumber && changed["training"]?["recomputes"] == true as NSNumber)
  }

  @Test func whatIsPrintedCanBeGivenAgain() async throws {
    let first = try await Esolm.succeed(
      [
        "train", "--print-config", "--algo", "bd3lm", "--noise-range", "0.3,0.8", "--data", "a b.txt",
        "training.steps=50",
      ])
    #expect(first.error == "")
    for line in [
      "  algorithm: bd3lm", "  resamplesMasks: true", "  warmupSteps: 5", "  hiddenSize: 256", "  paths: [\"a b.txt\"]",
    ] {
      #expect(first.output.split(separator: "\n").contains(Substring(line)), "\(line)")
    }
    let path = try Scratch.file(first.output.utf8, name: "x.yaml")
    #expect(try await Esolm.succeed(["train", path, "--print-config"]).output == first.output)
  }

  @Test(arguments: ["svg", "html"]) func runsAreDrawn(form: String) async throws {
    let first = try await Scratch.copy(of: Esolm.trained())
    let second = "\(try Scratch.folder())/<second>"
    try FileManager.default.copyItem(atPath: first, toPath: second)
    let picture = "\(try Scratch.folder())/x.\(form)"
    #expect(try await Esolm.succeed(["plot", first, second, "--out", picture]).error == "")
    var text = try String(contentsOfFile: picture, encoding: .utf8)
    for title in ["Training loss over step", "Validation over hours", "&lt;second&gt;"] {
      #expect(text.contains(title), "\(title)")
    }
    // What was not measured has no chart, what is no measurement is told.
    let log = "\(second)/metrics.jsonl"
    try Data("{\"step\":10,\"loss\":2}\nnoise\n{\"step\":20,\"loss\":1}\n".utf8).write(to: URL(fileURLWithPath: log))
    let noted = try await Esolm.succeed(["plot", second, "--out", picture])
    #expect(noted.error == "esolm: note: \(log):2: no measurement; left out, as all such lines (1)\n")
    text = try String(contentsOfFile: picture, encoding: .utf8)
    #expect(text.contains("Training loss over step") && !text.contains("Validation over") && !text.contains("seed"))
    try Data("{\"step\":0}\n".utf8).write(to: URL(fileURLWithPath: log))
    let empty = try await Esolm.run(["plot", first, second, "--out", picture])
    #expect(empty.status == 1)
    #expect(
      empty.error == "esolm: error: \(log) holds no measurements: a training notes every tenth step, "
        + "and those that validate\n")
    #expect(try String(contentsOfFile: picture, encoding: .utf8) == text)
  }

  @Test func otherSizesThanThoseOfTheWeightsAreRefused() async throws {
    let run = try await Esolm.trained()
    let result = try await Esolm.run(
      ["train", "--init-from", run, "--hidden-size", "32", "--data", try Scratch.file(Esolm.text.utf8), "--out", "x"])
    #expect(result.status == 2)
    #expect(result.error.hasPrefix("esolm: error: --hidden-size is 32, expected 16: the weights to start from"))
    let same = try await Esolm.succeed(["train", "--init-from", run, "--hidden-size", "16", "--print-config"])
    #expect(same.output.contains("\n  hiddenSize: 16\n"))
  }
}
