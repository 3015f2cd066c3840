import Randomness

/// BD3-LM (Arriola et al. 2025): blocks follow each other from left to right, each written by masked diffusion; keys and
/// values are cached across blocks.
///
/// It trains on x_t ⊕ x with a noise level per block: in block b, of time t_b, each token is masked with chance t_b, and
/// a masked token weighs 1/t_b (log-linear noise: α_t = 1 − t).
public struct BlockDiffusionMethod: GenerationMethod, Equatable {
  /// Tokens of a block.
  public let blockSize: Int
  /// The times that training draws from; narrower than 0 to 1 it lowers the variance of gradients ("clipped").
  public let noiseRange: ClosedRange<Double>
  /// Whether training draws the masks of a block again, at the same time, until their share of it lies in `noiseRange`.
  /// A lower end of 1e-3 or less leaves the share free downwards, as an upper end of 1 does upwards.
  public let resamplesMasks: Bool
  /// The first token where it is always given, never predicted; nil where it is predicted like the others.
  public let firstToken: Int32?

  /// Whether validations choose `noiseRange`, among `searchedRanges`.
  public let searchesNoise: Bool

  /// - Throws: ``ConfigurationError`` unless a block has a token, times lie in [0, 1], and, where masks are drawn again, a
  ///   block can have a share of them in the range.
  public init(
    blockSize: Int, noiseRange: ClosedRange<Double> = 0...1, resamplesMasks: Bool = false, firstToken: Int32? = nil,
    searchesNoise: Bool = false
  ) throws {
    try ConfigurationError.require(blockSize >= 1, "blockSize", blockSize, expected: "at least 1")
    let range = NoiseRange.fixed(low: noiseRange.lowerBound, high: noiseRange.upperBound)
    try range.validate()
    let ranges = searchesNoise ? Self.searchedRanges : [noiseRange]
    try ConfigurationError.require(
      !resamplesMasks || ranges.allSatisfy { Self.maskCounts(blockSize: blockSize, within: $0) != nil }, "noiseRange",
      searchesNoise ? "search" : range.description,
      expected: "a range that holds a share of masks of a block of \(blockSize), or --no-resample")
    self.blockSize = blockSize
    self.noiseRange = noiseRange
    self.resamplesMasks = resamplesMasks
    self.firstToken = firstToken
    self.searchesNoise = searchesNoise
  }

  public var title: String { "BD3-LM, L′ = \(blockSize)" }
  public var lengthUnit: Int { blockSize }

  /// The sequence with a time for each block, some tokens masked.
  ///
  /// - Parameters:
  ///   - text: the clean sequence.
  ///   - times: of each block, from 0 to 1.
  ///   - range: where the share of masks of each block must lie, if masks are drawn again.
  ///   - scale: multiplies the weight 1/t.
  ///   - generator: draws the masks.
  public func member(
    _ text: PaddedTokens, times: [Double], within range: ClosedRange<Double> = 0...1, scale: Double,
    using generator: inout CounterGenerator
  ) -> ScoredBatch.Member {
    let counts = resamplesMasks ? Self.maskCounts(blockSize: blockSize, within: range) : nil
    // Drawn also for a first token that stays, so that the others do not depend on it.
    let drawn =
      if let counts, counts != 0...blockSize {
        times.enumerated().flatMap { block, time in
          Self.masks(of: blockSize, at: time, count: counts, using: &generator).map { block * blockSize + $0 }
        }
      } else {
        text.tokens.indices.filter { generator.uniform() < times[$0 / blockSize] }
      }
    return member(text, masked: firstToken == nil ? drawn : drawn.filter { $0 > 0 }, times: times, scale: scale)
  }

  /// The same with given masks.
  public func member(_ text: PaddedTokens, masked: [Int], times: [Double], scale: Double) -> ScoredBatch.Member {
    let tokens = text.tokens
    let outputs = masked.filter { $0 < text.contentCount }
    return .init(
      NetworkSequence(
        tokens: tokens, positions: Array(tokens.indices), cleanCount: 0, masked: masked, outputs: outputs),
      targets: outputs.map { tokens[$0] }, weights: outputs.map { scale / times[$0 / blockSize] })
  }

  private func batch(
    _ sequences: [PaddedTokens], times: [[Double]], within range: ClosedRange<Double>, scale: Double, maskToken: Int,
    generators: [CounterGenerator]
  ) -> ScoredBatch {
    var batch = ScoredBatch()
    batch.append(
      sequences.indices.map { place in
        var generator = generators[place]
        return member(sequences[place], times: times[place], within: range, scale: scale, using: &generator)
      }, pattern: .blockDiffusion(blockSize), maskToken: maskToken, term: .diffusion)
    return batch
  }

