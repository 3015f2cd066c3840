import Corpora
import EsoLM
import Evaluation
import Foundation
import Reports

/// What a trained network's texts lose, and what they cost, by every way of writing them.
///
/// Of a method with an exact probability no judge is needed: tokens that are written together are drawn independently, and
/// what that loses is the mean of log p of a text under its plan less log p had its tokens been written one at a time in
/// the same order. Without top-p and temperature that is a Kullback–Leibler divergence, and 0 for lossless writing.
public struct QualityBenchmark {
  /// What writes the texts, with its method.
  public let likelihood: Likelihood
  /// Tokens of a text.
  public let length: Int
  /// Texts that are written in each way.
  public var samples = 32
  /// Texts that are written at a time.
  public var batch = 8
  /// How tokens are drawn.
  public var picker = TokenPicker.plain
  /// The share that diffusion writes; nil is the method's.
  public var alpha0: Double?
  /// Time steps of the paper's plan, and steps of the block plan; adaptive plans take as many calls as the paper's did.
  public var timeSteps = [4, 8, 16, 32, 64]
  /// Drafts of a call; nil takes as many as pay.
  public var drafts: Int?
  /// The seed of plans and tokens.
  public var seed: UInt64 = 0
  /// Measures the perplexity of texts and its standard error under a judge; nil for none.
  public var judge: (([Generation]) throws -> (perplexity: Double, error: Double?))?
  /// What the grammar says of texts; nil for none.
  public var grammar: (([Generation]) -> GrammarQuality)?

  /// A benchmark of a network.
  public init(_ likelihood: Likelihood, length: Int) {
    self.likelihood = likelihood
    self.length = length
  }

  /// One way of writing, measured.
  public struct Measurement: Codable, Sendable {
    /// What the way is called: a plan, with the measure of an adaptive one, or drafts, with their order.
    public let way: String
    /// What was set, in words.
    public let setting: String
    /// Network calls of a text, on average.
    public let calls: Double
    /// Tokens of a call, on average.
    public let tokensPerCall: Double
    /// Seconds of a text, of those that are written together.
    public let secondsPerText: Double
    /// What writing several tokens at once lost, in nats a token; nil for methods without exact probabilities.
    public let natsLost: Double?
    /// Its standard error over texts.
    public let natsLostError: Double?
    /// −log p of a token, one at a time in the order of writing, in nats.
    public let nats: Double?
    /// Its standard error over texts.
    public let natsError: Double?
    /// Of the tokens of a text, in nats, on average.
    public let entropy: Double
    /// Under the judge; nil without one.
    public let perplexity: Double?
    /// Its standard error.
    public let perplexityError: Double?
    /// The share of complete sentences that the grammar has; nil without one.
    public let grammaticalShare: Double?
    /// Its standard error.
    public let grammaticalError: Double?
    /// Drafts that were checked; nil where none are made.
    public let drafted: Int?
    /// Those that were accepted.
    public let accepted: Int?
  }

  /// Measures all ways that the method has.
  ///
  /// - Parameter progress: called with the way that is being measured and the share of its texts that is written.
  /// - Throws: ``EsoLM/ConfigurationError`` for settings that the method does not have; ``EsoLM/LogitsError``.
  public func measure(progress: (_ way: String, _ share: Double) -> Void = { _, _ in }) throws -> [Measurement] {
    try ConfigurationError.require(samples >= 1, "numSamples", samples, expected: "at least 1")
    let network = CachedTransformer(likelihood.network)
    var measurements: [Measurement] = []
    var paperCalls: [Int] = []
    func add(_ way: String, _ setting: String, _ change: (inout GenerationRequest) throws -> Void) throws {
      var request = GenerationRequest(length: length, alpha0: alpha0, picker: picker, seed: seed)
      try change(&request)
      measurements.append(try measured(way, setting, request, by: network) { progress(way, $0) })
    }
    for steps in timeSteps where steps <= length {
      try add("the paper's plan", "T = \(steps)") { $0.steps = steps }
      paperCalls.append(Int(measurements.last!.calls.rounded()))
    }
    for steps in timeSteps where steps <= length {
      try add("block plan", "S = \(steps)") { request in
        request.schedule = .blockShuffled
        request.steps = steps
      }
    }
    func addAdaptive(_ measure: AdaptiveChoice.Measure, _ order: WritingOrder) throws {
      let name = "adaptive, by \(measure.rawValue)" + (order == .random ? "" : ", \(words(order))")
      for calls in Set(paperCalls).sorted() {
        try add(name, "\(calls) calls") { request in
          request.schedule = .adaptive
          request.choice = try AdaptiveChoice(measure, calls: calls, order: order)
        }
      }
    }
    for measure in AdaptiveChoice.Measure.allCases { try addAdaptive(measure, .random) }
    try addAdaptive(.entropy, .farthestFirst)
    // Methods that refuse drafts have nothing more to compare.
    var drafting = GenerationRequest(length: length, alpha0: alpha0)
    drafting.draft = try Speculation(.fixed(0))
    guard (try? likelihood.method.generation(drafting, for: network.configuration)) != nil else { return measurements }
    for order in WritingOrder.allCases {
      let name = words(order)
      try add("one at a time, \(name)", "") { $0.draft = try Speculation(.fixed(0), order: order) }
      let width = drafts.map(Speculation.Width.fixed) ?? .automatic(likelihood.network.precision)
      try add("drafts, \(name)", "\(width) a call") { $0.draft = try Speculation(width, order: order) }
    }
    return measurements
  }

