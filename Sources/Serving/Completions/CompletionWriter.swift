import EsoLM
import Files
import Foundation
import Hummingbird

/// Answers a request for completions, at once or while they are written.
struct CompletionWriter: Sendable {
  let call: CompletionCall
  let writing: TextWriting
  let identifier = "cmpl-" + UUID().uuidString.lowercased()
  let created = Int(Date().timeIntervalSince1970)

  private var model: ServedModel { writing.model }
  private var ignoresEnd: Bool { call.texts.first?.ignoresEnd ?? false }

  /// The prompts' own part of the reply.
  private struct Prompt: Sendable {
    let tokens: [Int32]
    let givenCount: Int
    /// What is told of its tokens, if that is asked for.
    let scored: [ChoiceText.Token]
  }

  /// What was written of one candidate.
  private struct Candidate: Sendable {
    var text = ""
    var tokens: [ChoiceText.Token] = []
    var finish: TextWriting.Finish?
    /// Of the whole text, a token of it.
    var score = 0.0
  }

  /// - Throws: ``APIError`` before anything is answered.
  func response(in context: ServingContext) async throws -> Response {
    // Everything is checked, and a place found, before the answer begins.
    var (prepared, prompts): ([PreparedText], [Prompt]) = ([], [])
    for (number, text) in call.texts.enumerated() {
      try context.requireClient()
      var own: [PreparedText] = []
      if !call.isEmpty {
        let first = number * call.candidates
        own = try await text.prepared(first..<first + call.candidates, for: model, engine: writing.engine)
      }
      let given = try own.first.map { $0.template } ?? text.template.tokens(model.tokenizer)
      let tokens = given.prefix { $0 != nil }.map { $0! }
      prompts.append(
        Prompt(
          tokens: tokens, givenCount: given.count { $0 != nil }, scored: try await scored(tokens, number: number)))
      prepared += own
    }
    writing.metrics.promptTokens.increment(by: prompts.reduce(0) { $0 + $1.givenCount })
    let ticket =
      prepared.isEmpty ? nil : try await writing.engine.write(prepared.map(\.generation), isStreamed: call.streams)
    if call.streams { return streamed(prompts, prepared, ticket, context) }
    return try await whole(prompts, prepared, ticket, context)
  }

  private func scored(_ tokens: [Int32], number: Int) async throws -> [ChoiceText.Token] {
    guard call.echoes, let count = call.logprobs else { return [] }
    return try await PromptScoring(
      tokens: tokens, order: call.order, seed: call.seed, number: number, alternativeCount: count
    ).scored(by: model, engine: writing.engine)
  }

  // MARK: At once

  private func whole(
    _ prompts: [Prompt], _ prepared: [PreparedText], _ ticket: Engine.Ticket?, _ context: ServingContext
  ) async throws -> Response {
    var candidates = [Candidate](repeating: Candidate(), count: prepared.count)
    if let ticket {
      try await writing.write(prepared, ticket, ignoresEnd: ignoresEnd, context: context) { event in
        candidates[event.index].text += event.text
        candidates[event.index].tokens += event.tokens
        candidates[event.index].finish = event.finish
      }
    }
    let written = candidates.reduce(0) { $0 + ($1.finish?.writtenCount ?? 0) }
    var choices: [JSONValue] = []
    for (number, prompt) in prompts.enumerated() {
      let own = Array(candidates[(number * call.candidates * (call.isEmpty ? 0 : 1))...].prefix(call.candidates))
      for (place, candidate) in try await best(own).enumerated() {
        var list = call.logprobs.map { TokenList(model, alternativeCount: $0) }
        let echo = call.echoes ? model.tokenizer.decode(prompt.tokens) : ""
        choices.append(
          choice(
            number * call.choices + place, text: echo + candidate.text,
            list?.add((call.echoes ? prompt.scored : []) + candidate.tokens), candidate.finish?.reason ?? "length"))
      }
    }
    return .json(reply(choices, usage: usage(prompts, written: written)).with(("seed", seed)))
  }

