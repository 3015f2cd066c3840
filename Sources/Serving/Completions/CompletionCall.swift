import EsoLM
import Files
import Prompts
import Torch

/// A request for completions, read and checked: OpenAI's fields, and those of our own.
struct CompletionCall: Sendable {
  /// What is to be written for each prompt.
  var texts: [TextRequest]
  /// How many texts of each prompt are told, and how many are written to choose them from.
  var choices = 1
  var candidates = 1
  /// How many alternatives are told of each token; nil for no log-probabilities.
  var logprobs: Int?
  var echoes = false
  var order = ScoringOrder.leftToRight
  var streams = false
  var includesUsage = false
  var seed: UInt64
  /// Whether nothing is to be written.
  var isEmpty = false

  static let longestStops = 16
  static let mostAlternatives = 5

  /// - Throws: ``APIError``, which names the field.
  init(_ fields: RequestFields, model: ServedModel, limits: Limits) throws {
    try Self.checkModel(fields, model)
    try fields.refuseUnmet()
    try fields.refuseUnknown(
      beside: [
        "prompt", "suffix", "max_tokens", "n", "best_of", "stream", "stream_options", "logprobs", "echo", "order",
        "user",
      ] + Self.commonNames)
    seed = try fields.seed() ?? FreshSeed.next()
    choices = try fields.integer("n", in: 1...limits.mostTexts) ?? 1
    candidates = try fields.integer("best_of", in: 1...limits.mostTexts) ?? choices
    streams = try fields.bool("stream") ?? false
    guard candidates >= choices else {
      throw APIError.field("best_of", "\(candidates)", expected: "at least n, which is \(choices)")
    }
    guard !streams || candidates == choices else {
      throw APIError.field("best_of", "\(candidates)", expected: "n with stream, since all must be there to choose")
    }
    if let options = try fields.object("stream_options") {
      guard streams else { throw APIError.field("stream_options", "an object", expected: "none without stream") }
      includesUsage = try options.bool("include_usage") ?? false
    }
    logprobs = try fields.integer("logprobs", in: 0...Self.mostAlternatives)
    echoes = try fields.bool("echo") ?? false
    order = try fields.choice("order") ?? .leftToRight

    let prompts = try Self.prompts(fields.value("prompt") ?? .text(""), model)
    guard prompts.count * candidates <= limits.mostTexts else {
      throw APIError.field(
        "prompt", "\(prompts.count) texts, each written \(candidates) times",
        expected: "at most \(limits.mostTexts) in one request")
    }
    let suffix = try fields.text("suffix") ?? ""
    guard suffix.isEmpty || !echoes else { throw APIError.field("echo", "true", expected: "false with a suffix") }
    let most = try fields.integer("max_tokens", in: 0...PromptTemplate.longestHole)
    isEmpty = most == 0
    let ignoresEnd = try fields.bool("ignore_eos") ?? false
    let writing = try Self.writing(
      fields, seed: seed, alternativeCount: logprobs ?? 0, precision: model.precision)
    let stop = try fields.stops(atMost: Self.longestStops)
    guard !stop.contains("") else { throw APIError.field("stop", "an empty text", expected: "at least one character") }
    texts = try prompts.map { prompt in
      var template = PromptTemplate(parts: [])
      if case .text(let text) = prompt, suffix.isEmpty, let hole = FIMMarkers.parse(text) {
        // Editors' prompts: as much of the text around the gap as there is room for.
        template = try EditorHole(
          prefix: hole.prefix, suffix: hole.suffix, most: most ?? EditorHole.usualTokens
        ).template(for: model)
      } else {
        template.parts = prompt == .text("") || prompt == .tokens([]) ? [] : [prompt]
        let given = try PromptTemplate(parts: template.parts + (suffix.isEmpty ? [] : [.text(suffix)]))
          .tokens(model.tokenizer).count
        let room = model.length - given
        guard room >= (most ?? 1) else {
          throw APIError.tooLong(
            "this model's texts have at most \(model.length) tokens, but \(given + (most ?? 1)) were asked for "
              + "(\(given) in the prompt, \(most ?? 1) to be written); shorten the prompt or ask for fewer")
        }
        let count = most ?? min(16, room)
        if count > 0 { template.parts.append(!suffix.isEmpty && model.drawsLengths ? .openHole(count) : .hole(count)) }
        if !suffix.isEmpty { template.parts.append(.text(suffix)) }
      }
      return TextRequest(template: template, writing: writing, stop: stop, ignoresEnd: ignoresEnd)
    }
  }