  private func words(_ order: WritingOrder) -> String {
    order.rawValue.replacingOccurrences(of: "-", with: " ")
  }

  private func measured(
    _ way: String, _ setting: String, _ request: GenerationRequest, by network: CachedTransformer,
    progress: (Double) -> Void
  ) throws -> Measurement {
    let sampler = Sampler(network, places: batch)
    for number in 0..<samples {
      var request = request
      request.number = number
      sampler.add(try likelihood.method.generation(request, for: network.configuration))
    }
    let start = ContinuousClock.now
    var written = 0
    let texts = try sampler.finish {
      written += $0.written.positions.count
      progress(Double(written) / Double(length * samples))
    }
    let elapsed = (ContinuousClock.now - start).components
    let seconds = Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    let single = try texts.map { try $0.oneAtATimeLogProbabilities(under: network)?.reduce(0, +) }
    let lost = zip(texts, single).compactMap { text, single in
      single.map { (text.modelLogProbability - $0) / Double(length) }
    }
    let nats = single.compactMap { $0.map { -$0 / Double(length) } }
    let calls = Double(texts.reduce(0) { $0 + $1.networkCalls }) / Double(samples)
    let judged = try judge?(texts)
    let grammatical = grammar?(texts)
    let counts = texts.compactMap(\.draftCounts)
    return Measurement(
      way: way, setting: setting, calls: calls, tokensPerCall: Double(length) / calls,
      secondsPerText: seconds / Double(samples), natsLost: lost.isEmpty ? nil : mean(lost),
      natsLostError: standardError(lost), nats: nats.isEmpty ? nil : mean(nats), natsError: standardError(nats),
      entropy: mean(texts.map { SampleStatistics.entropy(of: $0.tokens) }), perplexity: judged?.perplexity,
      perplexityError: judged?.error, grammaticalShare: grammatical?.grammaticalShare,
      grammaticalError: grammatical?.grammaticalError,
      drafted: counts.isEmpty ? nil : counts.reduce(0) { $0 + $1.drafted.reduce(0, +) },
      accepted: counts.isEmpty ? nil : counts.reduce(0) { $0 + $1.accepted.reduce(0, +) })
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  /// nil of fewer than two values.
  private func standardError(_ values: [Double]) -> Double? {
    guard values.count > 1 else { return nil }
    let mean = mean(values)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(values.count * (values.count - 1))).squareRoot()
  }
}

/// What several runs lose and cost, way by way.
public struct QualityResults: Codable, Sendable {
  /// A run with what was measured of it.
  public struct Entry: Codable, Sendable {
    /// Where it is.
    public let run: String
    /// Its method.
    public let title: String
    /// Way by way.
    public let measurements: [QualityBenchmark.Measurement]

    /// A run by its parts.
    public init(run: String, title: String, measurements: [QualityBenchmark.Measurement]) {
      self.run = run
      self.title = title
      self.measurements = measurements
    }
  }

  /// Run by run.
  public let entries: [Entry]
  /// How the numbers are made again.
  public let recipe: Recipe

  /// Results by their parts.
  public init(entries: [Entry], recipe: Recipe) {
    self.entries = entries
    self.recipe = recipe
  }

