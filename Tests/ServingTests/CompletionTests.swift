import EsoLM
import Files
import Foundation
import Prompts
import TestSupport
import Testing
import Tokenizers
import Torch

import Serving

@Suite("Completions")
struct CompletionTests {
  private let path = "/v1/completions"

  // MARK: What comes back

  @Test func theReplyHasTheInterfacesShape() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(path, #"{"model": "tiny", "prompt": "abc", "max_tokens": 5, "user": "me"}"#)
      #expect(reply.keys == ["id", "object", "created", "model", "choices", "usage", "seed"])
      #expect(reply["object"]?.text == "text_completion" && reply["model"]?.text == "tiny")
      #expect(reply.choices[0].keys == ["index", "text", "logprobs", "finish_reason"])
      #expect(reply.choices[0]["logprobs"]?.isNull == true)
      #expect(reply["usage"]?["prompt_tokens"]?.integer == 3)
      #expect(reply["usage"]?["total_tokens"]?.integer == 3 + reply["usage"]!["completion_tokens"]!.integer!)
    }
  }

  /// The same tokens as the sampler's, which the commands write with.
  @Test func textIsWhatTheSamplerWrites() async throws {
    let server = try TestServer()
    let request = GenerationRequest(
      template: try PromptTemplate(prompt: "abc", hole: 20).tokens(TestServer.tokenizer), seed: 7,
      number: 0)
    let generation = try server.method.generation(request, for: server.weights.configuration)
    let expected = try written([generation], by: CachedTransformer(server.weights.transformer()))[0]
    let text = TestServer.tokenizer.decode(expected.tokens.dropFirst(3).prefix { $0 != TestServer.tokenizer.endOfText })
    try await server.test { client in
      let reply = try await client.answer(path, #"{"prompt": "abc", "max_tokens": 20, "seed": 7}"#)
      #expect(reply.texts == [text])
      #expect(reply["seed"]?.integer == 7)
    }
  }

  @Test func promptsComeInFourForms() async throws {
    try await TestServer().test { client in
      let tail = #""max_tokens": 6, "seed": 3"#
      let (abc, de) = (try TestServer.tokenizer.encode("abc"), try TestServer.tokenizer.encode("de"))
      let text = try await client.answer(path, #"{"prompt": "abc", \#(tail)}"#)
      let ids = try await client.answer(path, #"{"prompt": \#(abc), \#(tail)}"#)
      let texts = try await client.answer(path, #"{"prompt": ["abc", "de"], \#(tail), "n": 2}"#)
      let nested = try await client.answer(path, #"{"prompt": [\#(abc), \#(de)], \#(tail), "n": 2}"#)
      #expect(texts.choices.map { $0["index"]?.integer } == [0, 1, 2, 3])
      #expect(texts["usage"]?["prompt_tokens"]?.integer == 5)
      #expect(ids.texts == text.texts && nested.texts == texts.texts && texts.texts[0] == text.texts[0])
    }
  }

  @Test func aSeedGivesTheSameTextAndNoneAFreshOne() async throws {
    try await TestServer().test { client in
      func texts(_ more: String) async throws -> JSONValue {
        try await client.answer(path, #"{"prompt": "ab", "max_tokens": 20, "n": 3\#(more)}"#)
      }
      let (first, second) = (try await texts(#", "seed": 5"#), try await texts(#", "seed": 5"#))
      #expect(first.texts == second.texts && Set(first.texts).count == 3)
      let (third, fourth) = (try await texts(""), try await texts(""))
      #expect(third.texts != fourth.texts)
      let again = try await texts(#", "seed": \#(third["seed"]!.integer!)"#)
      #expect(again.texts == third.texts)
      let negative = try await texts(#", "seed": -5"#)
      #expect(negative["seed"]?.integer == -5 && negative.texts != first.texts)
    }
  }

  @Test func stopsEndATextBeforeThem() async throws {
    try await TestServer().test { client in
      let whole = try await client.answer(path, #"{"prompt": "ab", "max_tokens": 30, "seed": 2, "ignore_eos": true}"#)
      let text = whole.texts[0]
      #expect(whole.reasons == ["length"] && whole["usage"]?["completion_tokens"]?.integer == 30)
      let stop = String(text.dropFirst(12).prefix(2))
      let cut = try await client.answer(
        path,
        #"{"prompt": "ab", "max_tokens": 30, "seed": 2, "ignore_eos": true, "stop": ["zz", "\#(stop.replacing("\n", with: "\\n"))"]}"#
      )
      #expect(cut.reasons == ["stop"])
      #expect(cut.texts[0] == text[..<text.range(of: stop)!.lowerBound], "\(text.debugDescription)")
    }
  }

  @Test func aSuffixMakesAHoleThatEndsWhereItFits() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(
        path, #"{"prompt": "ab", "suffix": "cde", "max_tokens": 12, "seed": 4, "n": 8}"#)
      for choice in reply.choices {
        let text = try #require(choice["text"]?.text)
        #expect(text.count <= 12)
        #expect(choice["finish_reason"]?.text == (text.count < 12 ? "stop" : "length"))
      }
      #expect(Set(reply.texts.map(\.count)).count > 1)
    }
    // Where lengths cannot be told, the hole is as long as was asked for.
    try await TestServer(MaskedDiffusionMethod()).test { client in
      let reply = try await client.answer(
        path, #"{"prompt": "ab", "suffix": "cde", "max_tokens": 12, "seed": 4, "ignore_eos": true}"#)
      #expect(reply.texts[0].count == 12)
    }
  }

  @Test func theLikeliestCandidatesAreToldBestFirst() async throws {
    let server = try TestServer()
    try await server.test { client in
      let all = try await client.answer(
        path, #"{"prompt": "ab", "max_tokens": 9, "seed": 6, "n": 6, "ignore_eos": true}"#)
      let best = try await client.answer(
        path, #"{"prompt": "ab", "max_tokens": 9, "seed": 6, "n": 2, "best_of": 6, "ignore_eos": true}"#)
      // The exact log-probability of each candidate, in the order in which it was written.
      let network = CachedTransformer(server.weights.transformer())
      let scores = try (0..<6).map { number in
        let request = GenerationRequest(
          template: try PromptTemplate(prompt: "ab", hole: 9).tokens(TestServer.tokenizer), seed: 6, number: number)
        let generation = try written(
          [try server.method.generation(request, for: server.weights.configuration)], by: network)[0]
        return try #require(try generation.oneAtATimeLogProbabilities(under: network)).reduce(0, +)
      }
      let order = scores.indices.sorted { scores[$0] > scores[$1] }
      #expect(best.texts == order.prefix(2).map { all.texts[$0] })
      #expect(best.choices.map { $0["index"]?.integer } == [0, 1])
    }
  }

  @Test func nothingToWriteAnswersWithThePromptAlone() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(
        path, #"{"prompt": ["ab", "c"], "max_tokens": 0, "echo": true, "logprobs": 0}"#)
      #expect(reply.texts == ["ab", "c"] && reply.reasons == ["length", "length"])
      #expect(reply.choices[0]["logprobs"]?["tokens"]?.elements?.count == 2)
      #expect(reply["usage"]?["completion_tokens"]?.integer == 0)
    }
  }

  @Test func aPromptThatIsMissingOrEmptyStartsFromNothing() async throws {
    try await TestServer().test { client in
      let missing = try await client.answer(path, #"{"seed": 1, "max_tokens": 8}"#)
      for prompt in [#""""#, "null", "[[]]"] {
        let reply = try await client.answer(path, #"{"prompt": \#(prompt), "seed": 1, "max_tokens": 8}"#)
        #expect(reply.texts == missing.texts)
      }
    }
  }

  /// Methods that write from left to right alone complete too.
  @Test(arguments: [0, 1, 2]) func othersComplete(_ which: Int) async throws {
    let methods: [any GenerationMethod] = [
      AutoregressiveMethod(start: .init(token: 11, isText: false)), try BlockDiffusionMethod(blockSize: 4),
      MaskedDiffusionMethod(),
    ]
    try await TestServer(methods[which]).test { client in
      let reply = try await client.answer(path, #"{"prompt": "abc", "max_tokens": 9, "seed": 1, "ignore_eos": true}"#)
      #expect(reply.texts[0].unicodeScalars.count == 9)
      let streamed = try await client.post(
        path, #"{"prompt": "abc", "max_tokens": 9, "seed": 1, "ignore_eos": true, "stream": true}"#)
      #expect(try streamed.events().flatMap(\.texts).joined() == reply.texts[0])
      guard which == 0 else { return }
      let refused = try await client.post(path, #"{"prompt": "abc", "suffix": "d", "max_tokens": 9}"#)
      #expect(try refused.status == 400 && refused.error.param == "prompt")
    }
  }

  // MARK: Streams

  @Test(arguments: [
    "", #", "suffix": "gh.""#, #", "n": 3, "stop": ["a", "cb"]"#, #", "echo": true, "n": 2"#,
    #", "n": 2, "stop": ["ab", "cde", "ef", "gh", "ba", "d c"]"#,
  ])
  func streamedAndNotAreTheSame(more: String) async throws {
    try await TestServer().test { client in
      for seed in 0..<4 {
        let fields = #""prompt": "ab", "max_tokens": 20, "seed": \#(seed), "logprobs": 2\#(more)"#
        let whole = try await client.answer(path, "{\(fields)}")
        let reply = try await client.post(
          path, #"{\#(fields), "stream": true, "stream_options": {"include_usage": true}}"#)
        var events = try reply.events()
        let usage = events.removeLast()
        #expect(usage.choices.isEmpty && usage["usage"]?.strictJSON == whole["usage"]?.strictJSON)
        #expect(events.allSatisfy { $0["usage"]?.isNull == true && $0.choices.count == 1 })
        #expect(events[0]["seed"]?.integer == seed)
        for choice in whole.choices {
          let own = events.map { $0.choices[0] }.filter { $0["index"]?.integer == choice["index"]?.integer }
          #expect(own.compactMap { $0["text"]?.text }.joined() == choice["text"]?.text)
          // It sits on the last chunk of text alone.
          #expect(own.last?["finish_reason"]?.text == choice["finish_reason"]?.text)
          #expect(own.dropLast().allSatisfy { $0["finish_reason"]?.isNull == true })
          for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            let joined = own.flatMap { $0["logprobs"]?[list]?.elements ?? [] }
            #expect(joined.map(\.strictJSON) == choice["logprobs"]?[list]?.elements?.map(\.strictJSON))
          }
        }
      }
    }
  }

  @Test func aStreamHasNoUsageUnlessAskedFor() async throws {
    try await TestServer().test { client in
      let reply = try await client.post(path, #"{"prompt": "ab", "max_tokens": 9, "stream": true}"#)
      let events = try reply.events()
      #expect(events.allSatisfy { $0["usage"] == nil && $0.choices.count == 1 })
    }
  }

  // MARK: Log-probabilities

  @Test func tokensAreToldWithTheirPlaces() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(
        path, #"{"prompt": "abc", "max_tokens": 8, "seed": 1, "logprobs": 3, "echo": true, "ignore_eos": true}"#)
      let list = try #require(reply.choices[0]["logprobs"])
      let tokens = try #require(list["tokens"]?.elements?.map(\.text))
      #expect(tokens.count == 11 && tokens.map { $0! }.joined() == reply.texts[0])
      #expect(list["text_offset"]?.elements?.map(\.integer) == Array(0..<11))
      for place in 0..<11 {
        let (own, top) = (list["token_logprobs"]![place].double, list["top_logprobs"]![place])
        #expect((own == nil) == (place == 0) && top.isNull == (place == 0))
        guard let own else { continue }
        #expect((3...4).contains(top.keys.count) && top[tokens[place]!]?.double == own)
      }
    }
  }

  /// A byte that is a part of a character has a name of its own.
  @Test func piecesOfCharactersAreToldByTheirBytes() async throws {
    try await TestServer(tokenizer: ByteTokenizer(), length: 16).test { client in
      let reply = try await client.answer(path, #"{"prompt": "a€b", "max_tokens": 0, "echo": true, "logprobs": 5}"#)
      let list = try #require(reply.choices[0]["logprobs"])
      #expect(list["tokens"]?.elements?.map(\.text) == ["a", #"bytes:\xe2"#, #"bytes:\x82"#, #"bytes:\xac"#, "b"])
      #expect(list["text_offset"]?.elements?.compactMap(\.integer).last == 2)
      for top in list["top_logprobs"]!.elements!.dropFirst() { #expect(Set(top.keys).count == top.keys.count) }
    }
  }

  @Test func everyTokenHasANameOfItsOwn() throws {
    let words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "ing", "##ing", "a"]
    let pieces = try WordPieceTokenizer(
      tokens: words.map { Array($0.utf8) },
      addedTokens: words.prefix(5).enumerated().map { AddedToken(id: Int32($0), content: $1, isSpecial: true) })
    for tokenizer in [ByteTokenizer(), TestServer.tokenizer, pieces] as [any Tokenizer] {
      let names = TokenNames(tokenizer)
      let all = (0..<tokenizer.vocabularySize).map { names[Int32($0)] }
      #expect(Set(all).count == all.count && !all.contains(""))
    }
  }
}
