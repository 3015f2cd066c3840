import Files
import Foundation
import Hummingbird

/// `POST /v1/fim/completions`, as Mistral's interface has it and Continue asks it: the text around a gap, answered like
/// a chat.
struct FIMDoor: Sendable {
  let handlers: Handlers

  func completions(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    try CompletionCall.checkModel(fields, handlers.model)
    try fields.refuseUnmet()
    let gap = try GapWriting(
      fields, handlers: handlers, prefix: try fields.text("prompt") ?? "", suffix: try fields.text("suffix") ?? "",
      most: try fields.integer("max_tokens", in: 0...Int(Int32.max)), stop: try fields.stops(atMost: 64))
    let head: JSONValue = [
      "id": .text("fim-" + UUID().uuidString.lowercased()), "created": .count(Int(Date().timeIntervalSince1970)),
      "model": .text(handlers.model.name),
    ]
    let streams = try fields.bool("stream") ?? false
    let begun = try await gap.begin(isStreamed: streams, context: context)
    @Sendable func reason(_ result: GapWriting.Result?) -> JSONValue { result.map { .text($0.reason) } ?? .null }
    @Sendable func usage(_ result: GapWriting.Result) -> JSONValue {
      CompletionWriter.usage(given: result.givenCount, written: result.writtenCount)
    }
    guard streams else {
      var reply: JSONValue = .null
      try await gap.write(begun, context: context) { _, _, result in
        guard let result else { return }
        let choice: JSONValue = [
          "index": 0, "message": ["role": "assistant", "content": .text(result.text)], "finish_reason": reason(result),
        ]
        reply = head.with(("object", "chat.completion"), ("choices", [choice]), ("usage", usage(result)))
      }
      return .json(reply)
    }
    return EventStream.response { stream in
      try await gap.write(begun, context: context) { _, text, result in
        guard !text.isEmpty || result != nil else { return }
        let choice: JSONValue = [
          "index": 0, "delta": ["role": "assistant", "content": .text(text)], "finish_reason": reason(result),
        ]
        let chunk = head.with(("object", "chat.completion.chunk"), ("choices", [choice]))
        try await stream.send(result.map { chunk.with(("usage", usage($0))) } ?? chunk)
      }
    }
  }
}
