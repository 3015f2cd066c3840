import EsoLM
import Files
import Foundation
import Hummingbird
import Prompts

/// The paths of llama.cpp's server that its editor plug-ins ask.
struct LlamaDoor: Sendable {
  let handlers: Handlers

  /// `POST /infill`: files around, the text before the line, the line up to the cursor, the text behind it.
  func infill(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    var prefix = ""
    for (place, value) in (fields.value("input_extra")?.elements ?? []).enumerated() {
      guard case .object = value else {
        throw APIError.field("input_extra[\(place)]", value.found, expected: "an object with filename and text")
      }
      let chunk = try RequestFields(value)
      guard let text = try chunk.text("text") else { continue }
      if let name = try chunk.text("filename") {
        // The client did not write this line: it is left out where the tokenizer has no such letters.
        let head = "# \(name)\n"
        if (try? handlers.model.tokenizer.encode(head)) != nil { prefix += head }
      }
      prefix += text.hasSuffix("\n") ? text : text + "\n"
    }
    prefix += try fields.text("input_prefix") ?? ""
    prefix += try fields.text("prompt") ?? ""
    return try await respond(fields, prefix: prefix, suffix: try fields.text("input_suffix") ?? "", context)
  }

  /// `POST /completion`: a text goes on.
  func completion(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    if let elements = fields.value("prompt")?.elements {
      let tokens = try RequestFields.tokens(elements, "prompt", vocabulary: handlers.model.tokenizer.vocabularySize)
      return try await respond(
        fields, prefix: handlers.model.tokenizer.decode(tokens), suffix: "", context)
    }
    let prompt = try fields.text("prompt") ?? ""
    if let gap = FIMMarkers.parse(prompt) {
      return try await respond(fields, prefix: gap.prefix, suffix: gap.suffix, context)
    }
    return try await respond(fields, prefix: prompt, suffix: "", context)
  }

  private func respond(
    _ fields: RequestFields, prefix: String, suffix: String, _ context: ServingContext
  ) async throws -> Response {
    try fields.refuseUnmet()
    if try fields.bool("ignore_eos") == true {
      throw APIError.field("ignore_eos", "true", expected: "false: here a text ends where the model ends it")
    }
    let most = try fields.integer("n_predict", in: -2...Int(Int32.max))
    // Clients send −1 for a seed of the server's choice.
    let asked = fields.value("seed")?.integer.flatMap { $0 < 0 ? nil : UInt64($0) }
    let seed = asked.map { $0 % (1 << 53) } ?? FreshSeed.next()
    let count = try fields.integer("n_cmpl", in: 1...min(16, handlers.limits.mostTexts))
    let gap = try GapWriting(
      handlers: handlers, prefix: prefix, suffix: suffix, most: most.flatMap { $0 < 0 ? nil : $0 }, count: count ?? 1,
      stop: try fields.stops(atMost: 64),
      writing: CompletionCall.writing(
        RequestFields(
          .object(
            ["temperature", "top_p", "top_k", "alpha0", "steps"].compactMap { name in
              fields.value(name).map { (Array(name.utf8), $0) }
            })), seed: seed, alternativeCount: 0, precision: handlers.model.precision))
    let wanted = try fields.texts("response_fields", atMost: 64)
    let streams = try fields.bool("stream") ?? false
    let begun = try await gap.begin(isStreamed: streams, context: context)
    guard streams else {
      var replies = [JSONValue](repeating: .null, count: count ?? 1)
      try await gap.write(begun, context: context) { index, _, result in
        guard let result else { return }
        replies[index] = selected(wanted, of: reply(index, result.text, result, seed))
      }
      return .json(replies.count == 1 ? replies[0] : .array(replies))
    }
    // This interface has no last word: the event with "stop": true is the last.
    return EventStream.response(sayingDone: false) { stream in
      try await gap.write(begun, context: context) { index, text, result in
        guard let result else {
          if !text.isEmpty {
            try await stream.send(["index": .count(index), "content": .text(text), "tokens": [], "stop": false])
          }
          return
        }
        try await stream.send(selected(wanted, of: reply(index, text, result, seed)))
      }
    }
  }

  private func reply(_ index: Int, _ text: String, _ result: GapWriting.Result, _ seed: UInt64) -> JSONValue {
    func rate(_ count: Int, _ seconds: Double) -> JSONValue { .number(Double(count) / max(seconds, 1e-6)) }
    func each(_ count: Int, _ seconds: Double) -> JSONValue { .number(seconds * 1000 / Double(max(1, count))) }
    let (given, written) = (result.givenCount, result.writtenCount)
    return [
      "index": .count(index), "content": .text(text), "tokens": .array(result.tokens.map { .count(Int($0)) }),
      "id_slot": 0, "stop": true, "model": .text(handlers.model.name), "seed": .number(Double(seed)),
      "stop_type": .text(result.stopString != nil ? "word" : result.reason == "length" ? "limit" : "eos"),
      "stopping_word": .text(result.stopString ?? ""),
      "tokens_predicted": .count(written), "tokens_evaluated": .count(given), "tokens_cached": .count(given + written),
      "truncated": false, "has_new_line": .bool(result.text.contains("\n")),
      "generation_settings": ["n_predict": .count(written), "n_ctx": .count(handlers.model.length)],
      "timings": [
        "prompt_n": .count(given), "prompt_ms": .number(result.promptSeconds * 1000),
        "prompt_per_token_ms": each(given, result.promptSeconds),
        "prompt_per_second": rate(given, result.promptSeconds), "predicted_n": .count(written),
        "predicted_ms": .number(result.writingSeconds * 1000),
        "predicted_per_token_ms": each(written, result.writingSeconds),
        "predicted_per_second": rate(written, result.writingSeconds),
      ],
    ]
  }

  /// Of a reply the fields that are wanted; "a/b" is the field b of a, under that name.
  private func selected(_ names: [String]?, of reply: JSONValue) -> JSONValue {
    guard let names else { return reply }
    return .object(
      names.compactMap { name in
        var value: JSONValue? = reply
        for part in name.split(separator: "/") { value = value?[String(part)] }
        return value.map { (Array(name.utf8), $0) }
      })
  }
}