  /// What a text loses against the calls that it takes, and against its seconds.
  public var charts: [LineChart] {
    func has(_ value: (QualityBenchmark.Measurement) -> Double?) -> Bool {
      entries.contains { $0.measurements.contains { value($0) != nil } }
    }
    return [chart("over calls", .logarithmic("network calls of a text")) { $0.calls }]
      + [chart("over time", .logarithmic("seconds of a text")) { $0.secondsPerText }]
      + (has(\.perplexity) ? [judgedChart] : []) + (has(\.grammaticalShare) ? [grammarChart] : [])
  }

  private func series(_ point: (QualityBenchmark.Measurement) -> LineChart.Point?) -> [LineChart.Series] {
    entries.flatMap { entry in
      var ways: [String] = []
      for way in entry.measurements.map(\.way) where !ways.contains(way) { ways.append(way) }
      return ways.map { way in
        LineChart.Series(
          entries.count == 1 ? way : "\(entry.run): \(way)", method: way,
          entry.measurements.filter { $0.way == way }.compactMap(point).sorted { $0.x < $1.x })
      }
    }
  }

  private func note(_ row: QualityBenchmark.Measurement) -> String {
    "\(row.way)\(row.setting.isEmpty ? "" : ", \(row.setting)")"
  }

  private func chart(
    _ over: String, _ axis: ChartAxis, _ x: (QualityBenchmark.Measurement) -> Double
  ) -> LineChart {
    LineChart(
      "What writing at once loses, \(over)", x: axis, y: .number("nats lost a token"),
      series: series { row in
        row.natsLost.map { LineChart.Point(x: x(row), y: $0, error: row.natsLostError, note: note(row)) }
      })
  }

  private var judgedChart: LineChart {
    LineChart(
      "Perplexity under the judge, over calls", x: .logarithmic("network calls of a text"), y: .number("perplexity"),
      series: series { row in
        row.perplexity.map { LineChart.Point(x: row.calls, y: $0, error: row.perplexityError, note: note(row)) }
      })
  }

  private var grammarChart: LineChart {
    LineChart(
      "Grammatical sentences, over calls", x: .logarithmic("network calls of a text"),
      y: .share("grammatical sentences"),
      series: series { row in
        row.grammaticalShare.map { LineChart.Point(x: row.calls, y: $0, error: row.grammaticalError, note: note(row)) }
      })
  }

  /// The table's headings.
  public static let headings = [
    "way", "setting", "calls", "tokens a call", "ms a text", "nats lost a token", "nats a token", "entropy", "accepted",
    "PPL under the judge", "grammatical",
  ]

  /// The table's rows of one run.
  public func rows(of entry: Entry) -> [[String]] {
    func number(_ value: Double?, _ error: Double? = nil, digits: Int) -> String {
      let bar = error.map { String(format: " ± %.\(digits)f", $0) } ?? ""
      // What rounding leaves of a difference has no sign.
      return value.map { String(format: "%.\(digits)f", abs($0) < 0.5 * pow(10, -Double(digits)) ? 0 : $0) + bar }
        ?? "–"
    }
    return entry.measurements.map { row in
      [
        row.way, row.setting, number(row.calls, digits: 1), number(row.tokensPerCall, digits: 2),
        number(1000 * row.secondsPerText, digits: 2), number(row.natsLost, row.natsLostError, digits: 4),
        number(row.nats, row.natsError, digits: 3), number(row.entropy, digits: 3),
        row.drafted.map { $0 == 0 ? "–" : number(100 * Double(row.accepted!) / Double($0), digits: 1) + " %" } ?? "–",
        number(row.perplexity, row.perplexityError, digits: 2),
        row.grammaticalShare.map {
          number(100 * $0, row.grammaticalError.map { 100 * $0 }, digits: 1) + " %"
        } ?? "–",
      ]
    }
  }

  /// A page that needs nothing else.
  public var page: HTMLPage {
    var page = HTMLPage("Quality and cost of writing")
    page.add(figures: charts)
    page.add(
      paragraph:
        "Bars are standard errors. What a dot stands for is told when it is pointed at. Lost is what log p of a "
        + "text under its plan has beyond its log p one token at a time in the same order.")
    for entry in entries {
      page.add(
        table: Self.headings, rows: rows(of: entry), title: "\(entry.run): \(entry.title)", textColumns: [1])
    }
    page.add(recipe: recipe)
    page.add(data: self)
    return page
  }
}
