import EsoLM
import Evaluation
import Files
import Foundation
import TestSupport
import Testing
import Tokenizers
import Torch

import Serving

/// Scores through the interface, against the library's own pass over the whole text.
@Suite("Exact scores")
struct ScoringTests {
  private let path = "/v1/completions"
  private static let methods: [any GenerationMethod] = [
    try! EsotericMethod(alpha0: 0.5), AutoregressiveMethod(start: .init(token: 12, isText: false)),
    AutoregressiveMethod(start: .init(token: 11, isText: true)),
  ]

  /// As EleutherAI's harness asks: ids, echo, one token.
  private func harness(_ prompts: [[Int32]]) -> String {
    #"{"model": "tiny", "prompt": \#(prompts), "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true}"#
  }

  @Test(arguments: 0..<3) func anEchoedPromptIsScoredFromLeftToRight(which: Int) async throws {
    let server = try TestServer(Self.methods[which])
    let prompts = [1, 2, 7, 47].map { length in
      randomSequences(1, length: length, tokens: 11, seed: UInt64(length))[0]
    }
    try await server.test { client in
      let reply = try await client.answer(path, harness(prompts))
      #expect(reply.choices.map { $0["index"]?.integer } == [0, 1, 2, 3])
      for (prompt, choice) in zip(prompts, reply.choices) {
        let list = try #require(choice["logprobs"])
        let (numbers, tops) = (list["token_logprobs"]!.elements!, list["top_logprobs"]!.elements!)
        // The harness cuts the last one blindly.
        #expect(numbers.count == prompt.count + 1 && tops.count == prompt.count + 1)
        #expect(numbers[0].isNull && numbers.dropFirst().allSatisfy { $0.double != nil })
        #expect(tops.dropFirst().allSatisfy { !$0.keys.isEmpty })
        let exact = server.likelihood.logProbabilities([(prompt, .leftToRight(length: prompt.count))])[0]
        let ours = numbers.dropFirst().dropLast().map { $0.double! }
        #expect(distance(ours, Array(exact.suffix(prompt.count - 1))) < 1e-5)
      }
    }
  }

  /// The likeliest token has the same number in both places, and only it has.
  @Test func aTokenIsGreedyWhereItsNumberIsTheLargest() async throws {
    let server = try TestServer()
    let prompt = randomSequences(1, length: 40, tokens: 11)[0]
    let network = server.weights.transformer()
    let generation = try server.method.generation(
      GenerationRequest(length: 40), for: server.weights.configuration)
    let cached = CachedTransformer(network)
    let greedy = try prompt.enumerated().map { place, token in
      let likeliest = try (0..<12).max { a, b in
        func score(_ token: Int) throws -> Double {
          try cached.score(generation, prompt.prefix(place) + [Int32(token)])
        }
        return try score(a) < score(b)
      }
      return likeliest == Int(token)
    }
    try await server.test { client in
      let list = try #require(try await client.answer(path, harness([prompt])).choices[0]["logprobs"])
      let pairs = zip(list["token_logprobs"]!.elements!, list["top_logprobs"]!.elements!).dropFirst().dropLast()
      let ours = pairs.map { number, top in top.keys.compactMap { top[$0]?.double }.max() == number.double }
      #expect(ours == Array(greedy.dropFirst()))
    }
  }

