import EsoLM
import Prompts
import Tokenizers

/// What is written into the first hole of a text, as it becomes final: its text, and the tokens that it is made of.
///
/// A text streamed is the same as one not streamed, since both are made here.
struct ChoiceText: Sendable {
  /// A written token with what is told of it.
  struct Token: Sendable, Equatable {
    let token: Int32
    /// nil where none is told.
    let logProbability: Double?
    let alternatives: [Alternative]
  }

  /// One of the likeliest tokens in a place.
  struct Alternative: Sendable, Equatable {
    let token: Int32
    let logProbability: Double
  }

  private let prepared: PreparedText
  private let endOfText: Int32?
  private var stream: TextStream
  private var told: [Int: Token] = [:]
  /// The tokens up to the hole's end or the first place that nothing is written in.
  private var known: [Int32]
  private var tokenCount = 0
  /// How many tokens the hole has up to its end, known when it is finished.
  private(set) var writtenCount = 0
  /// Why the text ended; nil while it goes on.
  private(set) var finishReason: String?
  /// The stop string that ended the text; nil if none did.
  private(set) var stopString: String?

  init(_ prepared: PreparedText, model: ServedModel, ignoresEnd: Bool) {
    self.prepared = prepared
    endOfText = ignoresEnd ? nil : model.tokenizer.endOfText
    // A stop counts wherever it is written, also before a suffix; what is given holds none.
    stream = TextStream(model.tokenizer, stop: prepared.stop, given: prepared.promptCount)
    known = prepared.template.prefix(prepared.promptCount).map { $0! }
    _ = stream.next(known, isFinished: false)
  }

  /// Takes in what a network call wrote.
  mutating func take(_ step: Generation.Step) {
    if let finished = step.finished {
      // What was taken back is in no history.
      told = [:]
      for written in finished.history { note(written) }
      known = Array(finished.tokens.prefix(prepared.holeEnd))
      let written = writtenOn(from: known)
      let end = endOfText.flatMap { written[prepared.promptCount...].firstIndex(of: $0) } ?? written.count
      stopString = prepared.stop.first(in: written[..<end], given: prepared.promptCount)
    } else {
      note(step.written)
      known = writtenOn(from: known)
    }
  }

  /// The tokens up to the hole's end or the first place that nothing is written in, also those behind a text's end.
  private func writtenOn(from known: [Int32]) -> [Int32] {
    var tokens = known
    while tokens.count < prepared.holeEnd, let next = told[tokens.count] { tokens.append(next.token) }
    return tokens
  }

  /// What has become final since the last time.
  ///
  /// - Parameter finished: the whole text, if it is finished.
  mutating func next(_ finished: Generation?) -> (text: String, tokens: [Token]) {
    var tokens = known[...]
    let end = endOfText.flatMap { end in tokens.dropFirst(prepared.promptCount).firstIndex(of: end) }
    if let end { tokens = tokens.prefix(upTo: end) }
    let isFinished = finished != nil || end != nil
    let text = stream.next(tokens, isFinished: isFinished)
    // A token is told once its text is: others may turn out to begin a stop, and are left out then.
    if !isFinished {
      while tokens.count > prepared.promptCount + tokenCount, !stream.hasSaid(tokens) { tokens.removeLast() }
    }
    let own = tokens.dropFirst(prepared.promptCount)
    let new = own.dropFirst(tokenCount)
    defer { tokenCount = own.count }
    let places = (prepared.promptCount + tokenCount)..<(prepared.promptCount + own.count)
    if let finished {
      writtenCount = own.count
      let isShort = prepared.template.count < prepared.longestCount
      finishReason = end != nil || stopString != nil || isShort || finished.finishReason == .stop ? "stop" : "length"
    }
    var listed = zip(places, new).map { told[$0] ?? Token(token: $1, logProbability: nil, alternatives: []) }
    // Where the first token ended the text, it is told all the same: who asks for one token's log-probability behind a
    // prompt counts on it.
    if finished != nil, own.isEmpty, let only = told[prepared.promptCount] { listed = [only] }
    return (text, listed)
  }

  private mutating func note(_ written: Generation.Written) {
    for (place, position) in written.positions.enumerated() {
      told[position] = Token(
        token: written.tokens[place], logProbability: written.modelLogProbabilities[place],
        alternatives: written.alternatives.isEmpty
          ? [] : written.alternatives[place].map { Alternative(token: $0.token, logProbability: $0.logProbability) })
    }
  }
}
