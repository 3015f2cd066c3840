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
    (#"{"prompt": "a", "min_tokens": 5}"#, "min_tokens"), (#"{"prompt": "a", "min_p": 0.1}"#, "min_p"),
    (#"{"prompt": "a", "repetition_penalty": 0}"#, "repetition_penalty"),
    (#"{"prompt": "a", "grammar": "root ::= [a-z]"}"#, "grammar"), (#"{"prompt": "a", "max_token": 5}"#, "max_token"),
    (#"{"prompt": "a", "alpha0": 2}"#, "alpha0"), (#"{"prompt": "a", "steps": 0}"#, "steps"),
    (#"{"prompt": "a", "schedule": "x"}"#, "schedule"), (#"{"prompt": "a", "schedule": "first-hitting"}"#, "schedule"),
    (#"{"prompt": "a", "schedule": "block", "steps": 40, "max_tokens": 5}"#, "steps"),
    (#"{"prompt": "a", "draft": 65}"#, "draft"), (#"{"prompt": "a", "draft": "much"}"#, "draft"),
    (#"{"prompt": "a", "draft_order": "random"}"#, "draft_order"),
    (#"{"prompt": "a", "draft": 4, "schedule": "block"}"#, "schedule"),
    (#"{"prompt": "a", "threshold": 1}"#, "schedule"), (#"{"prompt": "a", "threshold": -1}"#, "threshold"),
    (#"{"prompt": "a", "schedule": "adaptive", "choose": "luck"}"#, "choose"),
    (#"{"prompt": "a", "schedule": "adaptive", "calls": 0}"#, "calls"),
    (#"{"prompt": "a", "schedule": "adaptive", "window": 0}"#, "window"),
    (#"{"prompt": "a", "schedule": "adaptive", "candidate_order": "nearest"}"#, "candidate_order"),
    (#"{"prompt": "a", "candidate_order": "random"}"#, "schedule"),
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
        #"{"prompt": "a", "max_tokens": null, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "user": "x", "top_p": 1, "stop": null, "n": null, "suffix": null, "stream_options": null, "min_tokens": 0, "repetition_penalty": 1.0, "grammar": "", "unknown": null}"#
      )
    }
  }

  // Editors' doors take fields that nobody here reads, but not those that are known to change how texts are distributed.
  @Test(arguments: [
    ("typical_p", "0.9", "1"), ("tfs_z", "0.5", "1.0"), ("top_n_sigma", "2", "-1"), ("xtc_probability", "0.1", "0"),
    ("dynatemp_range", "0.5", "0.0"), ("dry_multiplier", "0.8", "0"), ("mirostat", "2", "0"),
    ("top_n_sigma", "1", "0.0"), ("typical_p", "0.5", "1.5"), ("repeat_penalty", "1.1", "1.0"), ("min_p", "0.05", "0"),
    ("json_schema", #"{"type": "object"}"#, "null"), ("json_schema", "{}", #""""#),
    ("grammar", #""root ::= [a-z]""#, #""""#),
  ])
  func editorsMayNotChangeTheDistribution(name: String, value: String, neutral: String) async throws {
    let doors: [(path: String, body: @Sendable (String) -> String)] = [
      ("/completion", { #"{"prompt": "a", "n_predict": 2, \#($0)}"# }),
      ("/infill", { #"{"input_prefix": "a", "input_suffix": "b", "n_predict": 2, \#($0)}"# }),
      ("/v1/fim/completions", { #"{"prompt": "a", "suffix": "b", "max_tokens": 2, \#($0)}"# }),
      (
        "/api/generate",
        { #"{"model": "tiny", "prompt": "a", "stream": false, "options": {"num_predict": 2, \#($0)}}"# }
      ),
    ]
    try await TestServer().test { client in
      for door in doors {
        let refused = try await client.post(door.path, door.body(#""\#(name)": \#(value)"#))
        #expect(refused.status == 400 && refused.text.contains(name), "\(door.path): \(refused.text)")
        _ = try await client.answer(door.path, door.body(#""\#(name)": \#(neutral)"#))
      }
    }
  }

  @Test func ollamasFormatIsRefused() async throws {
    try await TestServer().test { client in
      for format in [#""json""#, "{}", #"{"type": "object"}"#] {
        let refused = try await client.post("/api/generate", #"{"model": "tiny", "prompt": "a", "format": \#(format)}"#)
        #expect(refused.status == 400 && refused.text.contains("format"), "\(refused.text)")
      }
      let endless = try await client.post("/completion", #"{"prompt": "a", "n_predict": 2, "ignore_eos": true}"#)
      #expect(endless.status == 400 && endless.text.contains("ignore_eos"), "\(endless.text)")
      _ = try await client.answer(
        "/api/generate",
        #"{"model": "tiny", "prompt": "a", "format": "", "stream": false, "options": {"num_predict": 2}}"#)
    }
  }

  /// The paths of our own know no others' fields; editors send much that is about another server's workings.
  @Test func fieldsThatNobodyReadsAreSaid() async throws {
    try await TestServer().test { client in
      for (path, body) in [
        ("/v1/completions", #""prompt": "a""#), ("/v1/infill", #""template": "a[[2]]""#),
        ("/v1/score", #""text": "ab", "spans": [[0, 1]]"#),
      ] {
        let refused = try await client.post(path, #"{\#(body), "alpha_0": 1}"#)
        #expect(try refused.status == 400 && refused.error.param == "alpha_0", "\(refused.text)")
        #expect(try refused.error.message.contains("'alpha_0' is no field of this request, expected alpha0, "))
        let unmet = try await client.post(path, #"{\#(body), "presence_penalty": 1}"#)
        #expect(try unmet.status == 400 && unmet.error.param == "presence_penalty", "\(unmet.text)")
        _ = try await client.answer(path, "{\(body)}")
      }
      for (path, body, options) in [
        ("/infill", #""input_prefix": "a", "n_predict": 1"#, false),
        ("/completion", #""prompt": "a", "n_predict": 1"#, false),
        ("/v1/fim/completions", #""prompt": "a", "max_tokens": 1"#, false),
        ("/api/generate", #""model": "tiny", "prompt": "a", "stream": false"#, true),
      ] {
        let fields = [#""id_slot": 3"#, #""min_tokens": 2"#].map { options ? #""options": {\#($0)}"# : $0 }
        _ = try await client.answer(path, "{\(body), \(fields[0])}")
        let refused = try await client.post(path, "{\(body), \(fields[1])}")
        #expect(try refused.status == 400 && refused.error.param == "min_tokens", "\(refused.text)")
      }
    }
  }

  /// Waiting would not help.
  @Test func moreTextsThanThereCanBeAreRefusedForGood() async throws {
    let server = try TestServer {
      $0.limits.places = 2
      $0.limits.queue = 1
    }
    try await server.test { client in
      for (path, body, param) in [
        ("/v1/completions", #"{"prompt": "a", "n": 4}"#, "n"),
        ("/v1/completions", #"{"prompt": "a", "best_of": 4}"#, "best_of"),
        ("/v1/completions", #"{"prompt": ["a", "b"], "n": 2}"#, "prompt"),
        ("/v1/infill", #"{"template": "[[2]]", "n": 4}"#, "n"),
        ("/infill", #"{"input_prefix": "a", "n_cmpl": 4}"#, "n_cmpl"),
      ] {
        let refused = try await client.post(path, body)
        #expect(try refused.status == 400 && refused.error.param == param, "\(refused.text)")
      }
      _ = try await client.answer("/v1/completions", #"{"prompt": "a", "n": 3, "max_tokens": 1}"#)
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
      let nothing = try await client.get("/v1/nothing").error
      #expect(nothing.code == "not_found" && nothing.message.contains("GET '/v1/nothing', expected one of GET /, "))
      #expect(nothing.message.contains("POST /v1/infill") && nothing.message.contains("GET /v1/models/{model}"))
      let wrong = try await client.get("/v1/completions")
      #expect(
        try wrong.status == 405 && wrong.headers[.allow] == "POST" && wrong.error.message.contains("expected POST"))
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
