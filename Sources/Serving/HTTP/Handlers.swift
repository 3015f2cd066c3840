import EsoLM
import Evaluation
import Files
import Foundation
import HTTPTypes
import Hummingbird
import Prompts

/// What is served, by path. Handlers read a request, call what the commands call too, and write the reply.
package struct Handlers: Sendable {
  package let model: ServedModel
  package let engine: Engine
  package let gate: RequestGate
  let limits: Limits
  let metrics: ServingMetrics
  let exposition: PrometheusMetrics
  var writing: TextWriting { TextWriting(model: model, engine: engine, metrics: metrics) }

  typealias Body = @Sendable (RequestFields, ServingContext) async throws -> Response

  /// A handler of a request with a JSON body. It holds a place until the answer is written.
  func post(_ body: @escaping Body) -> @Sendable (Request, ServingContext) async throws -> Response {
    { request, context in
      let place = try gate.enter()
      let bytes = try await BodyReading(limits: limits).bytes(of: request, on: context.channel, place: place)
      guard !bytes.isEmpty else { throw APIError(.badRequest, "the body is empty, expected a JSON object") }
      var response = try await body(try RequestFields(bytes), context)
      let inner = response.body
      // The place is given back once the whole answer is written.
      response.body = ResponseBody(contentLength: inner.contentLength) { writer in
        try await inner.write(writer)
        withExtendedLifetime(place) {}
      }
      return response
    }
  }

  // MARK: The model

  var models: JSONValue { ["object": "list", "data": [card]] }

  var card: JSONValue {
    [
      "id": .text(model.name), "object": "model", "created": .count(model.created), "owned_by": "esolm",
      "max_model_len": .count(model.length), "method": .text(model.method.title),
      "alpha0": model.method.diffusedShare.map { .number($0) } ?? .null,
      "fills_holes": .bool(model.fillsHoles), "draws_lengths": .bool(model.drawsLengths), "example": .text(example),
      "has_exact_likelihood": .bool(hasExactLikelihood),
    ]
  }

  /// A text with holes to begin with, of letters that the model knows.
  private var example: String {
    let (texts, hole) = (["The [[5]] sat on the [[5]].", "the [[3]] sees the [[3]].", "[[8]] [[8]]"], "[[16]]")
    return texts.first { (try? PromptTemplate($0).tokens(model.tokenizer).count <= model.length) == true } ?? hole
  }

  private var hasExactLikelihood: Bool {
    model.method.exactBatch([], maskToken: model.network.maskToken) != nil
  }

  var tokenizerInfo: JSONValue {
    [
      "tokenizer_class": .text("\(type(of: model.tokenizer))"), "vocab_size": .count(model.tokenizer.vocabularySize),
      "model_max_length": .count(model.length), "eos_token": .text(model.names.endOfText),
      "bos_token": .text(model.names[model.tokenizer.beginningOfText]),
      "pad_token": .text(model.names[model.tokenizer.padding]), "chat_template": .null,
    ]
  }

  /// Both names of each field, since two kinds of clients ask.
  func tokenize(_ fields: RequestFields) throws -> Response {
    guard let text = try fields.text("prompt") ?? fields.text("content") else {
      throw APIError.field("prompt", "missing", expected: "a text (or under the name content)")
    }
    let tokens: [Int32]
    do { tokens = try model.names.encode(text, model.tokenizer) } catch {
      throw APIError(.badRequest, "prompt: \(error)", parameter: "prompt")
    }
    return .json([
      "tokens": .array(tokens.map { .count(Int($0)) }), "count": .count(tokens.count),
      "max_model_len": .count(model.length),
    ])
  }

  func detokenize(_ fields: RequestFields) throws -> Response {
    guard let elements = fields.value("tokens")?.elements else {
      throw APIError.field("tokens", fields.value("tokens")?.found ?? "missing", expected: "a list of token ids")
    }
    let tokens = try RequestFields.tokens(elements, "tokens", vocabulary: model.tokenizer.vocabularySize)
    let text = JSONValue.text(model.tokenizer.decode(tokens))
    return .json(["prompt": text, "content": text])
  }

  // MARK: Writing and scoring

  func completions(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    let call = try namingPrompts { try CompletionCall(fields, model: model, limits: limits) }
    return try await CompletionWriter(call: call, writing: writing).response(in: context)
  }

  func infill(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    let call = try namingPrompts { try InfillCall(fields, model: model, limits: limits) }
    return try await InfillWriter(call: call, writing: writing).response(in: context)
  }

  func score(_ fields: RequestFields, _ context: ServingContext) async throws -> Response {
    try await ScoreCall(fields, model: model).response(engine: engine)
  }

  /// An error of the tokenizer is the prompt's.
  func namingPrompts<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as APIError { throw error } catch let error as ConfigurationError {
      throw error
    } catch let error as PromptTemplate.SyntaxError { throw error } catch {
      throw APIError(.badRequest, "prompt: \(error)", parameter: "prompt")
    }
  }
}
