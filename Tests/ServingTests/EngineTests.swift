import EsoLM
import Files
import Foundation
import TestSupport
import Testing
import Torch

import Serving

@Suite("The engine")
struct EngineTests {
  private func body(_ number: Int, _ more: String = "") -> String {
    let prompt = String("abcdefgh abcdefgh".prefix(number % 9 + 1))
    return
      #"{"prompt": "\#(prompt)", "max_tokens": \#(5 + number % 23), "seed": \#(number), "logprobs": 2, "ignore_eos": true\#(more)}"#
  }

  @Test func aRequestIsTheSameAloneAndAmongMany() async throws {
    for more in ["", #", "suffix": "gh.""#, #", "alpha0": 1, "steps": 4"#, #", "temperature": 0.7, "top_p": 0.8"#] {
      let (alone, together) = (try TestServer(), try TestServer { $0.limits.prefixMemory = 0 })
      let single = try await alone.test { client in
        var replies: [JSONValue] = []
        for number in 0..<65 { replies.append(try await client.answer("/v1/completions", body(number, more))) }
        return replies
      }
      let many = try await together.test { client in
        try await withThrowingTaskGroup(of: (Int, JSONValue).self) { group in
          for number in 0..<65 {
            group.addTask { (number, try await client.answer("/v1/completions", body(number, more))) }
          }
          return try await group.reduce(into: [Int: JSONValue]()) { $0[$1.0] = $1.1 }
        }
      }
      for (number, reply) in single.enumerated() {
        #expect(reply["choices"]?.strictJSON == many[number]?["choices"]?.strictJSON, "\(number) \(more)")
      }
      #expect(await together.engine.state == (0, 0, 0))
    }
  }

  private func generations(_ server: TestServer, _ count: Int, length: Int = 40) throws -> [Generation] {
    try server.method.generations(
      GenerationRequest(length: length, alpha0: 0), count: count, for: server.weights.configuration)
  }

  @Test func whoLeavesIsGoneBeforeTheNextCall() async throws {
    let server = try TestServer { $0.limits.prefixMemory = 0 }
    let ticket = try await server.engine.write(try generations(server, 3), isStreamed: true)
    var steps = 0
    for try await batch in ticket.steps {
      steps += batch.count
      await server.engine.leave(ticket.number)
    }
    // What was told before it left may still come, of a call or two; not the forty calls that the texts take.
    #expect(steps < 3 * 40)
    #expect(await server.engine.state == (0, 0, 0))
  }

  /// So that a client can be told how long its prompt took, and how long what was written.
  @Test func whoWaitsForTheEndIsToldOfTheBeginning() async throws {
    let server = try TestServer { $0.limits.prefixMemory = 0 }
    var told: [Int: [Int]] = [:]
    for try await batch in try await server.engine.write(try generations(server, 3), isStreamed: false).steps {
      for progress in batch { told[progress.index, default: []].append(progress.step.index) }
    }
    #expect(told.count == 3 && told.values.allSatisfy { $0 == [0, 39] }, "\(told)")
  }

  @Test func whoStopsReadingLeaves() async throws {
    let server = try TestServer { $0.limits.prefixMemory = 0 }
    for try await _ in try await server.engine.write(try generations(server, 4), isStreamed: true).steps { break }
    try await server.wait { $0.texts == 0 }
    #expect(await server.engine.state == (0, 0, 0))
  }

  @Test func moreThanMayWaitIsRefusedWithATimeToTryAgain() async throws {
    let server = try TestServer {
      $0.limits.places = 2
      $0.limits.queue = 1
    }
    let first = try await server.engine.write(try generations(server, 3), isStreamed: false)
    try await server.test { client in
      let refused = try await client.post("/v1/completions", #"{"prompt": "a", "max_tokens": 4}"#)
      #expect(try refused.status == 429 && refused.error.code == "rate_limit_exceeded")
      #expect((1...60).contains(refused.retryAfter))
      for try await _ in first.steps {}
      _ = try await client.answer("/v1/completions", #"{"prompt": "a", "max_tokens": 4}"#)
    }
  }

  @Test func moreRequestsThanAreWorkedOnAreRefused() async throws {
    let server = try TestServer { $0.limits.requests = 1 }
    let place = try server.server.handlers.gate.enter()
    try await server.test { client in
      let refused = try await client.post("/v1/completions", "{}")
      #expect(try refused.status == 503 && refused.error.type == "unavailable_error")
      #expect((1...60).contains(refused.retryAfter))
      #expect(try await client.get("/health").status == 200)
    }
    withExtendedLifetime(place) {}
  }

  @Test func aRequestThatTakesTooLongIsCut() async throws {
    let server = try TestServer { $0.limits.requestSeconds = 0 }
    try await server.test { client in
      let refused = try await client.post("/v1/completions", #"{"prompt": "a", "max_tokens": 40, "alpha0": 0}"#)
      #expect(try refused.status == 503 && refused.error.message.contains("longer than"))
      let streamed = try await client.post("/v1/completions", #"{"prompt": "a", "max_tokens": 40, "stream": true}"#)
      #expect(try streamed.status == 200 && streamed.events().last?["error"]?["message"]?.text != nil)
    }
    #expect(await server.engine.state.texts == 0)
  }

  /// Weights that are damaged: an error for who asks, and the server goes on.
  @Test func logitsThatAreNaNAreSaid() async throws {
    let configuration = TestServer.configuration
    let layout = ParameterLayout(configuration).entries
    let weights = try TransformerWeights(
      configuration,
      parameters: Dictionary(
        uniqueKeysWithValues: layout.map { ($0.name, .full($0.shape, .nan)) }))
    let client = try await Client(TestServer(weights: weights).server)
    for _ in 0..<2 {
      let reply = try await client.post("/v1/completions", #"{"prompt": "a", "max_tokens": 4}"#)
      #expect(try reply.status == 500 && reply.error.message.contains("NaN"))
      let score = try await client.post("/v1/score", #"{"text": "abc", "spans": [[1, 2]]}"#)
      #expect(try score.status == 500 && score.error.message.contains("NaN"), "\(score.text)")
    }
  }
}
