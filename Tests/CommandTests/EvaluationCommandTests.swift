import CommandSupport
import Foundation
import Testing

/// The measures beside perplexity, on the tiny run and a GPT-2 of random weights.
@Suite("esolm eval: samples, choices, spans, reports")
struct EvaluationCommandTests {
  /// A judge with the tiny run's tokenizer.
  private func judge() async throws -> String {
    let folder = "\(try Scratch.folder())/judge"
    try FileManager.default.copyItem(atPath: "\(Self.fixtures)/metrics/judge", toPath: folder)
    try FileManager.default.copyItem(
      atPath: "\(try await Esolm.trained())/tokenizer.json", toPath: "\(folder)/tokenizer.json")
    return folder
  }

  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures").path

  private func samples(_ options: [String] = []) async throws -> String {
    let output = try await Esolm.succeed(
      ["sample", try await Esolm.trained(), "--num-samples", "12", "--json"] + options)
    return try Scratch.file(output.output.utf8, name: "samples.json")
  }

  private func object(_ arguments: [String]) async throws -> [String: Any] {
    let output = try await Esolm.succeed(["eval"] + arguments + ["--json"]).output
    return try #require(JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
  }

  private func number(_ name: String, _ arguments: [String]) async throws -> Double {
    try #require(try await object(arguments)[name] as? Double)
  }

  // MARK: Samples

  @Test func samplesOfAFileAndOfARunAreTheSame() async throws {
    let (run, file, judge) = (try await Esolm.trained(), try await samples(["--seed", "3"]), try await judge())
    let direct = try await object(["gen-ppl", run, "--judge", judge, "--num-samples", "12", "--seed", "3"])
    let read = try await object(["gen-ppl", file, "--judge", judge])
    #expect(direct["perplexity"] as? Double == read["perplexity"] as? Double)
    #expect(read["samples"] as? Int == 12)
    // All but the first token of each, but for ends of text.
    #expect((1...12 * 15).contains(try #require(read["tokens"] as? Int)))
    #expect(try #require(read["perplexity"] as? Double) > 1)
  }

  @Test func aRunIsAJudgeOfItself() async throws {
    let run = try await Esolm.trained()
    let file = try await samples()
    let own = try await number("perplexity", ["gen-ppl", file, "--judge", run])
    let other = try await number("perplexity", ["gen-ppl", file, "--judge", try await judge()])
    #expect(own > 1 && own < other)
  }

  @Test func theTableShowsTheJudgesNumbers() async throws {
    let (file, judge) = (try await samples(), try await judge())
    let perplexity = try await number("perplexity", ["gen-ppl", file, "--judge", judge])
    let lines = try await Esolm.succeed(["eval", "gen-ppl", file, "--judge", judge]).output.split(separator: "\n")
    #expect(lines.first == "12 samples from \(file)")
    #expect(lines.last?.contains(String(format: "%.3f", perplexity)) == true)
  }

