import EsoLM
import Foundation
import Runs
import Torch

/// What sampling costs, method by method: seconds, network calls, rows and memory for a text of a length.
///
/// Weights are random; plans, caches and the drawing of tokens are those of real samples. A run that would take longer
/// than the budget is measured on calls spread evenly over it, whose mean stands for all.
public struct SamplingBenchmark {
  /// The sizes of the network.
  public var model: TransformerConfiguration
  /// Texts that are written at a time.
  public var batch: Int
  /// Seconds that one line of the table may take, about.
  public var budget: Double
  /// The seed of weights, plans and tokens.
  public var seed: UInt64
  /// Where all of it is computed.
  public var device: Device
  /// How matrices are kept.
  public var precision: Precision
  /// How keys and values are kept.
  public var cachePrecision: Precision
  /// Given tokens that every text begins with, each text with its own.
  public var prompt: Int

  /// A benchmark of networks with random weights.
  public init(
    model: TransformerConfiguration, batch: Int = 1, budget: Double = 20, seed: UInt64 = 0, device: Device = .cpu,
    precision: Precision = .float32, cachePrecision: Precision = .float32, prompt: Int = 0
  ) {
    self.model = model
    self.batch = batch
    self.budget = budget
    self.seed = seed
    self.device = device
    self.precision = precision
    self.cachePrecision = cachePrecision
    self.prompt = prompt
  }

  /// One line of the table.
  public struct Measurement: Codable, Sendable {
    /// The method as commands name it.
    public let method: String
    /// The method as the paper writes it.
    public let title: String
    /// Tokens of a text.
    public let length: Int
    /// Texts that were written at a time.
    public let batch: Int
    /// How many of a text's tokens were given.
    public var prompt = 0
    /// How matrices were kept.
    public var precision = Precision.float32
    /// How keys and values were kept.
    public var cachePrecision = Precision.float32
    /// Threads of the CPU.
    public var threads = 0
    /// The seed of weights, plans and tokens.
    public var seed: UInt64 = 0
    /// Network calls for a text (NFE).
    public let calls: Int
    /// How many of them were timed; fewer than `calls` where the rest is inferred.
    public let measuredCalls: Int
    /// Seconds of all calls over the number of texts.
    public let secondsPerSequence: Double
    /// Seconds of one network call, drawing included.
    public let secondsPerCall: Double
    /// Seconds until the first call has written tokens, with all that is given computed in it.
    public var secondsToFirstToken = 0.0
    /// Rows that the network computes for each token written.
    public let slotsPerToken: Double
    /// Network calls over tokens that are written.
    public let callsPerToken: Double
    /// Keys and values of a sequence at their most.
    public let cacheBytesPerSequence: Int
    /// Weights, keys and values that a call reads, on average over the calls that were timed.
    public var bytesPerCall = 0.0
    /// Bytes of a large array that were read in a second meanwhile, which is the floor of a call that is bound by reading.
    public var bytesPerSecond = 0.0
    /// Memory of all weights.
    public var weightBytes = 0
    /// What calls took, stage by stage, in seconds of one call; nil where the device does not tell.
    public var profile: FusedDecoder.Profile?
    /// Seconds in which a call could read its weights, keys and values.
    public var floorSecondsPerCall: Double { bytesPerCall / bytesPerSecond }
    /// Whether calls that were not timed are supposed to cost what the others did.
    public var isInferred: Bool { measuredCalls < calls }

    /// A line by its parts.
    public init(
      method: String, title: String, length: Int, batch: Int, calls: Int, measuredCalls: Int,
      secondsPerSequence: Double, secondsPerCall: Double, slotsPerToken: Double, callsPerToken: Double,
      cacheBytesPerSequence: Int
    ) {
      self.method = method
      self.title = title
      self.length = length
      self.batch = batch
      self.calls = calls
      self.measuredCalls = measuredCalls
      self.secondsPerSequence = secondsPerSequence
      self.secondsPerCall = secondsPerCall
      self.slotsPerToken = slotsPerToken
      self.callsPerToken = callsPerToken
      self.cacheBytesPerSequence = cacheBytesPerSequence
    }
  }

  /// Networks with and without adaptive norms, random all through.
  public final class Networks {
    private var known: [Bool: CachedTransformer] = [:]
    private let benchmark: SamplingBenchmark

