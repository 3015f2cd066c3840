import CommandSupport
import Foundation
import Testing

@Suite("esolm sample")
struct SampleCommandTests {
  private struct Line: Decodable, Equatable {
    var formatVersion: Int
    var run: String
    var number: Int
    var text: String
    var tokens: [Int]
    var fillings: [String]?
    var finishReason: String
    var alpha0: Double
    var steps: Int
    var length: Int
    var seed: Int
    var topP: Double
    var topK: Int?
    var temperature: Double
    var usesCache: Bool
    var nfe: Int
    var rows: Int
    var seconds: Double
    var secondsPerCall: Double
    var cacheBytes: Int
    var logProbability: Double
    var modelLogProbability: Double
    var oneAtATimeLogProbability: Double?
    var order: [Int]
    var logProbabilities: [Double]
  }

  /// What `--json` printed, in the order of the texts' numbers.
  private func lines(_ options: [String]) async throws -> [Line] {
    let result = try await Esolm.succeed(["sample", try await Esolm.trained(), "--json"] + options)
    #expect(result.error == "")
    return try result.output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      .sorted { $0.number < $1.number }
  }

  @Test func theLinesHaveAllFields() async throws {
    let options = "--num-samples 3 --steps 4 --alpha0 0.5 --length 12 --seed 9 --top-p 0.8 --top-k 5 --temperature 0.7"
    let lines = try await lines(options.split(separator: " ").map(String.init))
    #expect(lines.map(\.number) == [0, 1, 2])
    for line in lines {
      #expect(try await line.run == Esolm.trained())
      #expect((line.formatVersion, line.alpha0, line.steps, line.length) == (2, 0.5, 4, 12))
      #expect((line.seed, line.topP, line.topK, line.temperature) == (9, 0.8, 5, 0.7))
      #expect(line.usesCache && line.cacheBytes > 0 && (1...12).contains(line.nfe) && line.rows >= 12)
      #expect(line.seconds > 0 && abs(line.secondsPerCall * Double(line.nfe) / line.seconds - 1) < 1e-9)
      #expect(line.tokens.count == 12 && line.text.count <= 12 && line.fillings == nil)
      #expect(line.finishReason == "length" && line.order.sorted() == Array(0..<12))
      #expect(line.logProbabilities.count == 12 && line.logProbabilities.allSatisfy { $0 < 0 })
      #expect(abs(line.logProbabilities.reduce(0, +) - line.modelLogProbability) < 1e-9)
      #expect(try #require(line.oneAtATimeLogProbability) < 0)
    }
  }

  @Test func adaptivePlansAndDraftsTellWhatTheyDid() async throws {
    struct Told: Decodable {
      struct Draft: Decodable {
        var width: String
        var order: String
        var drafted: Int
        var accepted: Int
        var draftedByPlace: [Int]
        var acceptedByPlace: [Int]
        var tokensPerCall: Double
      }
      var nfe: Int
      var steps: Int?
      var schedule: String?
      var choose: String?
      var threshold: Double?
      var calls: Int?
      var window: Int?
      var candidateOrder: String?
      var draft: Draft?
      var modelLogProbability: Double
      var oneAtATimeLogProbability: Double
    }
    func told(_ options: String) async throws -> Told {
      let run = try await Esolm.trained()
      let line = try await Esolm.succeed(["sample", run, "--json"] + options.split(separator: " ").map(String.init))
      return try JSONDecoder().decode(Told.self, from: Data(line.output.utf8))
    }
    let adaptive = try await told("--schedule adaptive --calls 5 --choose margin")
    #expect((adaptive.nfe, adaptive.calls, adaptive.window, adaptive.steps) == (5, 5, 8, nil))
    #expect(adaptive.choose == "margin" && adaptive.threshold == nil && adaptive.draft == nil)
    let sure = try await told("--schedule adaptive --threshold 100 --window 3 --candidate-order farthest-first")
    #expect((adaptive.candidateOrder, sure.candidateOrder) == ("random", "farthest-first"))
    #expect((sure.nfe, sure.choose, sure.threshold, sure.window) == (7, "entropy", 100, 3))

    for width in ["3", "auto"] {
      let drafted = try await told("--draft \(width) --draft-order farthest-first --alpha0 0.5")
      let draft = try #require(drafted.draft)
      #expect((draft.width, draft.order) == (width, "farthest-first"))
      #expect(draft.drafted == draft.draftedByPlace.reduce(0, +) && draft.drafted >= draft.accepted)
      #expect(draft.accepted == draft.acceptedByPlace.reduce(0, +) && drafted.steps == nil && drafted.schedule == nil)
      #expect(abs(draft.tokensPerCall - 16 / Double(drafted.nfe)) < 1e-9)
      #expect(abs(drafted.modelLogProbability - drafted.oneAtATimeLogProbability) < 1e-9)
    }
    let run = try await Esolm.trained()
    let summary = try await Esolm.succeed(["sample", run, "--draft", "4"]).error
    #expect(summary.contains(#/, \d+ of \d+ drafts accepted, [\d.]+ tokens a call/#), "\(summary)")
  }

