import CommandSupport
import EsoLM
import Foundation
import Randomness
import Runs
import Testing
import Tokenizers
import Torch

/// The built program, as users start it.
@Suite("esolm serve")
struct ServeCommandTests {
  static func serve(_ run: String, _ more: [String] = []) async throws -> (command: Command, port: Int) {
    let command = try await Esolm.start(["serve", run, "--port", "0"] + more, mostlyWaits: true)
    var port: Int?
    try await command.wait {
      port = command.output.firstMatch(of: #/http:\/\/[^ ]*:(\d+)\n/#).flatMap { Int($0.output.1) }
      return port != nil
    }
    return (command, try #require(port))
  }

  static func post(_ port: Int, _ path: String, _ body: String, _ more: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: localhost:\(port)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\(more)\r\n\(body)"
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
  func aServerSaysWhereItIsAndEndsWhenItIsAskedTo(signal: Int32) async throws {
    let (server, port) = try await Self.serve(Esolm.trained())
    let reply = try await RawConnection.ask(
      port, Self.post(port, "/v1/completions", #"{"model": "run", "prompt": "the ", "max_tokens": 8, "seed": 1}"#))
    #expect(reply.hasPrefix("HTTP/1.1 200 "))
    server.send(signal)
    let result = try await server.end()
    #expect(result.status == 0 && result.error == "", "\(result.error)")
    #expect(result.output.wholeMatch(of: #/Serving run, Eso-LM \(B\), α₀ = 0\.5 at http://127\.0\.0\.1:\d+\n/#) != nil)
  }

  /// The same text as the command's.
  @Test func theServerWritesWhatTheCommandWrites() async throws {
    let run = try await Esolm.trained()
    struct Line: Decodable { var fillings: [String] }
    let line = try JSONDecoder().decode(
      Line.self,
      from: Data(
        try await Esolm.succeed([
          "sample", run, "--template", "the [[3]] likes", "--seed", "5", "--top-p", "1", "--json",
        ]).output.utf8))
    let (server, port) = try await Self.serve(run)
    let reply = try await RawConnection.ask(
      port, Self.post(port, "/v1/infill", #"{"template": "the [[3]] likes", "seed": 5}"#))
    let expected = String(decoding: try JSONEncoder().encode(line.fillings), as: UTF8.self)
    #expect(reply.contains("\"fillings\":\(expected)"), "\(reply) \(expected)")
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }

  /// A text that is being streamed when the server is asked to stop is finished; nobody is let in any more.
  @Test func whatWasBegunIsFinished() async throws {
    let (server, port) = try await Self.serve(Clients.run(length: 100_000), ["--grace", "60"])
    let connection = try RawConnection(port)
    connection.send(
      Self.post(
        port, "/v1/completions",
        #"{"prompt": "the ", "max_tokens": 2000, "alpha0": 0, "ignore_eos": true, "stream": true}"#))
    let start = try await RawConnection.onThread { connection.receive(upTo: "data: ") }
    server.send(SIGTERM)
    let rest = try await RawConnection.onThread { connection.receiveAll() }
    #expect(start.hasPrefix("HTTP/1.1 200 "))
    #expect(rest.contains(#""finish_reason":"length""#) && rest.contains("data: [DONE]"))
    #expect(try await server.end().status == 0)
  }

  /// What takes longer than the grace is cut, and its client is told.
  @Test func whatTakesLongerThanTheGraceIsCut() async throws {
    let (server, port) = try await Self.serve(Clients.run(length: 100_000), ["--grace", "0"])
    let connection = try RawConnection(port)
    connection.send(
      Self.post(
        port, "/v1/completions",
        #"{"prompt": "the ", "max_tokens": 99000, "alpha0": 0, "ignore_eos": true, "stream": true}"#))
    _ = try await RawConnection.onThread { connection.receive(upTo: "data: ") }
    server.send(SIGTERM)
    let rest = try await RawConnection.onThread { connection.receiveAll() }
    #expect(rest.contains("the server was shut down") && rest.contains("data: [DONE]"))
    #expect(try await server.end().status == 0)
  }

  @Test func aRunWhoseTrainingWasInterruptedIsServedWithAWord() async throws {
    let run = "\(try Scratch.folder())/run"
    try FileManager.default.copyItem(atPath: try await Esolm.trained(), toPath: run)
    let path = "\(run)/config.json"
    let configuration = try String(contentsOfFile: path, encoding: .utf8)
    try configuration.replacing(#/"steps"(\s*:\s*)\d+/#) { "\"steps\"\($0.output.1)1234567" }
      .write(toFile: path, atomically: true, encoding: .utf8)
    let (server, _) = try await Self.serve(run)
    server.send(SIGTERM)
    let result = try await server.end()
    #expect(result.status == 0 && result.error.contains("of 1234567 steps; go on with: esolm train --resume"))
  }

  /// Weights that were rounded beforehand are the same as those rounded while they are read.
  @Test func aRunInEightBitsIsServed() async throws {
    let run = try await Esolm.trained()
    let rounded = "\(try Scratch.folder())/run"
    try await Esolm.succeed(["convert", run, rounded, "--precision", "int8"])
    var texts: [String] = []
    for arguments in [[rounded], [run, "--precision", "int8"], [rounded, "--cache-precision", "bf16"]] {
      let (server, port) = try await Self.serve(arguments[0], Array(arguments.dropFirst()))
      let reply = try await RawConnection.ask(
        port,
        Self.post(port, "/v1/completions", #"{"prompt": "the ", "max_tokens": 10, "seed": 1, "ignore_eos": true}"#))
      #expect(reply.hasPrefix("HTTP/1.1 200 ") && reply.contains(#""completion_tokens":10"#), "\(reply)")
      texts.append(String(try #require(reply.firstMatch(of: #/"text":"([^"]*)"/#)).output.1))
      server.send(SIGTERM)
      #expect(try await server.end().status == 0)
    }
    #expect(texts[0] == texts[1])
  }

  /// What nobody means costs no memory for good: a thousand requests of that kind, and then a thousand more.
  @Test(.enabled(if: Command.tellsMemory, "the system does not tell processes' memory"))
  func malformedRequestsLeaveNoMemoryBehind() async throws {
    let (server, port) = try await Self.serve(Esolm.trained())
    func answers(_ seed: UInt64) async throws -> [String] {
      try await RawConnection.onThread {
        var random = CounterGenerator(seed: seed, stream: .toyLanguage)
        return try (0..<1000).map { number in
          let path = MalformedBodies.paths[number % MalformedBodies.paths.count]
          let body = MalformedBodies.next(&random, for: path)
          let connection = try RawConnection(port)
          connection.send(
            "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\r\n")
          connection.send(body)
          return String(connection.receiveAll().prefix(12))
        }
      }
    }
    var memory: [Int] = []
    for seed in [17, 18] as [UInt64] {
      for answer in try await answers(seed) {
        #expect(answer.wholeMatch(of: #/HTTP/1\.1 (200|4\d\d)/#) != nil, "\(answer)")
      }
      memory.append(try server.residentBytes())
    }
    #expect(memory[1] - memory[0] < 32 << 20, "\(memory)")
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }

  @Test func textsAreNotLogged() async throws {
    let (server, port) = try await Self.serve(Esolm.trained(), ["--verbose"])
    for body in [#"{"prompt": "hunts the fox", "max_tokens": 2}"#, #"{"prompt": "hunts the zebra"}"#] {
      _ = try await RawConnection.ask(port, Self.post(port, "/v1/completions", body))
    }
    server.send(SIGINT)
    let result = try await server.end()
    #expect(result.status == 0 && result.error.contains("/v1/completions 200") && !result.error.contains("hunts"))
    #expect(!result.error.contains("zebra"))
  }

  /// One signal is one, however fast the server is at its end: whatever it is busy with when it comes.
  @Test func oneSignalNeverEndsAServerHalfway() async throws {
    let run = try await Esolm.trained()
    for _ in 0..<10 {
      let (server, _) = try await Self.serve(run)
      server.send(SIGTERM)
      let result = try await server.end()
      #expect(result.status == 0 && result.error == "", "\(result.status) \(result.error)")
    }
  }

  @Test func aKeyIsAskedFor() async throws {
    let key = try Scratch.file("s3cret\n".utf8, name: "key")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
    let (server, port) = try await Self.serve(Esolm.trained(), ["--api-key-file", key])
    let body = #"{"prompt": "the", "max_tokens": 1}"#
    let refused = try await RawConnection.ask(port, Self.post(port, "/v1/completions", body))
    #expect(refused.hasPrefix("HTTP/1.1 401 "))
    let answered = try await RawConnection.ask(
      port, Self.post(port, "/v1/completions", body, "Authorization: Bearer s3cret\r\n"))
    #expect(answered.hasPrefix("HTTP/1.1 200 "))
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }

  // MARK: Bad input

  @Test func aServerThatCannotBeginSaysWhy() async throws {
    let run = try await Esolm.trained()
    func refuse(_ arguments: [String], _ status: Int32, _ message: String) async throws {
      let result = try await Esolm.run(["serve"] + arguments)
      #expect(result.status == status && result.output == "", "\(result.output)")
      #expect(result.error.hasPrefix("esolm: error: ") && result.error.contains(message), "\(result.error)")
      #expect(result.error.split(separator: "\n").count == 1, "\(result.error)")
    }
    let open = try Scratch.file("secret".utf8, name: "key")
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open)
    try await refuse([run, "--api-key-file", open], 1, "can be read by others")
    let empty = try Scratch.file(" \n".utf8, name: "key")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: empty)
    try await refuse([run, "--api-key-file", empty], 1, "holds no key")
    try await refuse([run, "--api-key-file", "\(run)/none"], 1, "there is no such file")
    try await refuse([run, "--api-key-file", run], 1, "it is a folder")
    try await refuse(["\(run)/none"], 1, "is no run folder")
    try await refuse([run, "--port", "65536"], 2, "--port is 65536")
    try await refuse([run, "--host", ""], 2, "--host is empty")
    try await refuse(
      [run, "--host", "nowhere.invalid"], 1,
      "cannot listen on nowhere.invalid:8080: there is no such name or address; name another --host")
    try await refuse([run, "--batch", "0"], 2, "--batch is 0")
    try await refuse([run, "--algo", "ar"], 2, "--algo is ar")

    let damaged = try Scratch.copy(of: run)
    let weights = "\(damaged)/latest/ema.safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: URL(fileURLWithPath: weights))
    try await refuse([damaged], 1, "ema.safetensors")

    let (server, port) = try await Self.serve(run)
    try await refuse(
      [run, "--port", "\(port)"], 1,
      "cannot listen on 127.0.0.1:\(port): Address already in use; name another --port, or 0 for a free one")
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }

  /// The tool is also built without the server.
  @Test func whereTheServerIsNotBuiltTheWayOutIsSaid() async throws {
    let lone = "\(try Scratch.folder())/esolm"
    try FileManager.default.copyItem(atPath: Esolm.executable(), toPath: lone)
    let run = try await Esolm.trained()
    let result = try await Command.run(lone, ["serve", run], environment: Esolm.environment)
    #expect(result.status == 1 && result.output == "")
    #expect(
      result.error
        == "esolm: error: the server is a program of its own, and \(lone)-serve is not there: make server builds it\n")
    let help = try await Command.run(lone, ["serve", "--help"], environment: Esolm.environment)
    #expect(help.status == 0 && help.output.contains("USAGE: esolm serve"))
  }

  @Test func aRunWithoutTextIsNotServed() async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let tokenizer = try Data(contentsOf: URL(fileURLWithPath: "\(run)/tokenizer.json"))
    let count = try TokenizerFile.tokenizer(from: tokenizer, path: "").vocabularySize
    try TokenizerFile.data(for: NumberTokenizer(vocabularySize: count)).write(
      to: URL(fileURLWithPath: "\(run)/tokenizer.json"))
    let result = try await Esolm.run(["serve", run, "--port", "0"])
    #expect(result.status == 1 && result.output == "")
    #expect(result.error.contains("cannot be served: tokenizer is one of numbers"), "\(result.error)")
  }
}
