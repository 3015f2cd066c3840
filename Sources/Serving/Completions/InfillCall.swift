import EsoLM
import Files
import Foundation
import Hummingbird
import Prompts

/// `POST /v1/infill`: a text with any number of holes.
struct InfillCall: Sendable {
  var text: TextRequest
  var candidates: Int
  var alternativeCount: Int?
  var streams: Bool
  var seed: UInt64

  /// - Throws: ``APIError``, or an error of the template.
  init(_ fields: RequestFields, model: ServedModel, limits: Limits) throws {
    try CompletionCall.checkModel(fields, model)
    try fields.refuseUnmet()
    try fields.refuseUnknown(beside: ["template", "n", "stream", "logprobs", "user"] + CompletionCall.commonNames)
    guard let template = try fields.text("template") else {
      throw APIError.field("template", "missing", expected: "a text with holes, such as 'The [[5]] sat on [[..20]].'")
    }
    let parts = try PromptTemplate(template)
    guard parts.parts.contains(where: { if case .text = $0 { false } else { true } }) else {
      throw APIError.field("template", template.quotedShort, expected: "a hole, such as [[5]] or [[..20]]")
    }
    if parts.hasOpenLengths, !model.drawsLengths {
      throw APIError.field(
        "template", "a hole of open length before other text",
        expected: "one of an exact length, [[5]]: how well text fits behind others Eso-LM (B) alone can tell")
    }
    seed = try fields.seed() ?? FreshSeed.next()
    candidates = try fields.integer("n", in: 1...limits.mostTexts) ?? 1
    streams = try fields.bool("stream") ?? false
    alternativeCount = try fields.integer("logprobs", in: 0...CompletionCall.mostAlternatives)
    let stop = try fields.stops(atMost: CompletionCall.longestStops)
    guard !stop.contains("") else { throw APIError.field("stop", "an empty text", expected: "at least one character") }
    text = TextRequest(
      template: parts,
      writing: try CompletionCall.writing(
        fields, seed: seed, alternativeCount: alternativeCount ?? 0, precision: model.precision),
      stop: stop, ignoresEnd: try fields.bool("ignore_eos") ?? false,
      parameter: "template")
  }
}

/// Answers it: all of the text and what each hole became; streamed, what each network call wrote and where.
struct InfillWriter: Sendable {
  let call: InfillCall
  let writing: TextWriting
  let identifier = "infill-" + UUID().uuidString.lowercased()

  private var model: ServedModel { writing.model }

  /// - Throws: ``APIError`` before anything is answered.
  func response(in context: ServingContext) async throws -> Response {
    let texts = try await call.text.prepared(0..<call.candidates, for: model, engine: writing.engine)
    writing.metrics.promptTokens.increment(by: texts.reduce(0) { $0 + $1.givenCount })
    let ticket = try await writing.engine.write(texts.map(\.generation), isStreamed: call.streams)
    guard call.streams else {
      var choices = [JSONValue](repeating: .null, count: texts.count)
      try await writing.write(texts, ticket, ignoresEnd: call.text.ignoresEnd, context: context) { event in
        if let finish = event.finish {
          choices[event.index] = try await choice(event.index, texts[event.index], finish.generation)
        }
      }
      return .json(head("infill").with(("choices", .array(choices)), ("usage", usage(texts))))
    }
    return EventStream.response { stream in
      for (index, text) in texts.enumerated() {
        try await stream.send(head("infill.start").with(("index", .count(index)), ("template", template(text))))
      }
      try await writing.write(texts, ticket, ignoresEnd: call.text.ignoresEnd, context: context) { event in
        if !event.step.written.positions.isEmpty {
          try await stream.send(
            head("infill.step").with(
              ("index", .count(event.index)), ("call", .count(event.step.index + 1)),
              ("seconds", .number(event.step.elapsed / .seconds(1))), ("written", tokens(event.step.written))))
        }
        if let finish = event.finish {
          try await stream.send(
            head("infill.done").with(
              ("choices", [try await choice(event.index, texts[event.index], finish.generation)])))
        }
      }
      try await stream.send(head("infill.usage").with(("usage", usage(texts))))
    }
  }

  private func head(_ object: String) -> JSONValue {
    [
      "id": .text(identifier), "object": .text(object), "model": .text(model.name),
      "seed": .number(Double(Int64(bitPattern: call.seed))),
    ]
  }

  /// The tokens that are given, null where one is to be written.
  private func template(_ text: PreparedText) -> JSONValue {
    .array(
      text.template.map { token in
        token.map { ["token": .count(Int($0)), "text": .text(model.tokenizer.decode([$0]))] } ?? .null
      })
  }

  private func tokens(_ written: Generation.Written) -> JSONValue {
    .array(
      written.positions.indices.map { place in
        let token = written.tokens[place]
        var value: JSONValue = [
          "position": .count(written.positions[place]), "token": .count(Int(token)),
          "text": .text(model.tokenizer.decode([token])),
          "logprob": .logProbability(written.modelLogProbabilities[place]),
        ]
        if !written.alternatives.isEmpty {
          value = value.with(
            (
              "alternatives",
              .array(
                written.alternatives[place].map {
                  ["text": .text(model.names[$0.token]), "logprob": .logProbability($0.logProbability)]
                })
            ))
        }
        return value
      })
  }

  private func choice(_ index: Int, _ text: PreparedText, _ generation: Generation) async throws -> JSONValue {
    let exact = try await writing.engine.perform { access in
      try generation.oneAtATimeLogProbabilities(under: access.network)?.reduce(0, +)
    }
    var choice: JSONValue = [
      "index": .count(index), "text": .text(text.stop.text(of: generation.tokens, given: generation.givenEnd)),
      "fillings": .array(text.stop.fillings(of: text.holes, generation).map { .text($0) }),
      "finish_reason": .text(generation.finishReason?.rawValue ?? "length"),
      "network_calls": .count(generation.networkCalls),
      "log_probability": .logProbability(generation.logProbability),
      "model_log_probability": .logProbability(generation.modelLogProbability),
      "one_at_a_time_log_probability": exact.map { .logProbability($0) } ?? .null,
    ]
    if let counts = generation.draftCounts {
      choice = choice.with(("drafted", .count(counts.drafted.reduce(0, +))))
        .with(("accepted", .count(counts.accepted.reduce(0, +))))
    }
    if call.alternativeCount != nil {
      choice = choice.with(("written", .array(generation.history.flatMap { tokens($0).elements ?? [] })))
    }
    return choice
  }

  private func usage(_ texts: [PreparedText]) -> JSONValue {
    CompletionWriter.usage(
      given: texts.reduce(0) { $0 + $1.givenCount },
      written: texts.reduce(0) { $0 + $1.template.count - $1.givenCount })
  }
}