    /// Networks that are made when they are first asked for.
    public init(_ benchmark: SamplingBenchmark) { self.benchmark = benchmark }

    func network(isModulated: Bool) throws -> CachedTransformer {
      if let network = known[isModulated] { return network }
      var configuration = benchmark.model
      if !isModulated { configuration.conditioningSize = nil }
      let model = try TransformerWeights(configuration, seed: benchmark.seed, device: benchmark.device)
      // What starts at zero, gates and output layer, would make all logits equal.
      withoutGradients {
        for (number, (name, tensor)) in model.namedParameters.enumerated()
        where name.contains("adaLN_modulation") || name == "output_layer.linear.weight" {
          let bound = 1 / Double(tensor.shape.last!).squareRoot()
          tensor.copy(from: .uniform(tensor.shape, in: -bound..<bound, seed: UInt64(number)))
        }
      }
      let network = try CachedTransformer(
        model.transformer(), precision: benchmark.precision, cachePrecision: benchmark.cachePrecision)
      known[isModulated] = network
      return network
    }
  }

  /// Measures one line; nil where the method has no plan of so many calls.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` where the length does not fit the method.
  public func measure(
    _ contestant: Contestant, length: Int, calls: Int, networks: Networks,
    progress: (_ share: Double) -> Void = { _ in }
  ) throws -> Measurement? {
    try ConfigurationError.require(batch >= 1, "batch", batch, expected: "at least 1")
    try ConfigurationError.require(
      budget > 0 && budget.isFinite, "budget", budget, expected: "a number of seconds above 0")
    try ConfigurationError.require(calls >= 1, "calls", calls, expected: "at least 1")
    let method = try contestant.method(length: length, maskToken: model.maskToken)
    try ConfigurationError.require(
      (0..<length).contains(prompt), "prompt", prompt, expected: "0 to \(length - 1), for texts of \(length) tokens")
    guard var request = method.request(length: length - prompt, calls: calls) else { return nil }
    let network = try networks.network(isModulated: contestant.isModulated)
    request.seed = seed
    request.picker = try TokenPicker(topP: 0.9)
    let (first, expected) = try Self.foreseen(
      Texts(request, prompt: prompt, of: method, batch: batch, network: network))
    network.resetPeak()
    let texts = try Texts(request, prompt: prompt, of: method, batch: batch, network: network)
    let affordable = Int(min(budget / expected, 1e9))
    var probe = ReadProbe(device)
    probe.measure()
    let isWhole = affordable >= texts.calls
    // The call that first writes behind given tokens is timed with them, apart from the others.
    let opening = prompt == 0 ? nil : isWhole ? try texts.first() : first
    network.profile = .init()
    var seconds = 0.0
    var measured = 0
    if isWhole {
      while !texts.sampler.isEmpty {
        seconds += try texts.time()
        measured += 1
        if measured.isMultiple(of: max(1, texts.calls / 16)) { probe.measure() }
        progress(Double(measured) / Double(texts.calls))
      }
    } else {
      // Calls in a row, the first of which is not counted: it finds caches cold as no call of a run does. Where a call
      // is long that does not matter.
      let run = expected > 0.5 ? 1 : 4
      let places = min(max(3, affordable / (run + 1)), 32)
      for place in 0..<places {
        let middle = (2 * place + 1) * texts.calls / (2 * places)
        // At every 128th slot pages of the cache begin, whose memory is cleared. Calls at round numbers would all be such.
        let start = texts.calls < 256 ? middle : middle / 32 * 32 + 12
        guard start + run < texts.calls, start >= texts.made else { continue }
        texts.skip(to: start)
        probe.measure()
        if run > 1 {
          let profile = network.profile
          _ = try texts.time(counts: false)
          network.profile = profile
        }
        for _ in 0..<run {
          seconds += try texts.time()
          measured += 1
        }
        progress(Double(place + 1) / Double(places))
      }
      texts.skip(to: texts.calls)
    }
    let written = length - prompt
    let perCall = measured == 0 ? opening ?? 0 : seconds / Double(measured)
    let all = perCall * Double(texts.calls) + (opening.map { $0 - perCall } ?? 0)
    measured = max(1, measured)
    var measurement = Measurement(
      method: contestant.description, title: contestant.title, length: length, batch: batch,
      calls: texts.calls, measuredCalls: isWhole ? texts.calls : measured,
      secondsPerSequence: all / Double(batch), secondsPerCall: perCall,
      slotsPerToken: Double(texts.fedRows - batch * prompt) / Double(batch * written),
      callsPerToken: Double(texts.calls) / Double(written),
      cacheBytesPerSequence: network.peakCacheByteCount / batch)
    (measurement.prompt, measurement.seed, measurement.threads) = (prompt, seed, Torch.threadCount)
    (measurement.precision, measurement.cachePrecision) = (precision, cachePrecision)
    measurement.bytesPerCall = Double(network.readByteCount) + texts.cachedBytes / Double(measured)
    measurement.bytesPerSecond = probe.bytesPerSecond
    measurement.weightBytes = network.weightByteCount
    measurement.secondsToFirstToken = isWhole ? opening ?? first : first
    measurement.profile = network.profile.map { profile in
      var profile = profile
      for stage in [\FusedDecoder.Profile.rows, \.products, \.attention, \.output] {
        profile[keyPath: stage] /= Double(measured)
      }
      return profile
    }
    network.profile = nil
    return measurement
  }

