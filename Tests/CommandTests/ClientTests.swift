import CommandSupport
import EsoLM
import Foundation
import Runs
import Testing
import Tokenizers
import Torch

/// Programs that people have, as they are, against the built server. `scripts/clients.sh` gets them.
@Suite("Clients of a server", .enabled(if: Clients.python != nil, "no Python clients: see scripts/clients.sh"))
struct ClientTests {
  @Test func openAIsClientIsServed() async throws {
    let output = try await Clients.run("openai_client.py", serving: Clients.run(length: 64)) {
      ["http://127.0.0.1:\($0)", "run"]
    }
    #expect(output.split(separator: "\n").count == 6, "\(output)")
  }

  /// Its numbers are the tool's own.
  @Test func theHarnessComesToTheToolsNumbers() async throws {
    let run = try await Clients.run(length: 64)
    let folder = try Scratch.folder()
    let (animals, verbs) = (["cat", "dog", "man", "fox"], ["sees", "likes", "hunts"])
    let questions = (0..<12).map { number in
      (
        context: "the \(animals[number % 4]) \(verbs[number % 3])",
        endings: ["the \(animals[(number + 1) % 4]).", "dog the.", "\(verbs[number % 3]) man."]
      )
    }
    func lines(_ values: [[String: Any]]) throws -> String {
      try values.map { String(decoding: try JSONSerialization.data(withJSONObject: $0), as: UTF8.self) + "\n" }.joined()
    }
    let files = [
      "choice": questions.map { ["ctx": $0.context, "endings": $0.endings, "label": 0] },
      "ending": questions.map { ["ctx": $0.context, "ending": " " + $0.endings[0]] },
      "rolling": questions.map { ["text": "\($0.context) \($0.endings[0])\n"] },
    ]
    for (name, values) in files {
      try lines(values).write(toFile: "\(folder)/\(name).jsonl", atomically: true, encoding: .utf8)
    }
    let output = try await Clients.run("harness.py", serving: run) { ["http://127.0.0.1:\($0)", "run", "64", folder] }
    let line = try #require(output.split(separator: "\n").last { $0.hasPrefix("RESULT ") })
    let result = try JSONDecoder().decode(Harness.self, from: Data(line.dropFirst("RESULT ".count).utf8))

    let choice = try JSONDecoder().decode(
      Choice.self,
      from: Data(
        try await Esolm.succeed([
          "eval", "choice", run, "--data", "\(folder)/choice.jsonl", "--alpha0", "0", "--json",
        ]).output.utf8))
    #expect(result.figures["choice"]?.acc == choice.accuracy.accuracy)
    #expect(result.figures["choice"]?.accPerCharacter == choice.accuracy.accuracyPerCharacter)
    for (theirs, ours) in zip(try #require(result.samples["choice"]), choice.answers) {
      #expect(theirs.count == 3 && zip(theirs, ours.logProbabilities).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    // Perplexity of the right endings, given what stands before them.
    var total = 0.0
    for (question, theirs) in zip(questions, try #require(result.samples["ending"])) {
      let text = "\(question.context) \(question.endings[0])"
      let score = try JSONDecoder().decode(
        Score.self,
        from: Data(
          try await Esolm.succeed([
            "eval", "score", run, "--text", text, "--span", "\(question.context.count):\(text.count)", "--alpha0", "0",
            "--json",
          ]).output.utf8))
      #expect(abs(score.logProbability - theirs[0]) < 1e-4)
      total += score.logProbability
    }
    let perplexity = exp(-total / Double(questions.count))
    #expect(abs(try #require(result.figures["ending"]?.perplexity) / perplexity - 1) < 1e-4)

    // Whole texts behind the token that stands between documents: the library's own pass.
    let opened = try RunFolder(opening: run)
    let likelihood = try Likelihood(opened.model().transformer(), alpha0: 0)
    for (question, theirs) in zip(questions, try #require(result.samples["rolling"])) {
      let tokens =
        [opened.tokenizer.endOfText] + (try opened.tokenizer.encode("\(question.context) \(question.endings[0])\n"))
      let exact = likelihood.logProbabilities([(tokens, .leftToRight(length: tokens.count))])[0].dropFirst().reduce(
        0, +)
      #expect(abs(exact - theirs[0]) < 1e-4)
    }
  }

  private struct Harness: Decodable {
    struct Figures: Decodable {
      var acc: Double?
      var accPerCharacter: Double?
      var perplexity: Double?

      enum CodingKeys: String, CodingKey {
        case acc, perplexity
        case accPerCharacter = "acc_norm"
      }
    }
    var figures: [String: Figures]
    var samples: [String: [[Double]]]
  }

  private struct Choice: Decodable {
    struct Accuracy: Decodable {
      var accuracy: Double
      var accuracyPerCharacter: Double
    }
    struct Answer: Decodable { var logProbabilities: [Double] }
    var accuracy: Accuracy
    var answers: [Answer]
  }

  private struct Score: Decodable { var logProbability: Double }

  /// Screenshots stay in the folder that ESOLM_SCREENSHOTS names.
  @Test(.enabled(if: Clients.browser != nil, "no Chromium in the search path"))
  func thePageWorks() async throws {
    let folder = try ProcessInfo.processInfo.environment["ESOLM_SCREENSHOTS"] ?? Scratch.folder()
    let output = try await Clients.run("page.py", serving: Clients.run(length: 64)) {
      ["http://127.0.0.1:\($0)", Clients.browser!, folder]
    }
    #expect(output.split(separator: "\n").count == 2, "\(output)")
  }
}

/// Python programs of the folder `Clients`.
enum Clients {
  private static let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  /// The interpreter that has the clients.
  static let python = PythonClients.python

  static let browser: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    let names = ["chromium", "chromium-browser", "google-chrome"]
    return names.flatMap { name in folders.map { "\($0)/\(name)" } }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  /// A copy of the tests' run whose texts are said to be longer.
  static func run(length: Int) async throws -> String {
    let run = try await Scratch.copy(of: Esolm.trained())
    let path = "\(run)/config.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try text.replacing(#/"length" : 16/#, with: "\"length\" : \(length)").write(
      toFile: path, atomically: true, encoding: .utf8)
    return run
  }

  /// Runs a program while a run is served, and tells what it printed.
  static func run(
    _ program: String, serving run: String, _ arguments: (_ port: Int) -> [String]
  ) async throws -> String {
    let (server, port) = try await ServeCommandTests.serve(run)
    defer { server.send(SIGTERM) }
    let result = try await Command.run(
      python!, [source.appendingPathComponent("Clients/\(program)").path] + arguments(port),
      environment: ["HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": Scratch.folder(), "no_proxy": "*"],
      timeout: .seconds(300))
    try #require(result.status == 0, "\(result.output)\n\(result.error)")
    return result.output
  }
}
