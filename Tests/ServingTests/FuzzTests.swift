import CommandSupport
import Files
import Foundation
import Randomness
import Testing

import Serving

/// Requests that nobody means: each gets a clear answer, none takes the server down.
@Suite("Malformed requests")
struct FuzzTests {
  private static let paths = [
    "/v1/completions", "/v1/infill", "/v1/score", "/tokenize", "/detokenize", "/v1/fim/completions", "/infill",
    "/completion", "/api/generate", "/api/show",
  ]
  private static let fields = [
    "prompt", "suffix", "max_tokens", "n", "best_of", "seed", "stop", "stream", "stream_options", "logprobs", "echo",
    "temperature", "top_p", "top_k", "alpha0", "steps", "schedule", "order", "template", "text", "spans", "given",
    "orders", "tokens", "content", "input_prefix", "input_suffix", "input_extra", "n_predict", "response_fields",
    "n_cmpl", "options", "model", "logit_bias", "presence_penalty",
  ]
  /// Values that a field may have at its limits and beyond.
  private static let values = [
    "null", "true", "0", "1", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551616", "1e308", "1e999", "-1e999", "NaN", "Infinity", "1.5", "\"\"", "\"a\"", "\"\\ud800\"",
    "\"\\u0000\"", "[]", "{}", "[[]]", "[[[[]]]]", "[1]", "[1e18]", "[-1]", "[[0,9223372036854775807]]", "[\"a\",1]",
    "{\"a\":1}", "\"[[9223372036854775807]]\"", "\"[[..1048576]]b\"", "\"a[[1048576]]\"", "\"tiny\"",
    "\"<fim_prefix>a<fim_suffix>b<fim_middle>\"", "[{\"text\":5}]", "[[0,1],[0,1]]", "\"\\uD83D\\uDE00\"",
  ]

  private static func body(_ random: inout CounterGenerator) -> [UInt8] {
    func pick<Element>(_ all: [Element]) -> Element { all[Int.random(in: all.indices, using: &random)] }
    switch Int.random(in: 0..<8, using: &random) {
    case 0: return (0..<Int.random(in: 0..<60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    case 1: return Array(String(repeating: pick(["[", "{\"a\":", "[{\"a\":"]), count: 5000).utf8)
    default:
      let members = (0..<Int.random(in: 0..<6, using: &random)).map { _ in "\"\(pick(fields))\": \(pick(values))" }
      var bytes = Array("{\(members.joined(separator: ", "))}".utf8)
      if Int.random(in: 0..<3, using: &random) == 0 {
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
          let place = Int.random(in: bytes.indices, using: &random)
          switch Int.random(in: 0..<3, using: &random) {
          case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
          case 1: bytes.remove(at: place)
          default: bytes = Array(bytes[..<place])
          }
        }
      }
      return bytes
    }
  }

  /// 10,000 bodies on all paths. What can be answered is, in one way or the other; what cannot is a 4xx with words.
  @Test func noBodyIsTooStrange() async throws {
    let server = try TestServer { $0.limits.textsPerRequest = 4 }
    try await server.test { client in
      var random = CounterGenerator(seed: 15, stream: .toyLanguage)
      var refused = 0
      for number in 0..<10_000 {
        let (path, body) = (Self.paths[number % Self.paths.count], Self.body(&random))
        let reply = try await client.send(.post, path, body)
        let isRefused = (400..<500).contains(reply.status)
        refused += isRefused ? 1 : 0
        let text = String(decoding: body.prefix(200), as: UTF8.self)
        #expect(isRefused || reply.status == 200, "\(path) \(text): \(reply.text)")
        if isRefused { #expect(try !reply.error.message.isEmpty, "\(path) \(text)") }
        if reply.text.contains("server_error") { Issue.record("\(path) \(text): \(reply.text)") }
      }
      // Nearly all of them are wrong somehow, and some are not.
      #expect((6000..<10_000).contains(refused), "\(refused)")
    }
    let state = await server.engine.state
    #expect(state.texts == 0 && state.cacheBytes <= state.keptBytes)
  }

  /// The same on the wire: heads that are broken, lengths that lie, bodies cut off.
  @Test func noConnectionIsTooStrange() async throws {
    let server = try TestServer { $0.limits.bodySeconds = 0.2 }
    try await server.live { client in
      let port = client.port
      let statuses = try await RawConnection.onThread { () throws -> [String] in
        var random = CounterGenerator(seed: 16, stream: .toyLanguage)
        return try (0..<400).map { number in
          let body = Self.body(&random)
          let lie = [0, 0, 0, -1, 3][Int.random(in: 0..<5, using: &random)]
          var bytes = Array(
            "POST \(Self.paths[number % Self.paths.count]) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(max(0, body.count + lie))\r\nConnection: close\r\n\r\n"
              .utf8)
          if number.isMultiple(of: 4) {
            let place = Int.random(in: bytes.indices, using: &random)
            bytes[place] = UInt8.random(in: 0...255, using: &random)
          }
          let connection = try RawConnection(port)
          connection.send(bytes + body)
          // A third hang up without waiting.
          return number.isMultiple(of: 3) ? "" : String(connection.receive(upTo: "\r\n").prefix(12))
        }
      }
      for status in statuses where !status.isEmpty {
        #expect(status.hasPrefix("HTTP/1.1 2") || status.hasPrefix("HTTP/1.1 4"), "\(status)")
      }
      #expect(try await client.get("/health").status == 200)
    }
  }
}