  /// The kept text is one of the candidates, and none of them is more probable; what a search finds, more probable still.
  @Test func theMostProbableTextsAreKept() async throws {
    struct Told: Decodable {
      var number: Int
      var sequence: Int
      var bestOf: Int?
      var beam: Int?
      var tokens: [Int]
      var order: [Int]
      var oneAtATimeLogProbability: Double
    }
    func told(_ options: String) async throws -> [Told] {
      let run = try await Esolm.trained()
      let lines = try await Esolm.succeed(["sample", run, "--json"] + options.split(separator: " ").map(String.init))
      return try lines.output.split(separator: "\n").map { try JSONDecoder().decode(Told.self, from: Data($0.utf8)) }
        .sorted { $0.number < $1.number }
    }
    // In random order each text has its own, and the best one keeps it.
    for (how, orderCount) in [("--draft 4 --alpha0 1", 8), ("--alpha0 0", 1)] {
      let all = try await told("--num-samples 8 --batch 3 \(how)")
      #expect(Set(all.map(\.order)).count == orderCount)
      let best = try await told("--num-samples 2 --best-of 4 --batch 3 \(how)")
      #expect(best.map(\.number) == [0, 1] && best.allSatisfy { $0.bestOf == 4 })
      for (text, candidates) in zip(best, [all[..<4], all[4...]]) {
        let likeliest = candidates.max { $0.oneAtATimeLogProbability < $1.oneAtATimeLogProbability }!
        #expect((text.tokens, text.sequence) == (likeliest.tokens, likeliest.number))
        #expect(text.order == likeliest.order)
      }
    }
    let all = try await told("--num-samples 8 --batch 3 --alpha0 0")
    let found = try await told("--beam 4 --num-samples 3 --alpha0 0")
    #expect(found.map(\.number) == [0, 1, 2] && found.allSatisfy { $0.beam == 4 })
    let chances = found.map(\.oneAtATimeLogProbability)
    #expect(chances == chances.sorted(by: >) && chances[0] > all.map(\.oneAtATimeLogProbability).max()!)
  }

  @Test func textIsPrintedPlainly() async throws {
    let run = try await Esolm.trained()
    let one = try await Esolm.succeed(["sample", run])
    #expect(one.output == (try await lines([]))[0].text + "\n")
    let summary =
      #/1 × 16 tokens, NFE \d+, [\d.]+ s, [\d.]+ ms a call(, parallel writing lost -?[\d.]+ nats a token)?\n/#
    #expect(one.error.wholeMatch(of: summary) != nil, "\(one.error)")

    let two = try await Esolm.succeed(["sample", run, "--num-samples", "2"])
    let texts = try await lines(["--num-samples", "2"]).map(\.text)
    #expect(two.output == "--- sample 1 ---\n\(texts[0])\n--- sample 2 ---\n\(texts[1])\n")
    let streamed = try await Esolm.succeed(["sample", run, "--num-samples", "2", "--stream"])
    #expect(streamed.output == two.output)
  }