  /// One number in [0, 1) for each block.
  private func uniforms(_ sequence: PaddedTokens, _ generator: inout CounterGenerator) -> [Double] {
    (0..<sequence.count / blockSize).map { _ in generator.uniform() }
  }

  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    var generators = share.places.map {
      CounterGenerator(seed: seed, stream: .corruption, major: step, minor: $0)
    }
    let times = share.places.indices.map { index in
      let uniforms = self.uniforms(share.sequences[index], &generators[index])
      return uniforms.enumerated().map { block, uniform in
        noiseRange.scaled(
          NoiseSchedule.antitheticTime(
            uniform: uniform, index: share.places[index] * uniforms.count + block,
            count: share.contentCounts.count * uniforms.count))
      }
    }
    return batch(
      share.sequences, times: times, within: noiseRange, scale: 1 / Double(share.contentCounts.reduce(0, +)),
      maskToken: maskToken, generators: generators)
  }

  public func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    boundBatch(sequences, maskToken: maskToken, noise: noise, times: 0...1)
  }

  private func boundBatch(
    _ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise, times range: ClosedRange<Double>
  ) -> ScoredBatch {
    var generators = sequences.indices.map(noise.generator)
    let times = noise.times(sequences.indices.map { uniforms(sequences[$0], &generators[$0]) })
      .map { $0.map { range.scaled($0) } }
    return batch(
      sequences, times: times, within: range, scale: 1, maskToken: maskToken, generators: generators)
  }

  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    let blocks = stride(from: 0, to: length, by: blockSize).flatMap { start in
      (start..<min(start + blockSize, length)).inRandomOrder(using: &generator)
    }
    return GenerationOrder(positions: blocks, cleanCount: 0)
  }

  /// A first token that is given is not counted.
  public func predictedCount(ofLength length: Int) -> Int { firstToken == nil ? length : max(0, length - 1) }

  /// T counts the stretches of time of one block. Of a text that ends inside a block, the block's other positions stay
  /// masked: its tokens see these masks, as those of every unfinished block see each other. Given tokens must stand before the first hole, or in its block: a
  /// block does not see those after it.
  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    var request = request
    try request.validate(for: configuration)
    try request.forbidAlpha0("BD3-LM")
    try request.forbidDrafts("BD3-LM", "whose tokens have no exact conditionals: those of a block see each other")
    let schedule = try request.schedule(of: "BD3-LM", known: [.firstHitting, .ancestral])
    if let firstToken, request.template[0] == nil {
      try ConfigurationError.require(
        request.length > 1, "length", request.length, expected: "more than the given token")
      request.template[0] = firstToken
    }
    if schedule == .firstHitting, let steps = request.steps {
      throw ConfigurationError(
        field: "steps", found: "\(steps)", expected: "none with first-hitting, which writes one token a step")
    }
    let holes = request.holes
    let lastGiven = request.template.lastIndex { $0 != nil } ?? 0
    try ConfigurationError.require(
      holes.isEmpty || lastGiven / blockSize <= holes[0] / blockSize, "template",
      "a given token at position \(lastGiven + 1), behind a hole in an earlier block",
      expected: "none there for BD3-LM, whose blocks of \(blockSize) see only those before them")
    var generators = request.generators
    let plan = UnmaskingPlan.blocks(
      holes: holes, blockSize: blockSize,
      steps: schedule == .firstHitting ? nil : try request.ancestralSteps(default: blockSize), using: &generators)
    return Generation(
      rule: DecodingRule(segments: .blocks(blockSize)), plan: FixedPlan(plan),
      given: try request.ascendingContext("BD3-LM"), request: request, maskToken: configuration.maskToken,
      padding: (blockSize - request.length % blockSize) % blockSize)
  }

  /// A token a call, or each block in equally many stretches of time.
  public func request(length: Int, calls: Int) -> GenerationRequest? {
    guard calls < length else { return GenerationRequest(length: length) }
    let steps = calls * blockSize / length
    return steps == 0 ? nil : GenerationRequest(length: length, steps: steps, schedule: .ancestral)
  }

  public func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest] {
    let steps = Set(timeSteps.map { $0 * blockSize / length }).filter { $0 >= 1 && $0 < blockSize }
    return steps.sorted().map { GenerationRequest(length: length, steps: $0, schedule: .ancestral) }
      + [GenerationRequest(length: length)]
  }

  // MARK: Clipped noise

  public func training(on times: ClosedRange<Double>?) throws -> any GenerationMethod {
    try BlockDiffusionMethod(
      blockSize: blockSize, noiseRange: times ?? noiseRange, resamplesMasks: resamplesMasks, firstToken: firstToken,
      searchesNoise: searchesNoise)
  }

  /// How many masks of a block are a share within a range; nil if there is none, or only that of no mask at all.
  public static func maskCounts(blockSize: Int, within range: ClosedRange<Double>) -> ClosedRange<Int>? {
    // In the release's precision, in which 3/10 is not below 0.3.
    let least = range.lowerBound <= 1e-3 ? 0 : Float(range.lowerBound)
    let counts = (0...blockSize).filter {
      (least...Float(range.upperBound)).contains(Float($0) / Float(blockSize))
    }
    return counts.last ?? 0 > 0 ? counts[0]...counts.last! : nil
  }

  /// Masks each of `size` tokens with chance `time`, over and over until the number of masks is one of `counts`: so their
  /// number is binomial given that, and equally many are equally likely anywhere. Drawn so, no time is lost on failures.
  static func masks(
    of size: Int, at time: Double, count counts: ClosedRange<Int>, using generator: inout CounterGenerator
  ) -> [Int] {
    // The chances of the counts over that of the likeliest, from there to both sides: none of them overflows.
    let mode = min(max(Int((Double(size) * time).rounded()), counts.lowerBound), counts.upperBound)
    var chances = [Double](repeating: 1, count: counts.count)
    for count in (mode..<counts.upperBound) {
      let odds = Double(size - count) / Double(count + 1) * time / (1 - time)
      chances[count + 1 - counts.lowerBound] = chances[count - counts.lowerBound] * odds
    }
    for count in (counts.lowerBound..<mode).reversed() {
      let odds = Double(count + 1) / Double(size - count) * (1 - time) / time
      chances[count - counts.lowerBound] = chances[count + 1 - counts.lowerBound] * odds
    }
    var rest = generator.uniform() * chances.reduce(0, +)
    var count = counts.lowerBound
    while count < counts.upperBound, rest >= chances[count - counts.lowerBound] {
      rest -= chances[count - counts.lowerBound]
      count += 1
    }
    return Array(0..<size).inRandomOrder(using: &generator).prefix(count).sorted()
  }

  /// All times, and ranges of half of them.
  public static let searchedRanges: [ClosedRange<Double>] =
    [0...1] + (0...5).map { (tenths: Int) in Double(tenths) / 10...Double(tenths + 5) / 10 }

  /// Few masks give a loss of few tokens with a large weight, and all of them one of tokens that nothing tells about. The
  /// same noise is used for every range.
  public func quietestTimes(
    under network: Transformer, sequences: [PaddedTokens], seed: UInt64
  ) -> ClosedRange<Double>? {
    guard searchesNoise else { return nil }
    let noise = EvaluationNoise(seed: seed, count: sequences.count)
    let variances = Self.searchedRanges.map { range in
      let losses = boundBatch(
        sequences, maskToken: network.configuration.maskToken, noise: noise, times: range
      ).sequenceLosses(under: network)
      let mean = losses.reduce(0, +) / Double(losses.count)
      return losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    }
    return zip(Self.searchedRanges, variances).min { $0.1 < $1.1 }!.0
  }
}