  @Test func entropyIsOfTheRunsTokens() async throws {
    let result = try await object(["entropy", try await samples()])
    #expect((0...log(16)).contains(try #require(result["entropy"] as? Double)))
    let distinct = try #require(result["distinct"] as? [Double])
    #expect(distinct.count == 4 && distinct.allSatisfy { (0...1).contains($0) } && distinct == distinct.sorted())
    #expect((0...1).contains(try #require(result["selfRepetition"] as? Double)))
    let table = try await Esolm.succeed(["eval", "entropy", try await samples()]).output
    for name in ["entropy", "distinct-1", "distinct-4", "self-repetition"] { #expect(table.contains("  \(name) ")) }
  }

  @Test func anAutoregressiveRunGivesFeaturesForMauve() async throws {
    let result = try await object(["mauve", try await samples(), "--judge", try await trained("ar")])
    #expect((0...1).contains(try #require(result["score"] as? Double)))
    #expect(result["samples"] as? Int == 12)
  }

  @Test func mauveComparesWithValidationTextOrAGivenOne() async throws {
    let (file, judge) = (try await samples(), try await judge())
    let validation = try await object(["mauve", file, "--judge", judge])
    #expect((0...1).contains(try #require(validation["score"] as? Double)))
    #expect(validation["buckets"] as? Int == 2)
    #expect((validation["curve"] as? [Any])?.count == 27)
    // Against the samples themselves the score is 1.
    let copy = try Scratch.file(Data(contentsOf: URL(fileURLWithPath: file)), name: "texts.jsonl")
    let same = try await number("score", ["mauve", file, "--judge", judge, "--reference", copy])
    #expect(same > 0.95)
  }

  // MARK: Parts of a text

  @Test func choicesAreAnswered() async throws {
    // The run has learned little but which letters are frequent.
    let lines = (0..<6).map { _ in #"{"ctx": "the cat sees", "endings": ["the ", "xxxx"], "label": 0}"# }
    let data = try Scratch.file((lines + ["{}"]).joined(separator: "\n").utf8, name: "q.jsonl")
    let result = try await object([
      "choice", try await Esolm.trained(), "--data", data, "--orders", "4", "--skip-bad-lines",
    ])
    let accuracy = try #require(result["accuracy"] as? [String: Any])
    #expect(accuracy["questions"] as? Int == 6)
    #expect(try #require(accuracy["accuracy"] as? Double) == 1)
    #expect(result["skippedLines"] as? [Int] == [7])
    #expect((result["answers"] as? [Any])?.count == 6)
  }

  @Test func whatIsLikelyScoresHigher() async throws {
    let run = try await Esolm.trained()
    func score(_ text: String, _ options: [String] = []) async throws -> Double {
      try await number("logProbability", ["score", run, "--text", text, "--span", "4:7", "--orders", "8"] + options)
    }
    let right = try await score("cat the cat")
    #expect(right < 0)
    #expect(right > (try await score("cat xxx cat")))
    #expect(try await score("cat the cat", ["--given", "0:4"]) < 0)
  }

  @Test func withoutDiffusionThereIsOneOrder() async throws {
    let result = try await object([
      "score", try await Esolm.trained(), "--text", "the cat", "--span", "4:7", "--alpha0", "0", "--orders", "8",
    ])
    #expect((result["perOrder"] as? [Double])?.count == 1)
  }

  // MARK: Zero-shot

  @Test(arguments: [
    ("ptb.txt", "<!DOCTYPE html><html>", "it is an HTML page, expected the documents of PTB"),
    (
      "lambada.jsonl", #"{"sentence": "the cat"}"#,
      "(eval zero-shot has no such option: expected lambada.jsonl with a field 'text' on each line"
    ),
  ])
  func aFileThatIsNoSetIsRefused(name: String, text: String, problem: String) async throws {
    let folder = try Scratch.folder()
    try Data((text + String(repeating: "\n" + text, count: 20)).utf8)
      .write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    let result = try await Esolm.run(["eval", "zero-shot", try await Esolm.trained(), "--data-dir", folder])
    #expect(result.status == 1 && result.error.hasPrefix("esolm: error: \(folder)/\(name)"), "\(result.error)")
    #expect(result.error.contains(problem), "\(result.error)")
  }

  @Test func allSevenSetsAreListed() async throws {
    let folder = try Scratch.folder()
    try Data(Esolm.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/ptb.txt"))
    try Data(#"{"text": "\#(String(repeating: "the cat sees the dog. ", count: 5))"}"#.utf8)
      .write(to: URL(fileURLWithPath: "\(folder)/arxiv.jsonl"))
    let run = try await Esolm.trained()
    let result = try await object(["zero-shot", run, "--data-dir", folder, "--orders", "2", "--max-sequences", "5"])
    let sets = try #require(result["sets"] as? [[String: Any]])
    #expect(sets.count == 7)
    #expect(sets.filter { $0["perplexity"] is Double }.compactMap { $0["name"] as? String } == ["ptb", "arxiv"])
    #expect(sets[0]["sequences"] as? Int == 5 && sets[0]["exactPerplexity"] is Double)
    let table = try await Esolm.succeed(["eval", "zero-shot", run, "--data-dir", folder, "--max-sequences", "5"]).output
    #expect(table.split(separator: "\n").filter { $0.hasSuffix("missing") }.count == 5)
  }

  @Test func aSetThatIsTooShortIsMarked() async throws {
    let folder = try Scratch.folder()
    let run = try await Esolm.trained()
    try Data("cat\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/arxiv.txt"))
    let nothing = try await Esolm.run(["eval", "zero-shot", run, "--data-dir", folder])
    #expect(nothing.status == 1)
    #expect(nothing.error == "esolm: error: \(folder)/arxiv.txt has 4 tokens; length 16 needs at least 16\n")
    try Data(Esolm.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/ptb.txt"))
    let table = try await Esolm.succeed(["eval", "zero-shot", run, "--data-dir", folder, "--max-sequences", "5"]).output
    #expect(table.contains("too short: 4 tokens, expected at least 16"))
    let result = try await object(["zero-shot", run, "--data-dir", folder, "--max-sequences", "5"])
    let sets = try #require(result["sets"] as? [[String: Any]])
    #expect(sets.first?["perplexity"] is Double && sets.last?["perplexity"] == nil)
    #expect(sets.last?["problem"] as? String == "too short: 4 tokens, expected at least 16")
    let report = try await Esolm.succeed([
      "eval", "report", run, "--out", "\(folder)/report", "--data-dir", folder, "--num-samples", "2",
      "--max-sequences", "2", "--orders", "1",
    ])
    #expect(report.status == 0)
    let markdown = try String(contentsOfFile: "\(folder)/report/report.md", encoding: .utf8)
    #expect(markdown.contains("too short: 4 tokens, expected at least 16"))
  }

  // MARK: Report

  @Test func theReportHoldsEverything() async throws {
    let run = try await Esolm.trained()
    let out = "\(try Scratch.folder())/new/report"
    let questions = try Scratch.file(
      #"{"ctx": "the cat sees the", "endings": ["dog.", "xxxx"], "label": 0}"#.utf8, name: "q.jsonl")
    let arguments = [
      "report", run, "--out", out, "--judge", try await judge(), "--choice", questions, "--orders", "4",
      "--num-samples", "12", "--max-sequences", "8",
    ]
    let printed = try await Esolm.succeed(["eval"] + arguments).output
    #expect(printed.contains("wrote \(out)/report.html and \(out)/report.md"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: out).sorted() == ["report.html", "report.md"])
    let first = try Scratch.snapshot(out)
    let markdown = String(decoding: first["report.md"]!, as: UTF8.self)
    for name in [
      "nelbo", "exact, K = 1", "exact, K = 4", "imdce", "entropy", "distinct-2", "self-repetition", "Gen. PPL", "MAUVE",
      "accuracy",
    ] {
      #expect(markdown.contains(" | \(name)"), "\(name) is missing")
      #expect(printed.contains("  \(name)"))
    }
    let html = String(decoding: first["report.html"]!, as: UTF8.self)
    #expect(html.contains("<svg") && !html.contains("http"))
    // Its data, which are not executed.
    #expect(
      html.components(separatedBy: "<script").count
        == html.components(separatedBy: #"<script type="application/json""#).count)
    // Same seed, same files; and the JSON form holds the same measures.
    let report = try await object(arguments)
    #expect(try Scratch.snapshot(out) == first)
    let measures = try #require(report["measures"] as? [[String: Any]])
    #expect(measures.count == markdown.split(separator: "\n").count { $0.hasPrefix("|") } - 2)
  }

  // MARK: Other methods

  private func trained(_ algorithm: String) async throws -> String {
    let run = "\(try Scratch.folder())/\(algorithm)"
    try await Esolm.succeed(
      ["train", "--data", try Scratch.file(Esolm.text.utf8), "--out", run, "--steps", "2", "--algo", algorithm]
        + Esolm.tiny)
    return run
  }

  @Test func anAutoregressiveRunIsMeasuredAndJudges() async throws {
    let run = try await trained("ar")
    let file = try await samples()
    #expect(try await number("perplexity", ["gen-ppl", file, "--judge", run]) > 1)
    #expect(try await object(["entropy", run, "--num-samples", "3"])["samples"] as? Int == 3)
    let exact = try #require(try await object(["ppl", run, "--exact", "--orders", "2"])["results"] as? [[String: Any]])
    // Its exact likelihood is one number, and there is no diffusion pass for IMDCE.
    #expect(exact.compactMap { $0["name"] as? String } == ["nelbo", "exact, K = 1", "exact, K = 2"])
    let values = exact.compactMap { $0["natsPerToken"] as? Double }
    #expect(abs(values[0] - values[1]) < 1e-5 && values[1] == values[2])
    let wrong = try await Esolm.run(["eval", "score", run, "--text", "the cat", "--span", "0:3"])
    #expect(wrong.status == 1 && wrong.error.contains("an AR model scores only text that follows all that is given"))
  }

  @Test func whatAMethodCannotDoIsSaid() async throws {
    let (run, file) = (try await trained("mdlm"), try await samples())
    for (arguments, status, problem) in [
      (["ppl", run, "--exact"], 2, "--exact: mdlm has no exact likelihood"),
      (["gen-ppl", file, "--judge", run], 1, "\(run) is a run of mdlm, expected ar or esolm-b to judge"),
      (["score", run, "--text", "the", "--span", "0:1"], 1, "the method has no exact likelihood"),
      (["report", run, "--choice", file], 2, "--choice: mdlm has no exact likelihood"),
    ] as [([String], Int32, String)] {
      let result = try await Esolm.run(["eval"] + arguments)
      #expect(result.status == status && result.output == "")
      #expect(result.error.hasPrefix("esolm: error: \(problem)"), "\(result.error)")
    }
    #expect(try await number("entropy", ["entropy", run, "--num-samples", "2"]) > 0)
  }

  // MARK: Bad input

  @Test func aJudgeThatIsNoneIsRefused() async throws {
    let (file, folder) = (try await samples(), try await judge())
    func error(_ arguments: [String]) async throws -> (Int32, String) {
      let result = try await Esolm.run(["eval"] + arguments)
      #expect(result.output == "")
      return (result.status, result.error)
    }
    let config = URL(fileURLWithPath: "\(folder)/config.json")
    let text = String(decoding: try Data(contentsOf: config), as: UTF8.self)
    try Data(text.replacingOccurrences(of: "\"model_type\": \"gpt2\"", with: "\"model_type\": \"llama\"").utf8)
      .write(to: config)
    #expect(
      try await error(["gen-ppl", file, "--judge", folder]) == (
        1,
        "esolm: error: \(folder)/config.json: field 'model_type' is 'llama', expected 'gpt2': a judge must be a GPT-2\n"
      ))
    #expect(
      try await error(["mauve", file, "--judge", try await Esolm.trained()]).1.contains(
        "expected a folder of a GPT-2 or an ar run, whose features MAUVE compares"))
    #expect(try await error(["gen-ppl", file]).0 == 2)
    let empty = try Scratch.file(
      #"{"formatVersion": 2, "run": "none", "length": 4, "number": 0, "text": "", "tokens": []}"#.utf8)
    let none = try await error(["gen-ppl", empty, "--judge", try await Esolm.trained()])
    #expect(none.0 == 1 && none.1.contains("they hold no token"), "\(none.1)")
    let toy = try await error(["gen-ppl", file, "--judge", "toy-language"])
    #expect(toy.0 == 1 && toy.1.contains("cannot be written in the judge's tokens"))
  }

  @Test(arguments: [
    (["entropy", "$samples"], 1, "$samples, line 1: field 'formatVersion' is 9, expected 2"),
    (["entropy", "$dir/none.json"], 1, "cannot read $dir/none.json: there is no such file"),
    (["choice", "$run", "--data", "$lines"], 1, "$lines, line 2: field 'endings' is missing"),
    (["mauve", "$run", "--judge", "$dir/none"], 1, "cannot read $dir/none/config.json: there is no such file"),
    (["score", "$run", "--text", "the cat", "--span", "5:9"], 2, "--span, --given: range 5:9, expected START:END"),
    (["score", "$run", "--text", "the cat"], 2, "--span, --given: no span to score"),
    (["score", "$run", "--text", "the cat", "--span", "a:b"], 2, "The value 'a:b' is invalid for '--span"),
    (["score", "$run", "--text", "THE", "--span", "0:1"], 1, "line 1: character \"T\" (U+0054) is not in"),
    (["zero-shot", "$run", "--data-dir", "$dir"], 1, "$dir holds none of ptb.jsonl, wikitext.jsonl"),
    (["gen-ppl", "$samples", "--judge", "toy-language", "--steps", "3"], 2, "--steps goes with a run folder"),
    (["gen-ppl", "$samples", "--judge", "toy-language", "--length", "9"], 2, "--length goes with a run folder"),
    (["gen-ppl", "$samples", "--judge", "toy-language", "--allow-longer"], 2, "--allow-longer goes with a run folder"),
  ])
  func whatDoesNotFitIsNamed(arguments: [String], status: Int32, problem: String) async throws {
    let version = try Scratch.file(
      #"{"formatVersion": 9, "samples": 3}"#.utf8, name: "samples.json")
    let lines = try Scratch.file(
      "{\"ctx\": \"a\", \"endings\": [\"a\", \"b\"], \"label\": 0}\n{\"ctx\": \"a\", \"label\": 0}\n".utf8,
      name: "q.jsonl")
    let (dir, run) = (try Scratch.folder(), try await Esolm.trained())
    func filled(_ text: String) -> String {
      [("$samples", version), ("$lines", lines), ("$dir", dir), ("$run", run)].reduce(text) {
        $0.replacingOccurrences(of: $1.0, with: $1.1)
      }
    }
    let result = try await Esolm.run(["eval"] + arguments.map(filled))
    #expect(result.status == status)
    #expect(result.output == "")
    #expect(result.error.hasPrefix("esolm: error: \(filled(problem))"), "\(result.error)")
    #expect(result.error.split(separator: "\n").count == 1)
    if status == 2 { #expect(result.error.hasSuffix("(see esolm eval \(arguments[0]) --help)\n")) }
  }
}