  @Test func theSeedDecidesTheText() async throws {
    let texts = [
      try await lines(["--seed", "4"]), try await lines(["--seed", "4"]), try await lines(["--seed", "5"]),
    ]
    .map { $0[0].text }
    #expect(texts[0] == texts[1])
    #expect(texts[0] != texts[2])
  }

  @Test func temperatureZeroTakesTheLikeliestTokenWhateverTheNucleus() async throws {
    let options = [
      ["--temperature", "0"], ["--temperature", "0", "--top-p", "1", "--top-k", "1"], ["--top-k", "1"],
    ]
    var texts: Set<String> = []
    for options in options { texts.insert(try await lines(options)[0].text) }
    #expect(texts.count == 1)
  }

  // MARK: What is given

  @Test func promptsSuffixesAndTemplatesAreKept() async throws {
    let prompted = try await lines(["--prompt", "the cat ", "--max-tokens", "4"])[0]
    #expect(prompted.text.hasPrefix("the cat ") && prompted.length == 12)
    #expect(prompted.fillings == [String(prompted.text.dropFirst(8))])
    let filled = try await lines(["--prompt", "the ", "--suffix", " dog.", "--num-samples", "3"])
    for line in filled {
      #expect(line.text.hasPrefix("the ") && line.text.hasSuffix(" dog.") && line.length == 16)
      #expect(line.fillings?.map(\.count) == [7])
    }
    let holes = try await lines(["--template", "the [[3]] sees [[2]]."])[0]
    #expect(holes.text.wholeMatch(of: #/the (?s:.{3}) sees (?s:.{2})\./#) != nil)
    #expect(holes.fillings?.map(\.count) == [3, 2] && holes.order.sorted() == [4, 5, 6, 13, 14])
    let open = try await lines(["--template", "the [[..3]] sees"])[0]
    #expect((1...3).contains(try #require(open.fillings?[0].count)) && open.text.hasSuffix(" sees"))
    // As many steps as the longest hole has tokens are no mistake where a shorter one is drawn.
    for plan in [["--schedule", "block", "--steps", "3"], ["--schedule", "adaptive", "--calls", "3"]] {
      let options = ["sample", try await Esolm.trained(), "--template", "the [[..3]] sees", "--num-samples", "6"]
      #expect(try await Esolm.succeed(options + plan).output.contains(" sees"))
    }
  }

  @Test func aStopEndsTheText() async throws {
    let options = ["--prompt", "the ", "--alpha0", "0", "--seed", "1"]
    let whole = try await lines(options)[0]
    let stop = String(whole.text.dropFirst(6).prefix(2))
    let stopped = try await lines(options + ["--stop", "never", "--stop", stop])[0]
    #expect(stopped.finishReason == "stop" && !stopped.text.dropFirst(4).contains(stop))
    #expect(whole.text.hasPrefix(stopped.text) && stopped.nfe < whole.nfe)
  }

  @Test func stopsInWhatIsGivenAreNone() async throws {
    let options = ["--prompt", "the ", "--seed", "1"]
    let whole = try await lines(options)[0]
    // The first letter that was written: nothing is left of the filling, yet it is told.
    let first = String(whole.text.dropFirst(4).prefix(1))
    let stopped = try await lines(options + ["--stop", first])[0]
    #expect(stopped.text == "the " && stopped.fillings == [""] && stopped.finishReason == "stop")
    let letters = ["t", "h", "e"].flatMap { ["--stop", $0] }
    for options in [options + letters, ["--template", "t[[2]]he[[..5]]"] + letters] {
      let json = try await lines(options)[0]
      #expect(json.text.hasPrefix("t") && json.text.contains("he"))
      let run = try await Esolm.trained()
      let plain = try await Esolm.succeed(["sample", run] + options)
      #expect(plain.output == json.text + "\n")
      #expect(try await Esolm.succeed(["sample", run, "--stream"] + options).output == plain.output)
    }
  }

  @Test func aShareThatTheScheduleImpliesIsTold() async throws {
    #expect(try await lines(["--schedule", "block"])[0].alpha0 == 1)
    #expect(try await lines(["--schedule", "block", "--alpha0", "0.25"])[0].alpha0 == 0.25)
  }

