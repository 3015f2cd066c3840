import EsoLM
import Files
import Foundation
import Testing

import Serving

/// The bodies that real clients send.
@Suite("Doors of editors")
struct DoorTests {
  // MARK: Markers in the prompt

  @Test(arguments: [
    "<fim_prefix>ab<fim_suffix>cd<fim_middle>", "<|fim_prefix|>ab<|fim_suffix|>cd<|fim_middle|>",
    "<PRE> ab <SUF>cd <MID>",
  ])
  func markersMakeAHole(prompt: String) async throws {
    #expect(FIMMarkers.parse(prompt).map { [$0.prefix, $0.suffix] } == ["ab", "cd"])
    try await TestServer().test { client in
      // Zed.
      let reply = try await client.answer(
        "/v1/completions",
        #"{"model": "tiny", "prompt": "\#(prompt)", "max_tokens": 8, "stop": ["<|endoftext|>"], "seed": 5}"#)
      let suffix = try await client.answer(
        "/v1/completions", #"{"prompt": "ab", "suffix": "cd", "max_tokens": 8, "seed": 5}"#)
      #expect(reply.texts == suffix.texts && reply.texts[0].count <= 8)
      #expect(reply["usage"]?.strictJSON == suffix["usage"]?.strictJSON)
      #expect(Set(reply.keys).isSuperset(of: ["id", "object", "created", "model", "choices", "usage"]))
    }
  }

  @Test func textThatOnlyMentionsMarkersIsText() {
    for text in ["ab", "<fim_prefix>ab", "<fim_prefix>ab<fim_middle>", "x<fim_prefix>a<fim_suffix>b<fim_middle>", ""] {
      #expect(FIMMarkers.parse(text) == nil)
    }
    #expect(FIMMarkers.parse("<fim_prefix><fim_suffix><fim_middle>").map { [$0.prefix, $0.suffix] } == ["", ""])
  }

  @Test func anEditorsTextIsCutToWhatIsNearest() throws {
    let model = try TestServer().server.handlers.model
    let (before, after) = (String(repeating: "a", count: 500) + "bcd", "efg" + String(repeating: "h", count: 500))
    for most in [0, 1, 10, 47, 48, 10_000_000] {
      let template = try EditorHole(prefix: before, suffix: after, most: most).template(for: model)
      let tokens = try template.tokens(model.tokenizer)
      #expect(tokens.count == model.length)
      #expect(tokens.count { $0 == nil } == min(most, model.length / 2))
      guard most > 0, let gap = tokens.firstIndex(of: nil) else { continue }
      #expect(model.tokenizer.decode(tokens[..<gap].map { $0! }).hasSuffix("bcd"))
      #expect(model.tokenizer.decode(tokens[gap...].compactMap(\.self)).hasPrefix("efg"))
    }
    // What is short stays whole, whichever side it is on.
    let template = try EditorHole(prefix: "ab", suffix: after, most: 8).template(for: model)
    let tokens = try template.tokens(model.tokenizer)
    #expect(tokens.count == model.length && tokens.firstIndex(of: nil) == 2)
  }

  // MARK: Continue

  @Test func fimCompletionsAnswerLikeAChat() async throws {
    try await TestServer().test { client in
      let body =
        #""model": "tiny", "prompt": "abc ", "suffix": " def", "max_tokens": 12, "temperature": 0.5, "top_p": 0.9, "stop": ["\n\n"], "seed": 3"#
      for path in ["/v1/fim/completions", "/fim/completions"] {
        let whole = try await client.answer(path, "{\(body)}")
        let text = try #require(whole.choices[0]["message"]?["content"]?.text)
        #expect(whole["usage"]?["prompt_tokens"]?.integer == 8 && text.count <= 12)
        let events = try await client.post(path, #"{\#(body), "stream": true}"#).events()
        #expect(events.compactMap { $0.choices[0]["delta"]?["content"]?.text }.joined() == text)
        #expect(events.last?.choices[0]["finish_reason"]?.text == whole.choices[0]["finish_reason"]?.text)
        #expect(events.dropLast().allSatisfy { $0.choices[0]["finish_reason"]?.isNull == true })
      }
    }
  }

  // MARK: llama.vim, llama.vscode

  private let llama = #"""
    "id_slot": 0, "input_prefix": "abc\nde", "input_suffix": "fg\n", "input_extra": [{"filename": "b.txt", "text": "ab\n", "time": 1}],
    "prompt": "ab", "n_indent": 0, "top_k": 40, "top_p": 0.90, "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000, "stop": []
    """#

  @Test func llamaEditorsAreAnswered() async throws {
    let tokenizer = ByteLetters.tokenizer
    try await TestServer(tokenizer: tokenizer, length: 60).test { client in
      let fields = #""response_fields": ["content", "timings/prompt_n", "timings/predicted_ms", "truncated", "none/x"]"#
      let reply = try await client.answer(
        "/infill", #"{\#(llama), "n_predict": 8, "stream": false, "seed": 2, \#(fields)}"#)
      #expect(reply.keys == ["content", "timings/prompt_n", "timings/predicted_ms", "truncated"])
      #expect(try #require(reply["content"]?.text).count <= 8 && reply["timings/prompt_n"]!.integer! > 8)
      // Before it needs anything: the text around the cursor is to be known already.
      let priming = try await client.answer("/infill", #"{\#(llama), "n_predict": 0}"#)
      #expect(priming["content"]?.text == "" && priming["tokens_predicted"]?.integer == 0)
      let several = try await client.answer("/infill", #"{\#(llama), "n_predict": 6, "n_cmpl": 3, "seed": 1}"#)
      #expect(several.elements?.map { $0["index"]?.integer } == [0, 1, 2])
      let one = try await client.answer("/infill", #"{\#(llama), "n_predict": 6, "n_cmpl": 1}"#)
      #expect(one["content"]?.text != nil)
      // The same text several times at once, without a seed: other fillings.
      var texts: Set<String> = []
      for _ in 0..<6 {
        texts.insert(try await client.answer("/infill", #"{\#(llama), "n_predict": 20}"#)["content"]!.text!)
      }
      #expect(texts.count > 1)
    }
  }

  /// The line that names a file is the server's own.
  @Test func aFilesNameIsLeftOutWhereTheTokenizerHasNoLettersForIt() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(
        "/infill",
        #"{"input_extra": [{"filename": "X!.txt", "text": "abc"}, {"text": "de"}], "input_prefix": "fg", "n_predict": 1}"#
      )
      #expect(reply["timings"]?["prompt_n"]?.integer == 4 + 3 + 2)
      let refused = try await client.post("/infill", #"{"input_extra": [{"text": "X!"}], "input_prefix": "a"}"#)
      #expect(refused.status == 400)
    }
  }

  @Test func llamaCompletionsAreAnswered() async throws {
    try await TestServer().test { client in
      let body = #""prompt": "abc", "n_predict": 9, "seed": 4, "temperature": 1.0, "cache_prompt": true"#
      let whole = try await client.answer("/completion", "{\(body)}")
      let fields = [
        "content", "tokens", "stop", "stop_type", "stopping_word", "timings", "tokens_cached", "tokens_evaluated",
        "truncated",
      ]
      #expect(Set(whole.keys).isSuperset(of: fields), "\(whole.keys)")
      #expect(whole["stop"]?.bool == true && ["limit", "eos"].contains(whole["stop_type"]?.text))
      #expect(whole["tokens_evaluated"]?.integer == 3)
      #expect(whole["timings"]?["prompt_n"]?.integer == 3 && whole["timings"]?["predicted_per_second"]?.double != nil)
      #expect(whole["tokens"]?.elements?.count == whole["tokens_predicted"]?.integer)
      let ids = try TestServer.tokenizer.encode("abc")
      let same = try await client.answer(
        "/completion", #"{"prompt": \#(ids), "n_predict": 9, "seed": 4, "temperature": 1.0}"#)
      #expect(same["content"]?.text == whole["content"]?.text)
      let streamed = try await client.post("/completion", #"{\#(body), "stream": true}"#)
      let parts = try streamed.text.components(separatedBy: "\n\n").dropLast().map {
        try JSONValue(parsing: $0.dropFirst("data: ".count).utf8)
      }
      #expect(parts.compactMap { $0["content"]?.text }.joined() == whole["content"]?.text)
      #expect(parts.map { $0["stop"]?.bool } == Array(repeating: false, count: parts.count - 1) + [true])
      _ = try await client.answer("/completion", #"{"prompt": "abc", "n_predict": -1, "seed": -1}"#)
      #expect(try await client.get("/health").text == #"{"status":"ok"}"#)
    }
  }

  @Test func llamasClientsAreToldWhatEndedAText() async throws {
    try await TestServer().test { client in
      func end(_ stop: [String], _ count: Int, _ seed: Int) async throws -> (
        content: String, type: String?, word: String?
      ) {
        let stop = String(decoding: try JSONEncoder().encode(stop), as: UTF8.self)
        let body = #""prompt": "ab", "n_predict": \#(count), "seed": \#(seed), "stop": \#(stop)"#
        let reply = try await client.answer("/completion", "{\(body)}")
        let streamed = try await client.post("/completion", #"{\#(body), "stream": true}"#)
        let last = try JSONValue(
          parsing: #require(streamed.text.components(separatedBy: "\n\n").dropLast().last).dropFirst("data: ".count)
            .utf8)
        for name in ["stop_type", "stopping_word"] { #expect(last[name]?.text == reply[name]?.text) }
        return (try #require(reply["content"]?.text), reply["stop_type"]?.text, reply["stopping_word"]?.text)
      }
      var types: Set<String> = []
      for seed in 0..<12 {
        let whole = try await end(["zz"], 20, seed)
        let type = try #require(whole.type)
        types.insert(type)
        #expect(whole.word == "" && (type == "limit") == (whole.content.count == 20))
        guard whole.content.count > 6 else { continue }
        // One that lies in the text, of one letter and of three.
        for length in [1, 3] {
          let word = String(whole.content.dropFirst(4).prefix(length))
          let cut = try await end(["zz", word], 20, seed)
          #expect(cut.type == "word" && cut.word == word)
          #expect(cut.content == whole.content[..<whole.content.range(of: word)!.lowerBound])
        }
      }
      #expect(types == ["limit", "eos"])
    }
  }

  // MARK: Ollama

  @Test func ollamasClientsAreAnswered() async throws {
    try await TestServer().test { client in
      let show = try await client.answer("/api/show", #"{"model": "tiny:latest"}"#)
      #expect(show["template"]?.text?.contains(".Suffix") == true)
      let body =
        #""model": "tiny", "prompt": "abc ", "suffix": " def", "raw": true, "options": {"num_predict": 10, "temperature": 0.01, "top_p": 0.9, "top_k": 40, "stop": ["\n\n"], "num_ctx": 4096, "seed": 3}, "keep_alive": 1800"#
      let whole = try await client.answer("/api/generate", #"{\#(body), "stream": false}"#)
      #expect(whole["done"]?.bool == true && whole["prompt_eval_count"]?.integer == 8)
      let streamed = try await client.post("/api/generate", "{\(body)}")
      #expect(streamed.headers[.contentType] == "application/x-ndjson")
      let lines = try streamed.text.split(separator: "\n").map { try JSONValue(parsing: $0.utf8) }
      #expect(lines.compactMap { $0["response"]?.text }.joined() == whole["response"]?.text)
      #expect(lines.map { $0["done"]?.bool } == Array(repeating: false, count: lines.count - 1) + [true])
      #expect(lines.last?["done_reason"]?.text == whole["done_reason"]?.text)
      #expect(try await client.answer("/api/generate", #"{"model": "tiny"}"#)["done_reason"]?.text == "load")
      #expect(try await client.post("/api/generate", #"{"model": "llama3", "prompt": "a"}"#).status == 404)
      #expect(try await client.get("/api/tags").json["models"]?[0]["name"]?.text == "tiny")
    }
    try await TestServer(AutoregressiveMethod(start: .init(token: 12, isText: false))).test { client in
      let show = try await client.answer("/api/show", #"{"model": "tiny"}"#)
      #expect(show["template"]?.text?.contains(".Suffix") == false)
    }
  }

  // MARK: Several holes

  @Test(arguments: [
    "", #", "draft": 3"#, #", "draft": "auto", "draft_order": "farthest-first""#,
    #", "schedule": "adaptive", "choose": "margin", "threshold": 0.2, "window": 4, "candidate_order": "farthest-first""#,
  ])
  func aTemplateIsFilled(how: String) async throws {
    try await TestServer().test { client in
      let body = #""template": "ab[[3]]cd[[..6]]ef", "seed": 4, "n": 3, "logprobs": 2"# + how
      let whole = try await client.answer("/v1/infill", "{\(body)}")
      for choice in whole.choices {
        let fillings = try #require(choice["fillings"]?.elements?.map { $0.text! })
        #expect(fillings.count == 2 && fillings[0].count <= 3 && fillings[1].count <= 6)
        #expect(choice["text"]?.text == "ab\(fillings[0])cd\(fillings[1])ef")
        let sum = choice["written"]!.elements!.reduce(0) { $0 + $1["logprob"]!.double! }
        #expect(abs(sum - choice["model_log_probability"]!.double!) < 1e-9)
        #expect(choice["one_at_a_time_log_probability"]?.double != nil)
        #expect((choice["accepted"]?.integer != nil) == how.contains("draft"))
      }
      let events = try await client.post("/v1/infill", #"{\#(body), "stream": true}"#).events()
      #expect(events.filter { $0["object"]?.text == "infill.start" }.count == 3)
      let done = events.filter { $0["object"]?.text == "infill.done" }.map { $0.choices[0] }
      #expect(
        done.sorted { $0["index"]!.integer! < $1["index"]!.integer! }.map(\.strictJSON)
          == whole.choices.map(\.strictJSON))
      // What the steps wrote is what the text holds.
      for choice in whole.choices {
        let own = events.filter { $0["index"]?.integer == choice["index"]?.integer }
        var tokens = own[0]["template"]!.elements!.map { $0["text"]?.text }
        for step in own.dropFirst() {
          for written in step["written"]!.elements! {
            #expect(tokens[written["position"]!.integer!] == nil && written["alternatives"]?.elements?.count == 2)
            tokens[written["position"]!.integer!] = written["text"]!.text!
          }
        }
        #expect(tokens.map { $0! }.joined() == choice["text"]?.text)
      }
      let neighbours = try await client.answer("/v1/infill", #"{"template": "a[[2]][[..3]][[1]]b", "seed": 1}"#)
      let fillings = try #require(neighbours.choices[0]["fillings"]?.elements?.map { $0.text! })
      #expect(fillings.count == 3 && "a\(fillings.joined())b" == neighbours.choices[0]["text"]?.text)
      for (body, param) in [
        (#"{"template": "ab"}"#, "template"), ("{}", "template"), (#"{"template": "a[[x]]"}"#, "template"),
        (#"{"template": "a[[1000000]]"}"#, "template"), (#"{"template": "a[[9999999999999999999]]"}"#, "template"),
        (#"{"template": "!![[5]]"}"#, "template"),
        // More than any memory, in a short text.
        (#"{"template": "\#(String(repeating: "[[1048576]]", count: 100_000))"}"#, "template"),
      ] {
        let refused = try await client.post("/v1/infill", body)
        #expect(try refused.status == 400 && refused.error.param == param, "\(refused.text)")
      }
    }
    try await TestServer(MaskedDiffusionMethod()).test { client in
      let refused = try await client.post("/v1/infill", #"{"template": "a[[..5]]b"}"#)
      #expect(try refused.status == 400 && refused.error.message.contains("open length"))
      _ = try await client.answer("/v1/infill", #"{"template": "a[[5]]b"}"#)
    }
  }
}
