import Randomness

/// BD3-LM (Arriola et al. 2025): blocks follow each other from left to right, each written by masked diffusion; keys and
/// values are cached across blocks.
///
/// It trains on x_t ⊕ x with a noise level per block: in block b, of time t_b, each token is masked with chance t_b, and
/// a masked token weighs 1/t_b (log-linear noise: α_t = 1 − t).
public struct BlockDiffusionMethod: GenerationMethod, Equatable {
  public let blockSize: Int
  /// The times that training draws from; narrower than 0 to 1 it lowers the variance of gradients ("clipped").
  public let noiseRange: ClosedRange<Double>
  /// The first token where it is always given, never predicted; nil where it is predicted like the others.
  public let firstToken: Int32?

  public init(blockSize: Int, noiseRange: ClosedRange<Double> = 0...1, firstToken: Int32? = nil) {
    self.blockSize = blockSize
    self.noiseRange = noiseRange
    self.firstToken = firstToken
  }

  /// The sequence with a time for each block, some tokens masked.
  ///
  /// - Parameter scale: multiplies the weight 1/t.
  public func member(
    _ text: PaddedTokens, times: [Double], scale: Double, using generator: inout CounterGenerator
  ) -> ScoredBatch.Member {
    let masked = text.tokens.indices.filter { position in
      // Drawn also for a first token that stays, so that the others do not depend on it.
      let isHidden = generator.uniform() < times[position / blockSize]
      return isHidden && !(position == 0 && firstToken != nil)
    }
    return member(text, masked: masked, times: times, scale: scale)
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
    _ sequences: [PaddedTokens], times: [[Double]], scale: Double, maskToken: Int, generators: [CounterGenerator]
  ) -> ScoredBatch {
    var batch = ScoredBatch()
    batch.append(
      sequences.indices.map { place in
        var generator = generators[place]
        return member(sequences[place], times: times[place], scale: scale, using: &generator)
      }, pattern: .blockDiffusion(blockSize), maskToken: maskToken)
    return batch
  }

  /// One number in [0, 1) for each block.
  private func uniforms(_ sequence: PaddedTokens, _ generator: inout CounterGenerator) -> [Double] {
    (0..<sequence.count / blockSize).map { _ in generator.uniform() }
  }

  public func trainingBatch(_ sequences: [PaddedTokens], maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    var generators = sequences.indices.map {
      CounterGenerator(seed: seed, stream: .corruption, major: step, minor: $0)
    }
    let all = sequences.indices.flatMap { uniforms(sequences[$0], &generators[$0]) }
    let times = NoiseSchedule.antitheticTimes(uniforms: all).map { noiseRange.scaled($0) }
    let blocks = sequences.first.map { $0.count / blockSize } ?? 0
    return batch(
      sequences, times: sequences.indices.map { Array(times[$0 * blocks..<($0 + 1) * blocks]) },
      scale: 1 / Double(sequences.reduce(0) { $0 + $1.contentCount }), maskToken: maskToken, generators: generators)
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
    return batch(sequences, times: times, scale: 1, maskToken: maskToken, generators: generators)
  }

  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    UnmaskingPlan.blocks(length: length, blockSize: blockSize, steps: nil, using: &generator).order(using: &generator)
  }

  /// A first token that is given is not counted.
  public func predictedCount(ofLength length: Int) -> Int { firstToken == nil ? length : max(0, length - 1) }

  public var decoding: DecodingRule {
    DecodingRule(
      segments: .blocks(blockSize), start: firstToken.map { DecodingRule.Start(token: $0, isText: true) })
  }

  /// T counts the stretches of time of one block.
  public func plan(_ request: PlanRequest, seed: UInt64) throws -> UnmaskingPlan {
    try request.forbidAlpha0("BD3-LM")
    let schedule = try request.schedule(of: "BD3-LM", known: [.firstHitting, .ancestral])
    try ConfigurationError.require(
      request.length > 0 && request.length % blockSize == 0, "length", request.length,
      expected: "a multiple of the block size \(blockSize)")
    try ConfigurationError.require(
      request.length > (firstToken == nil ? 0 : 1), "length", request.length, expected: "more than the given token")
    if schedule == .firstHitting, let steps = request.steps {
      throw ConfigurationError(
        field: "steps", found: "\(steps)", expected: "none with first-hitting, which writes one token a step")
    }
    var generator = CounterGenerator(seed: seed, stream: .samplingPlan)
    return .blocks(
      length: request.length, blockSize: blockSize,
      steps: schedule == .firstHitting ? nil : try request.steps.map { _ in try request.ancestralSteps() } ?? blockSize,
      givenCount: firstToken == nil ? 0 : 1, using: &generator)
  }

  // MARK: Clipped noise

  /// The same method with another range of training times.
  public func training(on noiseRange: ClosedRange<Double>) -> BlockDiffusionMethod {
    BlockDiffusionMethod(blockSize: blockSize, noiseRange: noiseRange, firstToken: firstToken)
  }

  /// Of all times and of the ranges of half of them, those in which the loss varies least from sequence to sequence:
  /// few masks give a loss of few tokens with a large weight, and all of them one of tokens that nothing tells about.
  ///
  /// The same noise is used for every range.
  public func quietestRange(
    under network: Network, sequences: [PaddedTokens], seed: UInt64
  ) -> ClosedRange<Double> {
    let ranges = [0...1] + (0...5).map { Double($0) / 10...Double($0 + 5) / 10 }
    let noise = EvaluationNoise(seed: seed, count: sequences.count)
    let variances = ranges.map { range in
      let losses = boundBatch(
        sequences, maskToken: network.configuration.maskToken, noise: noise, times: range
      ).sequenceLosses(under: network)
      let mean = losses.reduce(0, +) / Double(losses.count)
      return losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    }
    return zip(ranges, variances).min { $0.1 < $1.1 }!.0
  }
}

extension ClosedRange<Double> {
  /// A number from 0 to 1 moved into this range.
  fileprivate func scaled(_ share: Double) -> Double { lowerBound + (upperBound - lowerBound) * share }
}
