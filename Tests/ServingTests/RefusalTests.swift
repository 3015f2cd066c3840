import EsoLM
import Files
import Foundation
import CommandSupport
import HTTPTypes
import Testing
import Tokenizers

import Serving

@Suite("What is refused")
struct RefusalTests {
  /// Bodies with the field that the error names.
  static let bodies: [(body: String, param: String?)] = [
    ("", nil), ("[]", nil), ("3", nil), ("{", nil), (#"{"prompt": "a""#, nil), (#"{"prompt": "a"} x"#, nil),
    (#"{"prompt": 5}"#, "prompt"), (#"{"prompt": {}}"#, "prompt"), (#"{"prompt": []}"#, "prompt"),
    (#"{"prompt": [1, "a"]}"#, "prompt[1]"), (#"{"prompt": ["a", 1]}"#, "prompt[1]"),
    (#"{"prompt": [[1], 2]}"#, "prompt[1]"), (#"{"prompt": [[1, 99]]}"#, "prompt[0][1]"),
    (#"{"prompt": [1.5]}"#, "prompt[0]"), (#"{"prompt": [-1]}"#, "prompt[0]"), (#"{"prompt": [1e300]}"#, "prompt[0]"),
    (#"{"prompt": "a!"}"#, "prompt"), (#"{"prompt": "a", "max_tokens": -1}"#, "max_tokens"),
    (#"{"prompt": "a", "max_tokens": 9223372036854775807}"#, "max_tokens"),
    (#"{"prompt": "a", "max_tokens": 9223372036854775808}"#, "max_tokens"),
    (#"{"prompt": "a", "max_tokens": 1e18}"#, "max_tokens"), (#"{"prompt": "a", "max_tokens": "5"}"#, "max_tokens"),
    (#"{"prompt": "a", "max_tokens": 48}"#, "prompt"), (#"{"prompt": "a", "max_tokens": 5.5}"#, "max_tokens"),
    (#"{"prompt": "a", "n": 0}"#, "n"), (#"{"prompt": "a", "n": 129}"#, "n"),
    (#"{"prompt": "a", "n": 3, "best_of": 2}"#, "best_of"),
    (#"{"prompt": "a", "best_of": 2, "stream": true}"#, "best_of"),
    (#"{"prompt": ["a", "b"], "n": 100}"#, "prompt"), (#"{"prompt": "a", "temperature": -1}"#, "temperature"),
    (#"{"prompt": "a", "temperature": NaN}"#, "temperature"), (#"{"prompt": "a", "top_p": 1.5}"#, "top_p"),
    (#"{"prompt": "a", "seed": 1e300}"#, "seed"), (#"{"prompt": "a", "seed": 0.5}"#, "seed"),
    (#"{"prompt": "a", "logprobs": 6}"#, "logprobs"), (#"{"prompt": "a", "logprobs": true}"#, "logprobs"),
    (#"{"prompt": "a", "stop": ""}"#, "stop"), (#"{"prompt": "a", "stop": [1]}"#, "stop[0]"),
    (#"{"prompt": "a", "stop": "\#(String(repeating: "b", count: 1025))"}"#, "stop"),
    (#"{"prompt": "a", "stop": \#((0..<17).map { "\($0)" })}"#, "stop"), (#"{"prompt": "a", "stop": {}}"#, "stop"),
    (#"{"prompt": "a", "stream_options": {"include_usage": true}}"#, "stream_options"),
    (#"{"prompt": "a", "stream": 1}"#, "stream"), (#"{"prompt": "a", "echo": "x"}"#, "echo"),
    (#"{"prompt": "a", "suffix": "b", "echo": true}"#, "echo"), (#"{"prompt": "a", "suffix": 1}"#, "suffix"),
    (#"{"prompt": "a", "presence_penalty": 0.5}"#, "presence_penalty"),
    (#"{"prompt": "a", "frequency_penalty": 3}"#, "frequency_penalty"),
    (#"{"prompt": "a", "logit_bias": {"5": 1}}"#, "logit_bias"), (#"{"prompt": "a", "logit_bias": 5}"#, "logit_bias"),
    (#"{"prompt": "a", "alpha0": 2}"#, "alpha0"), (#"{"prompt": "a", "steps": 0}"#, "steps"),
    (#"{"prompt": "a", "schedule": "x"}"#, "schedule"), (#"{"prompt": "a", "schedule": "left-to-right"}"#, "schedule"),
    (#"{"prompt": "a", "schedule": "block", "steps": 40, "max_tokens": 5}"#, "steps"),
    (#"{"prompt": "a", "order": "upwards"}"#, "order"), (#"{"prompt": "\#u{00}"}"#, nil),
    (#"{"prompt": "a", "x": \#(String(repeating: "[", count: 100))}"#, nil),
  ]

  @Test func everyMistakeIsNamed() async throws {
    try await TestServer().test { client in
      for (body, param) in Self.bodies {
        let reply = try await client.post("/v1/completions", body)
        let error = try reply.error
        #expect(reply.status == 400 && error.type == "invalid_request_error", "\(body): \(reply.text)")
        #expect(error.param == param && !error.message.contains("\n"), "\(body): \(reply.text)")
      }
      // What clients send though it means nothing is no mistake.
      _ = try await client.answer(
        "/v1/completions",
        #"{"prompt": "a", "max_tokens": null, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "user": "x", "top_p": 1, "stop": null, "n": null, "suffix": null, "stream_options": null, "unknown": [1, {}]}"#
      )
    }
  }

  @Test func aTextThatIsTooLongIsSaidInNumbers() async throws {
    try await TestServer().test { client in
      let long = try await client.post("/v1/completions", #"{"prompt": "\#(String(repeating: "a", count: 60))"}"#)
      #expect(try long.error.code == "context_length_exceeded" && long.error.message.contains("at most 48"))
      let ids = try await client.post("/v1/completions", #"{"prompt": [\#([Int](repeating: 1, count: 3000))]}"#)
      #expect(try ids.status == 400 && ids.error.message.contains("3000"))
      // Who names no number gets what is left.
      let rest = try await client.answer(
        "/v1/completions", #"{"prompt": "\#(String(repeating: "a", count: 45))", "ignore_eos": true}"#)
      #expect(rest["usage"]?["completion_tokens"]?.integer == 3)
    }
  }

  @Test func modelsHaveOneName() async throws {
    try await TestServer().test { client in
      let reply = try await client.post("/v1/completions", #"{"model": "gpt-4", "prompt": "a"}"#)
      #expect(
        try reply.status == 404 && reply.error.code == "model_not_found" && reply.error.message.contains("'tiny'"))
      let list = try await client.get("/v1/models").json
      #expect(list["data"]?[0]["id"]?.text == "tiny" && list["object"]?.text == "list")
      #expect(try await client.get("/v1/models/tiny").status == 200)
      #expect(try await client.get("/v1/models/other").status == 404)
      #expect(try await client.get("/v1/nothing").error.code == "not_found")
      #expect(try await client.get("/v1/completions").status == 404)
    }
  }

  @Test func aBodyThatIsTooLargeIsRefused() async throws {
    try await TestServer { $0.limits.bodyBytes = 1000 }.test { client in
      let reply = try await client.post("/v1/completions", #"{"prompt": "\#(String(repeating: "a", count: 2000))"}"#)
      #expect(try reply.status == 413 && reply.error.message.contains("at most 1000"))
    }
    try await TestServer { $0.limits.totalBodyBytes = 10 }.test { client in
      let reply = try await client.post("/v1/completions", #"{"prompt": "aaaaaaaaaaaaa"}"#)
      #expect(reply.status == 503)
    }
  }

  // MARK: Who may ask

  @Test(
    arguments: [
      ("evil.example", nil, 403), ("evil.example:8080", nil, 403), ("localhost.evil.example", nil, 403),
      ("", nil, 403), ("localhost:8080", nil, 200), ("127.0.0.1:8080", nil, 200), ("[::1]:8080", nil, 200),
      ("mine.example", nil, 200), ("localhost", "https://evil.example", 403), ("localhost", "null", 403),
      ("localhost:1", "http://localhost:1", 200), ("localhost:1", "http://localhost:2", 403),
      ("localhost", "https://friend.example", 200), ("mine.example", "https://mine.example", 200),
    ] as [(String, String?, Int)])
  func pagesFromElsewhereAreRefused(host: String, origin: String?, status: Int) async throws {
    let server = try TestServer {
      $0.hosts = ["mine.example"]
      $0.origins = ["https://friend.example"]
    }
    try await server.live { port in
      for (method, path) in [("GET", "/health"), ("POST", "/v1/completions")] {
        let body = method == "POST" ? #"{"prompt": "a", "max_tokens": 1}"# : ""
        let head =
          "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n"
          + (origin.map { "Origin: \($0)\r\n" } ?? "")
          + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
        let reply = try await RawConnection.ask(port, head + body)
        #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(reply)")
        #expect(reply.lowercased().contains("access-control-allow-origin") == (origin == "https://friend.example"))
      }
    }
  }

  @Test func anAllowedPageMayAskWhatItMaySend() async throws {
    let server = try TestServer {
      $0.origins = ["https://friend.example"]
      $0.key = Array("secret".utf8)
    }
    try await server.test { client in
      let allowed = try await client.send(.options, "/v1/completions", nil, [.origin: "https://friend.example"])
      #expect(allowed.status == 204 && allowed.headers[.accessControlAllowHeaders]?.contains("authorization") == true)
      let refused = try await client.send(.options, "/v1/completions", nil, [.origin: "https://evil.example"])
      #expect(refused.status == 403 && refused.headers[.accessControlAllowOrigin] == nil)
      let unknown = try await client.post("/v1/completions", "{}", [.origin: "https://friend.example"])
      #expect(unknown.status == 401 && unknown.headers[.accessControlAllowOrigin] == "https://friend.example")
    }
  }

  @Test func whoHasNoKeyIsRefused() async throws {
    try await TestServer { $0.key = Array("secret".utf8) }.test { client in
      for header in ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer Secret", "Basic secret"] {
        let reply = try await client.post("/v1/completions", #"{"prompt": "a"}"#, [.authorization: header])
        #expect(try reply.status == 401 && reply.error.code == "invalid_api_key", "\(header)")
      }
      #expect(try await client.get("/metrics").status == 401)
      for path in ["/health", "/", "/page.js", "/page.css"] { #expect(try await client.get(path).status == 200) }
      let reply = try await client.post("/v1/completions", #"{"prompt": "a"}"#, [.authorization: "Bearer secret"])
      #expect(reply.status == 200)
    }
    // Without a key any header will do, also an empty one.
    try await TestServer().test { client in
      let reply = try await client.get("/v1/models", [.authorization: "Bearer "])
      #expect(reply.status == 200)
    }
  }

  @Test func keysAreComparedWhole() {
    let key = Array("secret".utf8)
    for (given, isEqual) in [("secret", true), ("", false), ("secre", false), ("secrets", false), ("tecret", false)] {
      #expect(Secret.areEqual(Array(given.utf8), key) == isEqual)
    }
  }

  @Test func aTokenizerWithoutTextIsRefused() throws {
    #expect(throws: ConfigurationError.self) { try TestServer(tokenizer: NumberTokenizer(vocabularySize: 12)) }
  }
}