  @Test func fieldsThatMeanNothingAreNoted() async throws {
    let texts = [#"{"prompt": "a", "max_token": 3, "id": [1]}"#, #"{"prompt": "a", "id": 2}"#]
    let file = try Scratch.file(texts.joined(separator: "\n").utf8, name: "p.jsonl")
    let result = try await Esolm.succeed(["sample", try await Esolm.trained(), "--json", "--prompts", file])
    #expect(
      result.error.split(separator: "\n")
        == ["id", "max_token"].map {
          "esolm: note: \(file), line 1: field '\($0)' is none of prompt, suffix, template and max_tokens: ignored"
        })
  }

  @Test func promptsComeFromAFile() async throws {
    let file = try Scratch.file(
      "{\"prompt\": \"the c\", \"max_tokens\": 3}\n\n{\"template\": \"[[2]]e dog\"}\n".utf8, name: "p.jsonl")
    let all = try await lines(["--prompts", file, "--num-samples", "2"])
    #expect(all.map(\.number) == [0, 1, 2, 3] && all.map(\.length) == [8, 8, 7, 7])
    #expect(all[0].text.hasPrefix("the c") && all[3].text.hasSuffix("e dog"))
    let prompt = try Scratch.file("the m".utf8, name: "prompt.txt")
    #expect(try await lines(["--prompt", "@\(prompt)", "--max-tokens", "2"])[0].text.hasPrefix("the m"))
  }

  private static let impossible: [([String], Int32, String)] = [
    (
      ["--template", "a [[x]]"], 2,
      "--template: character 3: 'x' is no number of tokens from 1 to 1048576; a hole is [[5]] or [[..5]], and \\[[ stands for [[ itself"
    ),
    (["--template", "the [[3"], 2, "--template: character 5: the hole that begins here has no end ]]; a hole"),
    (["--template", "the"], 2, "--template is 3 given tokens, expected a hole to write into"),
    (["--template", "a [[40]]"], 2, "the text has 42 tokens, but the run was trained on texts of 16"),
    (
      ["--prompt", "the cat sees the"], 2, "--length is 16, expected more than the 16 given tokens, which fill the text"
    ),
    (["--prompt", "a", "--template", "[[1]]"], 2, "--prompt or --suffix and --template exclude each other"),
    (["--max-tokens", "3"], 2, "--max-tokens goes with --prompt, --suffix or --prompts"),
    (["--prompt", "a", "--max-tokens", "0"], 2, "--max-tokens is 0, expected 1 to 1048576"),
    (["--stop", ""], 2, "--stop is empty, expected a text of at least one character"),
    (["--prompt", "QQ"], 1, "--prompt: line 1: character \"Q\" (U+0051) is not in"),
    (["--prompt", "@$broken"], 1, "$broken is no valid UTF-8 text; a prompt must be"),
    (["--prompts", "$lines"], 1, "$lines, line 2: expected prompt, suffix or both, or template alone"),
    (["--length", "17"], 2, "the text has 17 tokens, but the run was trained on texts of 16"),
    (["--template", "a[[2]]b", "--length", "9"], 2, "--length goes with neither --template nor --max-tokens"),
    (["--prompt", "a", "--max-tokens", "2", "--length", "9"], 2, "--length goes with neither --template nor"),
    (["--prompts", "$fraction"], 1, "$fraction, line 1: field 'max_tokens' is 3.5, expected 1 to 1048576"),
    (["--prompts", "$huge"], 1, "$huge, line 1: field 'max_tokens' is 1e+30, expected 1 to 1048576"),
    (["--prompts", "$both"], 1, "$both, line 1: field 'max_tokens' goes with prompt or suffix"),
    (["--stream", "--json"], 2, "--stream goes with neither --json nor --watch"),
  ]

