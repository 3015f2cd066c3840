import EsoLM
import Files
import Foundation
import Hummingbird

/// The paths of Ollama's server that programs ask for text.
struct OllamaDoor: Sendable {
  let handlers: Handlers

  private func now() -> JSONValue { .text(Date().formatted(.iso8601)) }

  /// `GET /api/tags`: the models that are there.
  var tags: JSONValue { ["models": [["name": .text(handlers.model.name), "model": .text(handlers.model.name)]]] }

  /// `POST /api/show`: clients fill in only where the template has a suffix.
  func show(_ fields: RequestFields) throws -> Response {
    try checkModel(fields)
    return .json([
      "modelfile": "", "parameters": "",
      "template": .text(handlers.model.fillsHoles ? "{{ .Prompt }}{{ .Suffix }}" : "{{ .Prompt }}"),
      "details": ["format": "safetensors", "family": "esolm", "families": ["esolm"]],
      "model_info": ["general.architecture": "esolm", "esolm.context_length": .count(handlers.model.length)],
      "capabilities": handlers.model.fillsHoles ? ["completion", "insert"] : ["completion"],
    ])
  }

  /// `POST /api/generate`.
  func generate(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    try checkModel(fields)
    let options = try fields.object("options") ?? RequestFields([:])
    try fields.refuseUnmet("format")
    try options.refuseUnmet()
    let (prompt, suffix) = (try fields.text("prompt") ?? "", try fields.text("suffix") ?? "")
    let streams = try fields.bool("stream") ?? true
    let head: JSONValue = ["model": .text(handlers.model.name)]
    guard !prompt.isEmpty || !suffix.isEmpty else {
      // A client that only wants the model to be there.
      return .json(head.with(("created_at", now()), ("response", ""), ("done", true), ("done_reason", "load")))
    }
    let most = try options.integer("num_predict", in: -2...Int(Int32.max)).flatMap { $0 < 0 ? nil : $0 }
    let marked = suffix.isEmpty ? FIMMarkers.parse(prompt) : nil
    let asked = options.value("seed")?.integer.flatMap { $0 < 0 ? nil : UInt64($0) % (1 << 53) }
    let gap = try GapWriting(
      handlers: handlers, prefix: marked?.prefix ?? prompt, suffix: marked?.suffix ?? suffix, most: most, count: 1,
      stop: try options.stops(atMost: 64),
      writing: CompletionCall.writing(
        options, seed: asked ?? FreshSeed.next(), alternativeCount: 0, precision: handlers.model.precision))
    let begun = try await gap.begin(isStreamed: streams, context: context)
    @Sendable func end(_ text: String, _ result: GapWriting.Result) -> JSONValue {
      func nanoseconds(_ seconds: Double) -> JSONValue { .count(Int(seconds * 1e9)) }
      return head.with(
        ("created_at", now()), ("response", .text(text)), ("done", true), ("done_reason", .text(result.reason)),
        ("total_duration", nanoseconds(result.promptSeconds + result.writingSeconds)), ("load_duration", 0),
        ("prompt_eval_count", .count(result.givenCount)), ("prompt_eval_duration", nanoseconds(result.promptSeconds)),
        ("eval_count", .count(result.writtenCount)), ("eval_duration", nanoseconds(result.writingSeconds)))
    }
    guard streams else {
      var reply: JSONValue = .null
      try await gap.write(begun, context: context) { _, _, result in
        if let result { reply = end(result.text, result) }
      }
      return .json(reply)
    }
    return EventStream.response(.lines, sayingDone: false) { stream in
      try await gap.write(begun, context: context) { _, text, result in
        if !text.isEmpty {
          try await stream.send(head.with(("created_at", now()), ("response", .text(text)), ("done", false)))
        }
        if let result { try await stream.send(end("", result)) }
      }
    }
  }

  /// Ollama's names may carry a tag.
  private func checkModel(_ fields: RequestFields) throws {
    guard let name = try fields.text("model") ?? fields.text("name") else {
      throw APIError.field("model", "missing", expected: "'\(handlers.model.name)'")
    }
    guard [handlers.model.name, handlers.model.name + ":latest"].contains(name) else {
      throw APIError(
        .notFound, "there is no model \(name.quotedShort) here, expected '\(handlers.model.name)'", parameter: "model",
        code: "model_not_found")
    }
  }
}