  /// A batch that is being written.
  private final class Texts {
    let sampler: Sampler<CachedTransformer>
    /// Network calls of the whole batch, and those that were made or skipped.
    let calls: Int
    private(set) var made = 0
    private(set) var fedRows = 0
    /// Keys and values that were there at the calls that were timed, added up.
    private(set) var cachedBytes = 0.0
    private let network: CachedTransformer

    init(
      _ request: GenerationRequest, prompt: Int, of method: any GenerationMethod, batch: Int, network: CachedTransformer
    ) throws {
      let texts = try (0..<batch).map { number in
        var request = request
        request.number = number
        // Other tokens in every text, so that none finds what another one computed.
        request.template.insert(
          contentsOf: (0..<prompt).map { Int32(($0 + 7919 * number) % network.configuration.maskToken) }, at: 0)
        return try method.generation(request, for: network.configuration)
      }
      self.network = network
      sampler = Sampler(network)
      for text in texts { sampler.add(text) }
      calls = texts.compactMap(\.remainingCalls).max() ?? 0
    }

    /// Makes a call and tells its seconds.
    func time(counts: Bool = true) throws -> Double {
      if counts { cachedBytes += Double(sampler.cachedSlotCount * network.bytesPerCachedSlot) }
      made += 1
      return try advance().seconds
    }

    /// Makes the calls that feed what is given, and the first one that writes, and tells their seconds.
    func first() throws -> Double {
      var seconds = 0.0
      while made == 0, !sampler.isEmpty {
        let call = try advance()
        seconds += call.seconds
        if call.writes { made = 1 }
      }
      return seconds
    }

    private func advance() throws -> (seconds: Double, writes: Bool) {
      let start = ContinuousClock.now
      let steps = try sampler.advance()
      let elapsed = ContinuousClock.now - start
      fedRows += steps.reduce(0) { $0 + ($1.finished?.fedRows ?? 0) }
      return (
        Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18, !steps.isEmpty
      )
    }

    func skip(to call: Int) {
      fedRows += sampler.skip(call - made).reduce(0) { $0 + $1.fedRows }
      made = call
    }
  }

  /// What the first call takes, and one in the middle, which tells how many can be afforded.
  private static func foreseen(_ texts: Texts) throws -> (first: Double, middle: Double) {
    let first = try texts.first()
    texts.skip(to: max(texts.made, texts.calls / 2))
    guard !texts.sampler.isEmpty else { return (first, first) }
    let middle = try texts.time()
    // A short call is measured again: the first one found everything cold.
    return (first, max(1e-6, middle > 1 || texts.sampler.isEmpty ? middle : try texts.time()))
  }

  /// How many times as long as Eso-LM (B) each method takes for texts of a length in as many network calls.
  public static func ratios(_ measurements: [Measurement]) -> [(measurement: Measurement, ratio: Double)] {
    measurements.compactMap { other in
      let base = measurements.first {
        $0.method.hasPrefix("esolm-b") && $0.length == other.length && $0.calls == $0.length - $0.prompt
      }
      guard let base, other.calls == other.length - other.prompt, other.method != base.method else { return nil }
      return (other, other.secondsPerSequence / base.secondsPerSequence)
    }
  }
}