  /// The candidates that are told: those whose tokens are likeliest, on average, one at a time in the order in which
  /// they were written; where no pass gives that, as they were written.
  private func best(_ candidates: [Candidate]) async throws -> [Candidate] {
    guard !candidates.isEmpty else { return Array(repeating: Candidate(), count: call.choices) }
    guard call.candidates > call.choices else { return candidates }
    var scored = candidates
    for place in candidates.indices {
      guard let generation = candidates[place].finish?.generation else { continue }
      let exact = try await writing.engine.perform { access in
        try generation.meanLogProbability(under: access.network)
      }
      let count = generation.history.reduce(0) { $0 + $1.positions.count }
      scored[place].score = exact ?? generation.modelLogProbability / Double(max(1, count))
    }
    let order = scored.indices.sorted { (-scored[$0].score, $0) < (-scored[$1].score, $1) }
    return order.prefix(call.choices).map { scored[$0] }
  }

  // MARK: While it is written

  private func streamed(
    _ prompts: [Prompt], _ prepared: [PreparedText], _ ticket: Engine.Ticket?, _ context: ServingContext
  ) -> Response {
    EventStream.response { stream in
      var lists = (0..<prompts.count * call.choices).map { _ in
        call.logprobs.map { TokenList(model, alternativeCount: $0) }
      }
      var first = reply([], usage: call.includesUsage ? .null : nil).with(("seed", seed))
      func chunk(_ choice: JSONValue) -> JSONValue {
        defer { first = reply([], usage: call.includesUsage ? .null : nil) }
        guard case .object(let members) = first else { return first }
        return .object(members.map { $0.key == Array("choices".utf8) ? ($0.key, [choice]) : $0 })
      }
      if call.echoes || call.isEmpty {
        for index in lists.indices {
          let prompt = prompts[index / call.choices]
          let text = call.echoes ? model.tokenizer.decode(prompt.tokens) : ""
          let list = lists[index]?.add(prompt.scored)
          try await stream.send(chunk(choice(index, text: text, list, call.isEmpty ? "length" : nil)))
        }
      }
      var written = 0
      var held: [Int: [ChoiceText.Token]] = [:]
      if let ticket {
        try await writing.write(prepared, ticket, ignoresEnd: ignoresEnd, context: context) { event in
          written += event.finish?.writtenCount ?? 0
          guard !event.text.isEmpty || event.finish != nil else {
            // Tokens of which no text is final yet are told with the next that has some.
            held[event.index, default: []] += event.tokens
            return
          }
          let tokens = (held.removeValue(forKey: event.index) ?? []) + event.tokens
          try await stream.send(
            chunk(choice(event.index, text: event.text, lists[event.index]?.add(tokens), event.finish?.reason)))
        }
      }
      if call.includesUsage { try await stream.send(reply([], usage: usage(prompts, written: written))) }
    }
  }

  // MARK: Parts of a reply

  private var seed: JSONValue { .number(Double(Int64(bitPattern: call.seed))) }

  private func reply(_ choices: [JSONValue], usage: JSONValue?) -> JSONValue {
    let reply: JSONValue = [
      "id": .text(identifier), "object": "text_completion", "created": .count(created), "model": .text(model.name),
      "choices": .array(choices),
    ]
    return usage.map { reply.with(("usage", $0)) } ?? reply
  }

  private func choice(_ index: Int, text: String, _ list: JSONValue?, _ reason: String?) -> JSONValue {
    [
      "index": .count(index), "text": .text(text), "logprobs": list ?? .null,
      "finish_reason": reason.map { .text($0) } ?? .null,
    ]
  }

  private func usage(_ prompts: [Prompt], written: Int) -> JSONValue {
    Self.usage(given: prompts.reduce(0) { $0 + $1.givenCount }, written: written)
  }

  static func usage(given: Int, written: Int) -> JSONValue {
    [
      "prompt_tokens": .count(given), "completion_tokens": .count(written), "total_tokens": .count(given + written),
    ]
  }
}
