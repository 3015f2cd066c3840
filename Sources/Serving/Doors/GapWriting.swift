import EsoLM
import Files
import Foundation
import Hummingbird
import Prompts

/// What an editor's request comes to: one gap in a text, or several fillings of it, told in the words of its door.
struct GapWriting: Sendable {
  let handlers: Handlers
  /// What is to be written, and how often.
  let text: TextRequest
  let count: Int
  /// Whether nothing is: the client only wants the text around the gap to be known.
  let isEmpty: Bool
  let start = ContinuousClock.now

  /// What was written, in numbers and words.
  struct Result: Sendable {
    var text = ""
    var tokens: [Int32] = []
    var reason = "length"
    /// The stop string that ended the text; nil if none did.
    var stopString: String?
    var givenCount = 0
    var writtenCount = 0
    /// Until the end of the first network call that wrote something, and from there to the end.
    var promptSeconds = 0.0
    var writingSeconds = 0.0
  }

  /// Everything is checked, and a place found.
  struct Begun: Sendable {
    let texts: [PreparedText]
    let ticket: Engine.Ticket?
    let givenCount: Int
  }

  func begin(isStreamed: Bool, context: ServingContext) async throws -> Begun {
    guard !isEmpty else {
      let given = try text.template.tokens(handlers.model.tokenizer).count
      return Begun(texts: [], ticket: nil, givenCount: given)
    }
    let prepared = try await text.prepared(0..<count, for: handlers.model, engine: handlers.engine)
    handlers.metrics.promptTokens.increment(by: prepared.reduce(0) { $0 + $1.givenCount })
    return Begun(
      texts: prepared, ticket: try await handlers.engine.write(prepared.map(\.generation), isStreamed: isStreamed),
      givenCount: prepared[0].givenCount)
  }

  /// Writes the texts.
  ///
  /// - Parameter onText: called with what becomes final of each, and with nil when one is finished.
  func write(
    _ begun: Begun, context: ServingContext,
    onText: (_ index: Int, _ text: String, _ result: Result?) async throws -> Void
  ) async throws {
    guard let ticket = begun.ticket else {
      var result = Result()
      result.givenCount = begun.givenCount
      return try await onText(0, "", result)
    }
    var results = [Result](repeating: Result(), count: begun.texts.count)
    var begins = [ContinuousClock.Instant?](repeating: nil, count: begun.texts.count)
    try await handlers.writing.write(
      begun.texts, ticket, ignoresEnd: text.ignoresEnd, context: context
    ) { event in
      if begins[event.index] == nil, !event.step.written.positions.isEmpty { begins[event.index] = .now }
      results[event.index].text += event.text
      results[event.index].tokens += event.tokens.map(\.token)
      guard let finish = event.finish else { return try await onText(event.index, event.text, nil) }
      let begin = begins[event.index] ?? .now
      results[event.index].reason = finish.reason
      results[event.index].stopString = finish.stopString
      results[event.index].givenCount = begun.texts[event.index].givenCount
      results[event.index].writtenCount = finish.writtenCount
      results[event.index].promptSeconds = (begin - start) / .seconds(1)
      results[event.index].writingSeconds = (.now - begin) / .seconds(1)
      try await onText(event.index, event.text, results[event.index])
    }
  }
}

extension GapWriting {
  /// Fields that the doors share, under the names that most of them have.
  init(
    _ fields: RequestFields, handlers: Handlers, prefix: String, suffix: String, most: Int?, count: Int = 1,
    stop: [String]
  ) throws {
    // Mistral's name for it.
    let seed = try fields.seed() ?? fields.seed("random_seed") ?? FreshSeed.next()
    try self.init(
      handlers: handlers, prefix: prefix, suffix: suffix, most: most, count: count, stop: stop,
      writing: CompletionCall.writing(
        fields, seed: seed, alternativeCount: 0, precision: handlers.model.precision))
  }

  init(
    handlers: Handlers, prefix: String, suffix: String, most: Int?, count: Int, stop: [String],
    writing: GenerationRequest
  ) throws {
    let most = min(most ?? EditorHole.usualTokens, handlers.model.length)
    let template = try handlers.namingPrompts {
      try EditorHole(prefix: prefix, suffix: suffix, most: most).template(for: handlers.model)
    }
    self.handlers = handlers
    isEmpty = most == 0
    self.count = count
    // Editors send what ends a line as it stands; an empty text ends nothing.
    text = TextRequest(template: template, writing: writing, stop: stop.filter { !$0.isEmpty })
  }
}