  // MARK: Fields that several doors have

  /// What /v1/infill knows too.
  static let commonNames = [
    "model", "seed", "stop", "ignore_eos", "temperature", "top_p", "top_k", "alpha0", "steps", "schedule",
    "choose", "threshold", "calls", "window", "candidate_order", "draft", "draft_order",
  ]

  static func checkModel(_ fields: RequestFields, _ model: ServedModel) throws {
    guard let name = try fields.text("model"), name != model.name else { return }
    throw APIError(
      .notFound, "there is no model \(name.quotedShort) here, expected \(model.name.quotedShort)", parameter: "model",
      code: "model_not_found")
  }

  /// How texts are written.
  ///
  /// - Parameter precision: of the network that writes them.
  static func writing(
    _ fields: RequestFields, seed: UInt64, alternativeCount: Int, precision: Precision
  ) throws -> GenerationRequest {
    let topP = try fields.number("top_p", in: 0...1) ?? 1
    return GenerationRequest(
      template: [], steps: try fields.integer("steps", in: 1...UnmaskingPlan.maximumSteps),
      alpha0: try fields.number("alpha0", in: 0...1), schedule: try fields.choice("schedule"),
      choice: try AdaptiveChoice(
        measure: try fields.choice("choose"), threshold: try fields.number("threshold", in: 0...1e9),
        calls: try fields.integer("calls", in: 1...UnmaskingPlan.maximumSteps),
        window: try fields.integer("window", in: 1...(1 << 20)), order: try fields.choice("candidate_order")),
      draft: try drafts(fields, precision),
      picker: try TokenPicker(
        temperature: try fields.number("temperature", in: 0...100) ?? 1, topP: topP == 0 ? 1e-9 : topP,
        topK: try fields.integer("top_k", in: -1...Int(Int32.max)).flatMap { $0 > 0 ? $0 : nil }),
      seed: seed, alternativeCount: alternativeCount)
  }

  /// How many drafts a call checks: a number, or "auto".
  private static func drafts(_ fields: RequestFields, _ precision: Precision) throws -> Speculation? {
    let order = try fields.choice("draft_order", WritingOrder.self)
    let width: Speculation.Width?
    if case .string(let bytes)? = fields.value("draft"), bytes == Array("auto".utf8) {
      width = .automatic(precision)
    } else {
      width = try fields.integer("draft", in: 0...Speculation.widest).map { .fixed($0) }
    }
    guard let width else {
      guard order == nil else {
        throw APIError.field(
          "draft_order", "\"\(order!.rawValue)\" without draft", expected: "a number of drafts, or auto")
      }
      return nil
    }
    return try Speculation(width, order: order ?? .random)
  }

  /// A text, token ids, or a list of either.
  private static func prompts(_ value: JSONValue, _ model: ServedModel) throws -> [PromptTemplate.Part] {
    guard let elements = value.elements else { return [.text(try RequestFields.text(value, "prompt"))] }
    guard let first = elements.first else {
      throw APIError.field("prompt", "an empty list", expected: "a text, token ids, or a list of either")
    }
    let vocabulary = model.tokenizer.vocabularySize
    func tokens(_ elements: [JSONValue], _ name: String) throws -> PromptTemplate.Part {
      guard elements.count <= model.length else {
        throw APIError.tooLong(
          "this model's texts have at most \(model.length) tokens, but \(name) has \(elements.count); shorten it")
      }
      let tokens = try RequestFields.tokens(elements, name, vocabulary: vocabulary)
      if let mask = model.tokenizer.maskToken, let place = tokens.firstIndex(of: mask) {
        throw APIError.field("\(name)[\(place)]", "the mask token", expected: "tokens of text")
      }
      return .tokens(tokens)
    }
    if case .number = first { return [try tokens(elements, "prompt")] }
    return try elements.enumerated().map { place, value in
      let name = "prompt[\(place)]"
      if let elements = value.elements { return try tokens(elements, name) }
      return .text(try RequestFields.text(value, name))
    }
  }
}