  @Test(arguments: impossible)
  func whatCannotBeAskedIsNamed(options: [String], status: Int32, problem: String) async throws {
    let broken = try Scratch.file([0x61, 0xFF, 0x62], name: "broken.txt")
    let lines = try Scratch.file("{\"prompt\": \"a\", \"max_tokens\": 2}\n{}\n".utf8, name: "p.jsonl")
    let more = try [
      "fraction": #"{"prompt": "a", "max_tokens": 3.5}"#, "huge": #"{"prompt": "a", "max_tokens": 1e30}"#,
      "both": #"{"template": "a[[2]]", "max_tokens": 3}"#,
    ].map { ("$\($0)", try Scratch.file($1.utf8, name: "\($0).jsonl")) }
    func filled(_ text: String) -> String {
      more.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }.replacingOccurrences(
        of: "$broken", with: broken
      ).replacingOccurrences(of: "$lines", with: lines)
    }
    let result = try await Esolm.run(["sample", try await Esolm.trained()] + options.map(filled))
    #expect(result.status == status && result.output == "")
    #expect(result.error.hasPrefix("esolm: error: \(filled(problem))"), "\(result.error)")
    #expect(result.error.split(separator: "\n").count == 1)
  }

  @Test func longerTextsAreWrittenWhereThatIsWanted() async throws {
    #expect(try await lines(["--length", "20", "--allow-longer"])[0].tokens.count == 20)
  }

  // MARK: Exactness

  private static let plans =
    ["1", "0.5", "0.125", "0"].flatMap { alpha0 in
      ["1", "5", "1000000"].map { ["--alpha0", alpha0, "--steps", $0] }
    }
    + ["block", "block-shuffled"].flatMap { schedule in
      ["1", "5", "16"].map { ["--schedule", schedule, "--steps", $0] }
    }

  @Test(arguments: plans) func theCacheAndTheBatchDoNotChangeTheText(plan: [String]) async throws {
    let options = plan + ["--num-samples", "8"]
    let cached = try await lines(options + ["--batch", "8"])
    let alone = try await lines(options + ["--batch", "1"])
    let recomputed = try await lines(options + ["--batch", "8", "--no-cache"])
    #expect(cached.count == 8)
    #expect(Set(cached.map(\.text)).count > 1)
    #expect(alone.map(\.tokens) == cached.map(\.tokens) && recomputed.map(\.tokens) == cached.map(\.tokens))
    #expect(alone.map(\.nfe) == cached.map(\.nfe) && recomputed.map(\.nfe) == cached.map(\.nfe))
    #expect(alone.map(\.logProbabilities) == cached.map(\.logProbabilities))
    #expect(cached.allSatisfy(\.usesCache) && recomputed.allSatisfy { !$0.usesCache && $0.cacheBytes == 0 })

    let steps = min(16, Int(plan[3])!)
    for line in cached {
      switch plan[1] {
      case "0": #expect(line.nfe == 16)  // one token at a time
      case "1": #expect((1...steps).contains(line.nfe))  // steps that write nothing cost nothing
      case "block", "block-shuffled": #expect(line.nfe == steps)
      default: #expect((1...16).contains(line.nfe))
      }
    }
  }

  @Test func watchingShowsEveryCallOnStandardError() async throws {
    let run = try await Esolm.trained()
    let plain = try await Esolm.succeed(["sample", run, "--steps", "5"])
    let watched = try await Esolm.succeed(["sample", run, "--steps", "5", "--watch"])
    #expect(watched.output == plain.output)
    let calls = watched.error.split(separator: "\n").dropLast()
    let masks = try calls.enumerated().map { index, line in
      let match = try #require(line.wholeMatch(of: #/\[call (\d+) of (\d+), (\d+) written\] (.*)/#), "\(line)")
      #expect(Int(match.1) == index + 1 && Int(match.2) == calls.count)
      return (written: Int(match.3)!, left: match.4.count { $0 == "░" })
    }
    var left = 16
    for call in masks {
      left -= call.written
      #expect(call.left == left)
    }
    #expect(left == 0)
    let text = plain.output.dropLast().replacingOccurrences(of: "\n", with: "⏎")
    #expect(calls.last?.hasSuffix("] \(text)") == true)
  }
}
