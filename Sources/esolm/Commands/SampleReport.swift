import EsoLM
import Foundation
import Prompts
import Runs
import Tokenizers
import Tool
import Torch

/// What is told about each text, and about all of them.
struct SampleReport {
  private let command: Sample
  private let run: RunFolder
  private let method: any GenerationMethod
  private let network: CachedTransformer
  private let stop: StopStrings
  /// In network calls, drawing included.
  var seconds = 0.0
  private var count = 0
  private var tokens = 0
  private var calls: [Int] = []
  private var lost: [Double] = []
  private var drafts = DraftCounts()

  init(command: Sample, run: RunFolder, method: any GenerationMethod, network: CachedTransformer, stop: StopStrings) {
    self.command = command
    self.run = run
    self.method = method
    self.network = network
    self.stop = stop
  }

  /// One text, with all that is needed to write it again.
  struct Line: Encodable {
    struct Alternative: Encodable {
      let token: Int32
      let text: String
      let logProbability: Double
    }

    struct Draft: Encodable {
      /// Drafts of a call, or auto.
      let width: String
      let order: WritingOrder
      /// How many were checked and accepted, and by their place in a call.
      let drafted: Int
      let accepted: Int
      let draftedByPlace: [Int]
      let acceptedByPlace: [Int]
      let tokensPerCall: Double
    }

    let formatVersion = 2
    let run: String
    let algorithm: String
    let number: Int
    /// Which of the seed's sequences it is: with --best-of that of the candidate which was kept.
    let sequence: Int
    /// How many candidates it was chosen from, or how many texts the search kept.
    let bestOf: Int?
    let beam: Int?
    let text: String
    let tokens: [Int32]
    /// The text of each hole; absent where nothing was given.
    let fillings: [String]?
    let finishReason: String
    let alpha0: Double?
    let steps: Int?
    let schedule: String?
    /// How an adaptive schedule chose.
    let choose: AdaptiveChoice.Measure?
    let threshold: Double?
    let calls: Int?
    let window: Int?
    let candidateOrder: WritingOrder?
    /// What was drafted and how much of it accepted.
    let draft: Draft?
    let length: Int
    let seed: UInt64
    let topP: Double
    let topK: Int?
    let temperature: Double
    let usesCache: Bool
    /// Network calls that wrote tokens.
    let nfe: Int
    /// Rows that the network computed for the text, those of given tokens included.
    let rows: Int
    /// Rows for each token written.
    let slotsPerToken: Double
    /// From its first call to its last, beside others of the batch.
    let seconds: Double
    let secondsPerCall: Double
    /// How matrices, keys and values are kept.
    let precision: Precision
    let cachePrecision: Precision
    /// The memory of all weights.
    let weightBytes: Int
    /// The most that all caches took at a time so far.
    let cacheBytes: Int
    /// The most memory that the process had so far, mapped files included.
    let peakResidentBytes: Int
    /// In nats: under the distributions that tokens were drawn from.
    let logProbability: Double
    /// Under the model's own distributions, without temperature, top-k and nucleus.
    let modelLogProbability: Double
    /// The same, one token at a time in the same order; absent where the method has none.
    let oneAtATimeLogProbability: Double?
    /// The positions in the order in which they were written, and each one's log-probability under the model.
    let order: [Int]
    let logProbabilities: [Double]
    let alternatives: [[Alternative]]?
  }

  /// A text with the seconds from its first call to its last.
  typealias Candidate = (text: TextMaker.Text, generation: Generation, seconds: Double)

  /// The most probable of some texts, a token; of equal ones the first.
  func best(of candidates: [Candidate]) throws -> Candidate {
    guard candidates.count > 1 else { return candidates[0] }
    let ordered = candidates.sorted { $0.generation.number < $1.generation.number }
    let scores = try ordered.map { try $0.generation.meanLogProbability(under: network) ?? -.infinity }
    return ordered[scores.indices.max { (scores[$0], -$0) < (scores[$1], -$1) }!]
  }