  /// Also where the text ends at once.
  @Test func oneTokenIsToldBehindAPromptEvenIfItEndsTheText() async throws {
    let end = TestServer.tokenizer.endOfText
    try await TestServer().test { client in
      for seed in 0..<60 {
        let reply = try await client.answer(
          path, #"{"prompt": [1, 2, 3], "max_tokens": 1, "logprobs": 1, "echo": true, "seed": \#(seed)}"#)
        let list = try #require(reply.choices[0]["logprobs"])
        #expect(list["tokens"]?.elements?.count == 4 && list["token_logprobs"]?.elements?.count == 4)
        guard reply.reasons == ["stop"] else { continue }
        #expect(list["tokens"]?[3].text == TokenNames(TestServer.tokenizer)[end])
        return
      }
      Issue.record("no text ended at once")
    }
  }

  /// As the harness asks where it is told to send texts instead of ids.
  @Test func aPromptOfTextIsScoredLikeItsTokens() async throws {
    try await TestServer().test { client in
      let ids = try TestServer.tokenizer.encode("abc de")
      let tail = #""temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true"#
      let text = try await client.answer(path, #"{"model": "tiny", "prompt": "abc de", \#(tail)}"#)
      let tokens = try await client.answer(path, #"{"model": "tiny", "prompt": [\#(ids)], \#(tail)}"#)
      #expect(text["choices"]?.strictJSON == tokens["choices"]?.strictJSON)
    }
  }

  /// As the harness asks for texts: more stops than OpenAI's interface has, and nested ids.
  @Test func theHarnessLetsTextsBeWritten() async throws {
    try await TestServer().test { client in
      let prompt = try TestServer.tokenizer.encode("ab")
      let whole = try await client.answer(
        path,
        #"{"model": "tiny", "prompt": [\#(prompt)], "max_tokens": 30, "temperature": 0, "stop": ["zz", "yy", "xx", "ww", "vv"], "seed": 1234}"#
      )
      let again = try await client.answer(path, #"{"prompt": "ab", "max_tokens": 30, "temperature": 0, "seed": 99}"#)
      #expect(whole.texts == again.texts && whole.choices.count == 1)
    }
  }

  /// JSON has no number for it.
  @Test func whatCannotBeIsWrittenAsAFiniteNumber() async throws {
    let (configuration, impossible) = (TestServer.configuration, 3)
    let random = TransformerWeights.random(configuration)
    var parameters = Dictionary(uniqueKeysWithValues: zip(random.names, random.parameters))
    let name = "output_layer.linear.bias"
    var bias: [Float] = try #require(parameters[name]).array()
    bias[impossible] = -.infinity
    parameters[name] = Tensor(bias)
    let weights = try TransformerWeights(configuration, parameters: parameters)
    try await TestServer(weights: weights).test { client in
      let reply = try await client.answer(path, harness([[1, Int32(impossible), 2]]))
      let list = try #require(reply.choices[0]["logprobs"])
      #expect(list["token_logprobs"]?[1].double == -9999)
      #expect(list["token_logprobs"]![2].double! > -100)
    }
  }

  @Test func otherOrdersAreScoredWhereTheyAreAskedFor() async throws {
    let server = try TestServer()
    let prompt = randomSequences(1, length: 12, tokens: 11)[0]
    try await server.test { client in
      let reply = try await client.answer(
        path,
        #"{"prompt": \#(prompt), "max_tokens": 0, "logprobs": 0, "echo": true, "order": "random", "seed": 3}"#)
      let numbers = try #require(reply.choices[0]["logprobs"]?["token_logprobs"]?.elements?.map(\.double))
      let total = numbers.compactMap(\.self).reduce(0, +)
      let sums = try #require(numbers.allSatisfy { $0 != nil } ? total : nil)
      // One of the orders that generation draws: the sum is that of the whole text under it.
      let passage = try Passage(tokens: prompt, roles: prompt.map { _ in .scored })
      let ours = try PassageScoring(server.likelihood, orders: 1, seed: 3).scores(of: [passage])[0].logProbability
      let leftToRight = server.likelihood.logProbabilities([(prompt, .leftToRight(length: 12))])[0].reduce(0, +)
      #expect(abs(sums - ours) < 1e-4 && abs(sums - leftToRight) > 1e-3)
    }
    try await TestServer(Self.methods[1]).test { client in
      let refused = try await client.post(
        path, #"{"prompt": "ab", "max_tokens": 0, "logprobs": 0, "echo": true, "order": "random"}"#)
      #expect(try refused.status == 400 && refused.error.param == "order")
    }
  }

  /// Better an error than numbers that look like scores.
  @Test func aMethodWithoutExactLikelihoodSaysSo() async throws {
    for method in [MaskedDiffusionMethod(), try EsotericMethod(.a, alpha0: 0.5)] as [any GenerationMethod] {
      try await TestServer(method).test { client in
        let reply = try await client.post(path, harness([[1, 2, 3]]))
        #expect(try reply.status == 400 && reply.error.message.contains("no exact likelihood"))
        let plain = try await client.answer(
          path, #"{"prompt": "ab", "max_tokens": 1, "echo": true, "ignore_eos": true}"#)
        #expect(plain.texts[0].hasPrefix("ab") && plain.texts[0].unicodeScalars.count == 3)
      }
    }
  }

  @Test func partsOfATextAreScoredAsTheLibraryDoes() async throws {
    let server = try TestServer()
    let spanned = try SpannedText("abc de.", spans: [1..<3], given: [4..<6])
    let expected = try PassageScoring(server.likelihood, orders: 5, seed: 2)
      .scores(of: [spanned.passage(TestServer.tokenizer)])[0]
    try await server.test { client in
      let reply = try await client.answer(
        "/v1/score", #"{"text": "abc de.", "spans": [[1, 3]], "given": [[4, 6]], "orders": 5, "seed": 2}"#)
      #expect(abs(reply["log_probability"]!.double! - expected.logProbability) < 1e-5)
      #expect(reply["per_order"]?.elements?.count == 5 && reply["tokens"]?.integer == 2)
      for (body, param) in [
        (#"{"text": "abc"}"#, "spans"), (#"{"spans": [[0, 1]]}"#, "text"),
        (#"{"text": "abc", "spans": [[2, 1]]}"#, "spans[0]"),
        (#"{"text": "abc", "spans": [[0, 1], [1, 9]]}"#, "spans[1]"),
        (#"{"text": "abc", "spans": [[0, 1], [1, 2, 3]]}"#, "spans[1]"), (#"{"text": "abc", "spans": []}"#, "spans"),
        (#"{"text": "abc", "spans": [[0, 1], "b"]}"#, "spans[1]"),
        (#"{"text": "abc", "spans": [[2, 3]], "given": [[0, 1], [1, 1]]}"#, "given[1]"),
        (#"{"text": "a!c", "spans": [[0, 1]]}"#, "text"),
        (#"{"text": "abc", "spans": [[0, 1]], "orders": 100000}"#, "orders"),
      ] {
        let refused = try await client.post("/v1/score", body)
        #expect(try refused.status == 400 && refused.error.param == param, "\(body) \(refused.text)")
      }
    }
  }

  @Test func rangesThatOverlapAreBothNamed() async throws {
    try await TestServer().test { client in
      let refused = try await client.post(
        "/v1/score", #"{"text": "abcdef", "spans": [[4, 6], [0, 2]], "given": [[2, 3], [1, 3]]}"#)
      #expect(try refused.error.message == "spans[1] and given[1]: ranges 0:2 and 1:3 overlap", "\(refused.text)")
    }
  }

  /// What the harness asks before its first request.
  @Test func theHarnessFindsATokenizer() async throws {
    try await TestServer().test { client in
      let info = try await client.get("/tokenizer_info", [.authorization: "Bearer "]).json
      let name = try #require(info["eos_token"]?.text)
      let ends = try await client.answer("/tokenize", #"{"prompt": "\#(name)", "add_special_tokens": false}"#)
      #expect(ends["tokens"]?.elements?.map(\.integer) == [Int(TestServer.tokenizer.endOfText)])
      let tokens = try await client.answer("/tokenize", #"{"prompt": "abc d", "add_special_tokens": false}"#)
      let ids = tokens["tokens"]!.strictJSON
      let llama = try await client.answer("/tokenize", #"{"content": "abc d"}"#)
      #expect(llama["tokens"]?.strictJSON == ids)
      let text = try await client.answer("/detokenize", #"{"tokens": \#(String(decoding: ids, as: UTF8.self))}"#)
      #expect(text["prompt"]?.text == "abc d" && text["content"]?.text == "abc d")
      let refused = try await client.post("/detokenize", #"{"tokens": [1, 99]}"#)
      #expect(try refused.error.param == "tokens[1]")
    }
  }
}

extension CachedTransformer {
  /// log p of the last of some tokens, each written after those before it.
  fileprivate func score(_ generation: Generation, _ tokens: [Int32]) throws -> Double {
    try generation.logProbabilities(
      ofWriting: [tokens.enumerated().map { (position: $0, token: $1) }], under: self)![0].last!
  }
}
