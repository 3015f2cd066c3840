import Randomness

/// A plain autoregressive transformer: every token is predicted from those to its left, read at the token before.
///
/// Without anything before the text its first token is given, not predicted.
public struct AutoregressiveMethod: GenerationMethod, Equatable {
  /// The token that a text starts from.
  public let start: DecodingRule.Start

  /// - Parameter start: a token before the text, or the one that every text begins with.
  public init(start: DecodingRule.Start) { self.start = start }

  public var title: String { "AR" }
  public var leftToRightStart: DecodingRule.Start? { start }

  /// The input is the sequence without its last token, the targets are the sequence without its first one, where a
  /// start token that is no text stands before it.
  ///
  /// - Parameter given: how many leading tokens need not be predicted.
  private func member(_ text: PaddedTokens, given: Int = 0, weight: Double) -> ScoredBatch.Member {
    let row = start.isText ? text.tokens : [start.token] + text.tokens
    let inputs = Array(0..<row.count - 1)
    let outputs = Array(
      inputs.prefix(predictedCount(ofLength: text.contentCount)).dropFirst(start.isText ? max(0, given - 1) : given))
    let sequence = NetworkSequence(
      tokens: row.dropLast(), positions: inputs, cleanCount: inputs.count, masked: [], outputs: outputs)
    return .init(
      sequence, targets: outputs.map { row[$0 + 1] }, weights: Array(repeating: weight, count: outputs.count))
  }

  private func batch(_ sequences: [PaddedTokens], weight: Double, maskToken: Int) -> ScoredBatch {
    var batch = ScoredBatch()
    batch.append(runs: sequences.map { member($0, weight: weight) }, pattern: .causal, maskToken: maskToken)
    return batch
  }

  public func trainingBatch(_ share: BatchShare, maskToken: Int, seed: UInt64, step: Int) -> ScoredBatch {
    let predicted = share.contentCounts.reduce(0) { $0 + predictedCount(ofLength: $1) }
    return batch(share.sequences, weight: 1 / Double(predicted), maskToken: maskToken)
  }

  /// No bound but the negative log-likelihood itself.
  public func boundBatch(_ sequences: [PaddedTokens], maskToken: Int, noise: EvaluationNoise) -> ScoredBatch {
    batch(sequences, weight: 1, maskToken: maskToken)
  }

  /// The same under every order.
  public func exactBatch(_ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int) -> ScoredBatch? {
    batch(sequences.map { PaddedTokens($0.tokens) }, weight: 1, maskToken: maskToken)
  }

  /// Only from left to right.
  public func conditionalBatch(
    _ sequences: [(tokens: [Int32], order: GenerationOrder)], maskToken: Int
  ) -> ScoredBatch? {
    guard sequences.allSatisfy({ $0.order.positions == Array($0.order.positions.indices) }) else { return nil }
    var batch = ScoredBatch()
    batch.append(
      runs: sequences.map { member(PaddedTokens($0.tokens), given: $0.order.cleanCount, weight: 1) }, pattern: .causal,
      maskToken: maskToken)
    return batch
  }

  public var hasOneOrder: Bool { true }
  public var isBoundExact: Bool { true }

  public func drawOrder(length: Int, using generator: inout CounterGenerator) -> GenerationOrder {
    .leftToRight(length: length)
  }

  /// There is one plan, of a token a call.
  public func request(length: Int, calls: Int) -> GenerationRequest? {
    calls == length ? GenerationRequest(length: length) : nil
  }

  public func requests(length: Int, timeSteps: [Int]) -> [GenerationRequest] { [GenerationRequest(length: length)] }

  public func predictedCount(ofLength length: Int) -> Int { start.isText ? max(0, length - 1) : length }

  /// Given tokens must be the first ones. Where nothing stands before the text and nothing is given, the start token
  /// is its first.
  public func generation(
    _ request: GenerationRequest, for configuration: TransformerConfiguration
  ) throws -> Generation {
    var request = request
    try request.validate(for: configuration)
    try request.forbidAlpha0("AR")
    try request.forbidDrafts("AR", "which has no masks to draft with")
    _ = try request.schedule(of: "AR", known: [.leftToRight])
    if start.isText, request.template[0] == nil {
      try ConfigurationError.require(
        request.length >= 2, "length", request.length, expected: "at least 2 for AR, whose first token is given")
      request.template[0] = start.token
    }
    let holes = request.holes
    try ConfigurationError.require(
      holes.first == request.length - holes.count, "template",
      "a given token at position \((request.template.lastIndex { $0 != nil } ?? 0) + 1), behind a hole",
      expected: "given tokens at the start alone for AR, which writes from left to right")
    if let steps = request.steps {
      try ConfigurationError.require(
        steps == holes.count, "steps", steps, expected: "none for AR, which takes \(holes.count) for this text")
    }
    return Generation(
      rule: DecodingRule(segments: .each, predictsNext: true, start: start),
      plan: FixedPlan(.leftToRight(holes: holes, steps: holes.count, isDiffusion: false)),
      given: try request.ascendingContext("AR"), request: request, maskToken: configuration.maskToken)
  }
}

extension Algorithm {
  /// AR: each token from those to its left.
  public static let autoregressive = Algorithm(
    "ar", family: "AR", summary: "autoregressive", options: [.prepend, .startToken], required: [.prepend],
    isModulated: false,
    make: { options, tokens in
      let token = options.prepend ?? .usual == .mask ? tokens.mask : options.start(of: tokens)
      return AutoregressiveMethod(
        start: .init(token: token, isText: options.prepend == MethodConfiguration.Prepend.none))
    })
}