  /// - Parameter seconds: from the text's first call to its last.
  mutating func line(of text: TextMaker.Text, _ generation: Generation, seconds: Double) throws -> Line {
    let oneAtATime = try generation.oneAtATimeLogProbabilities(under: network)?.reduce(0, +)
    let written = generation.history.reduce(0) { $0 + $1.positions.count }
    count += 1
    tokens += written
    calls.append(generation.networkCalls)
    if let counts = generation.draftCounts { drafts.add(counts) }
    if let oneAtATime { lost.append(oneAtATime - generation.modelLogProbability) }
    let configuration = run.configuration.method
    let plan = generation.plan as? AdaptivePlan
    return Line(
      run: command.folder, algorithm: configuration.algorithm.rawValue, number: text.number,
      sequence: generation.number, bestOf: command.bestOf > 1 ? command.bestOf : nil, beam: command.beam,
      text: stop.text(of: generation.tokens, given: generation.givenEnd), tokens: generation.tokens,
      fillings: text.holes.map { stop.fillings(of: $0, generation) },
      finishReason: generation.finishReason!.rawValue,
      alpha0: method.diffusedShare(of: text.request), steps: text.request.timeSteps(of: method),
      schedule: text.request.schedule?.rawValue, choose: plan?.choice.measure, threshold: plan?.choice.threshold,
      calls: plan?.choice.calls, window: plan?.choice.window, candidateOrder: plan?.choice.order,
      draft: generation.draftCounts.map { counts in
        Line.Draft(
          width: "\(text.request.draft!.width)", order: text.request.draft!.order,
          drafted: counts.drafted.reduce(0, +), accepted: counts.accepted.reduce(0, +), draftedByPlace: counts.drafted,
          acceptedByPlace: counts.accepted, tokensPerCall: Double(written) / Double(max(1, generation.networkCalls)))
      },
      length: text.request.length, seed: text.request.seed,
      topP: text.request.picker.topP, topK: text.request.picker.topK, temperature: text.request.picker.temperature,
      usesCache: !command.noCache, nfe: generation.networkCalls, rows: generation.fedRows,
      slotsPerToken: Double(generation.fedRows) / Double(max(1, written)), seconds: seconds,
      secondsPerCall: seconds / Double(max(1, generation.networkCalls)),
      precision: network.precision, cachePrecision: network.cachePrecision, weightBytes: network.weightByteCount,
      cacheBytes: command.noCache ? 0 : network.peakCacheByteCount, peakResidentBytes: ProcessMemory.peak,
      logProbability: generation.logProbability,
      modelLogProbability: generation.modelLogProbability, oneAtATimeLogProbability: oneAtATime,
      order: generation.history.flatMap(\.positions),
      logProbabilities: generation.history.flatMap(\.modelLogProbabilities),
      alternatives: command.alternatives == 0
        ? nil
        : generation.history.flatMap(\.alternatives).map { all in
          all.map {
            Line.Alternative(
              token: $0.token, text: run.tokenizer.decode([$0.token]), logProbability: $0.logProbability)
          }
        })
  }

  /// A line about all texts.
  func finish(calls made: Int) {
    guard count > 0 else { return }
    let mean = Double(calls.reduce(0, +)) / Double(count)
    let nfe = Set(calls).count == 1 ? "\(calls[0])" : Format.number(mean, digits: 1) + " on average"
    var parts = [
      "\(count) × \(Format.count(Double(tokens) / Double(count))) tokens, NFE \(nfe)",
      "\(Format.seconds(seconds)) s", "\(Format.seconds(seconds / Double(made) * 1000)) ms a call",
    ]
    let (drafted, accepted) = (drafts.drafted.reduce(0, +), drafts.accepted.reduce(0, +))
    if drafted > 0 {
      let perCall = Double(tokens) / Double(max(1, calls.reduce(0, +)))
      parts.append(
        "\(accepted) of \(drafted) drafts accepted, \(Format.number(perCall, digits: 2)) tokens a call")
    }
    if !lost.isEmpty, lost.contains(where: { abs($0) > 1e-9 }) {
      let loss = lost.reduce(0, +) / Double(tokens)
      parts.append("parallel writing lost \(Format.number(loss, digits: 4)) nats a token")
    }
    printError(parts.joined(separator: ", "))
  }
}

/// What is seen of texts while they are written, and afterwards.
struct SampleView {
  private let command: Sample
  private let run: RunFolder
  private let stop: StopStrings
  private let count: Int
  private var line = ShareLine()
  private var written: WritingShare
  private var watch: (number: Int, view: WatchView)?
  private var stream: (number: Int, text: TextStream)?
  /// Texts that wait for those before them.
  private var done: [Int: String] = [:]
  private var printed = 0

  init(_ command: Sample, run: RunFolder, stop: StopStrings, count: Int) {
    self.command = command
    self.run = run
    self.stop = stop
    self.count = count
    written = WritingShare(of: count * command.bestOf)
  }

  mutating func progress(_ step: Generation.Step, holes: Int) {
    written.add(step, holes: holes)
    guard Terminal.isInteractive, !command.watch, !command.stream else { return }
    let (finished, count) = (written.finished / command.bestOf, count)
    line.show("writing", written.share, "\(finished) of \(count) texts")
  }

  /// The share that is written for one of the prompts, while it is searched.
  mutating func progress(_ prompt: Int, _ share: Double) {
    guard Terminal.isInteractive else { return }
    line.show("searching", share, "prompt \(prompt + 1)")
  }

  mutating func show(_ step: Generation.Step, _ generation: Generation, number: Int) throws {
    if command.watch {
      if watch?.number != number {
        watch = (number, WatchView(tokenizer: run.tokenizer, maskToken: run.configuration.model.maskToken))
      }
      watch!.view.show(generation, after: step)
    }
    if command.stream {
      if stream?.number != number {
        stream = (number, TextStream(run.tokenizer, stop: stop, given: generation.givenEnd))
        if count > 1 { try printOutput("--- sample \(number + 1) ---") }
      }
      let new = stream!.text.next(generation.finalTokens, isFinished: generation.isFinished)
      try printOutput(new, terminator: generation.isFinished ? "\n" : "")
    }
  }

  /// A whole text, once those before it were printed; nothing if it was seen already.
  mutating func print(_ text: String, number: Int) throws {
    guard !command.stream else { return }
    done[number] = text
    while let text = done.removeValue(forKey: printed) {
      printed += 1
      if count > 1 { try printOutput("--- sample \(printed) ---") }
      try printOutput(text)
    }
  }

  func clear() { line.clear() }
}
