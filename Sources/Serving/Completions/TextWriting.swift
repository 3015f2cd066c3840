import EsoLM
import Files
import Hummingbird

/// Writes the texts of a request and tells what becomes final.
struct TextWriting: Sendable {
  let model: ServedModel
  let engine: Engine
  let metrics: ServingMetrics

  /// What a network call made final of one text.
  struct Event {
    /// Which of the texts.
    let index: Int
    let text: String
    let tokens: [ChoiceText.Token]
    /// What the call wrote, anywhere in the text.
    let step: Generation.Step
    /// Of the text; nil while it goes on.
    let finish: Finish?
  }

  /// How a text ended.
  struct Finish: Sendable {
    let reason: String
    /// The stop string that ended it; nil if none did.
    let stopString: String?
    /// Tokens of its first hole up to the end.
    let writtenCount: Int
    let generation: Generation
  }

  /// Writes all texts.
  ///
  /// - Parameters:
  ///   - texts: that the engine took in under this ticket.
  ///   - ticket: is given back when the client goes.
  ///   - context: tells whether it does.
  ///   - onEvent: called with each event, in the order in which they come.
  /// - Throws: `CancellationError` if the client went, or what went wrong.
  func write(
    _ texts: [PreparedText], _ ticket: Engine.Ticket, ignoresEnd: Bool, context: ServingContext,
    onEvent: (Event) async throws -> Void
  ) async throws {
    let engine = engine
    let forget = context.watch?.onClose { Task { await engine.leave(ticket.number) } }
    defer { forget?() }
    let start = ContinuousClock.now
    var choices = texts.map { ChoiceText($0, model: model, ignoresEnd: ignoresEnd) }
    var (open, hasBegun) = (texts.count, false)
    for try await batch in ticket.steps {
      // Of several calls at a time the text is looked at once.
      let last = Dictionary(batch.enumerated().map { ($1.index, $0) }, uniquingKeysWith: max)
      for (place, progress) in batch.enumerated() {
        if !hasBegun, !progress.step.written.positions.isEmpty {
          hasBegun = true
          metrics.firstTokenSeconds.recordSeconds((ContinuousClock.now - start) / .seconds(1))
        }
        choices[progress.index].take(progress.step)
        let isLast = last[progress.index] == place
        let (text, tokens) = isLast ? choices[progress.index].next(progress.step.finished) : ("", [])
        let choice = choices[progress.index]
        let finish = progress.step.finished.map {
          Finish(
            reason: choice.finishReason ?? "length", stopString: choice.stopString, writtenCount: choice.writtenCount,
            generation: $0)
        }
        if finish != nil { open -= 1 }
        try await onEvent(
          Event(index: progress.index, text: text, tokens: tokens, step: progress.step, finish: finish))
      }
    }
    guard open == 0 else { throw CancellationError() }
  }
}