extension ClosedRange<Double> {
  /// A number from 0 to 1 moved into this range.
  fileprivate func scaled(_ share: Double) -> Double { lowerBound + (upperBound - lowerBound) * share }
}

extension Algorithm {
  private static let usualBlockSize = 4

  /// BD3-LM: blocks from left to right, each by diffusion.
  public static let blockDiffusion = Algorithm(
    "bd3lm", family: "BD3-LM", summary: "block diffusion",
    options: [.blockSize, .noiseRange, .resamplesMasks, .keepsFirstToken, .startToken], required: [.blockSize],
    number: .blockSize(usual: usualBlockSize), fillUsual: { $0.blockSize = $0.blockSize ?? usualBlockSize },
    make: { options, tokens in
      guard let size = options.blockSize, size >= 1, options.length % size == 0 else {
        throw ConfigurationError(
          field: "blockSize", found: options.blockSize.map { "\($0)" } ?? "missing",
          expected: "a number that divides the length \(options.length)")
      }
      try options.noiseRange?.validate()
      return try BlockDiffusionMethod(
        blockSize: size, noiseRange: options.noiseRange?.initial ?? 0...1,
        resamplesMasks: options.resamplesMasks == true && options.noiseRange != nil,
        firstToken: options.keepsFirstToken == true ? options.start(of: tokens) : nil,
        searchesNoise: options.noiseRange == .search)
    })
}
