import EsoLM
import Torch

extension GenerationMethod {
  /// Sequences of one request, each with its own number.
  public func generations(
    _ request: GenerationRequest, count: Int, first: Int = 0, for configuration: TransformerConfiguration
  ) throws -> [Generation] {
    try (first..<first + count).map { number in
      var request = request
      request.number = number
      return try generation(request, for: configuration)
    }
  }
}

extension Sampler {
  /// A sampler that has taken in sequences.
  public convenience init(
    _ network: Network, writing generations: [Generation], places: Int = .max, usesCache: Bool = true
  ) {
    self.init(network, places: places, usesCache: usesCache)
    for generation in generations { add(generation) }
  }
}

/// Writes sequences together.
public func written(
  _ generations: [Generation], by network: some DecodingNetwork, places: Int = .max, usesCache: Bool = true
) throws -> [Generation] {
  try Sampler(network, writing: generations, places: places, usesCache: usesCache).finish()
}

extension UnmaskingPlan {
  /// The plan with the positions of each call as a method's masks stand.
  public func arranged(for method: any GenerationMethod) -> UnmaskingPlan {
    guard method.diffusionOrders.masks == .leftToRight else { return self }
    return try! UnmaskingPlan(steps: steps.map { $0.sorted() }, diffusionStepCount: diffusionStepCount)
  }
}

/// Sequences as their plans write them if every draw gives the tokens of certain texts.
public func forced(
  _ generations: [Generation], _ texts: [[Int32]], by network: some DecodingNetwork
) throws -> [Generation] {
  let sampler = Sampler(network)
  let places = Dictionary(uniqueKeysWithValues: generations.enumerated().map { (sampler.add($1), $0) })
  var finished = generations
  while !sampler.isEmpty {
    for step in try sampler.advance(forcing: { texts[places[$0]!] }) {
      if let generation = step.finished { finished[places[step.id]!] = generation }
    }
  }
  return finished
}

/// The logits of every call of every sequence, [sequence][call], when texts are forced.
public func forcedLogits(
  _ generations: [Generation], _ texts: [[Int32]], by network: some DecodingNetwork, usesCache: Bool = true
) throws -> [[Tensor]] {
  let sampler = Sampler(network, usesCache: usesCache)
  let ids = generations.map { sampler.add($0) }
  let places = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
  var logits = [[Tensor]](repeating: [], count: ids.count)
  while !sampler.isEmpty {
    _ = try sampler.advance(forcing: { texts[places[$0]!] }) { logits[places[$0.id]!].append($0.logits) }
  }
  return logits
}

/// A network of one's own: its logits are a function of position and of how much each row sees.
public final class FunctionNetwork: DecodingNetwork {
  public final class Cache: KVCache {
    public private(set) var count = 0
    public init() {}
    public func truncate(to count: Int) { self.count = count }
    public func pad(to count: Int) { self.count = max(self.count, count) }
    public var byteCount: Int { 0 }
    fileprivate func grow(by more: Int) { count += more }

    public func copy(upTo count: Int) -> Cache {
      let copy = Cache()
      copy.count = count
      return copy
    }
  }

  public let configuration: TransformerConfiguration
  private let function: (_ position: Int, _ visible: Int) -> [Float]
  /// How many rows each call was fed.
  public private(set) var calls: [Int] = []

  public init(
    _ configuration: TransformerConfiguration, _ function: @escaping (_ position: Int, _ visible: Int) -> [Float]
  ) {
    self.configuration = configuration
    self.function = function
  }

  public func makeCache() -> Cache { Cache() }

  public func logits(_ feed: DecodingFeed, caches: [Cache]) -> Tensor {
    calls.append(feed.tokens.count)
    for (sequence, cache) in zip(feed.sequences, caches) { cache.grow(by: sequence.keptCount) }
    return Tensor(
      feed.outputs.flatMap { function(feed.positions[$0], feed.visible[$0]) },
      shape: [feed.outputs.count, configuration.vocabularySize])
  }
}

/// The training pass that predicts some slots, with an output for each: what sampling must see of a half written text.
///
/// - Parameters:
///   - order: the position of each slot, given ones first.
///   - diffused: where the diffusion phase ends.
public func trainingPass(
  _ method: any GenerationMethod, _ tokens: [Int32], _ order: [Int], writing slots: Range<Int>, diffused: Int
) -> (sequence: NetworkSequence, pattern: AttentionPattern) {
  func sequence(_ pattern: AttentionPattern, cleanCount: Int, upTo end: Int) -> (NetworkSequence, AttentionPattern) {
    let positions = Array(order[..<end])
    return (
      NetworkSequence(
        tokens: positions.map { tokens[$0] }, positions: positions, cleanCount: cleanCount,
        masked: Array(slots.lowerBound..<end), outputs: Array(slots)), pattern
    )
  }
  switch method {
  case is MaskedDiffusionMethod: return sequence(.bidirectional, cleanCount: slots.lowerBound, upTo: order.count)
  case let method as EsotericMethod where method.variant == .b:
    guard method.diffusionOrders.clean == .leftToRight else {
      return sequence(.causal, cleanCount: slots.lowerBound, upTo: slots.upperBound)
    }
    return trainingPass(
      try! EsotericMethod(alpha0: 1), tokens, order[..<slots.lowerBound].sorted() + order[slots.lowerBound...],
      writing: slots, diffused: diffused)
  case is EsotericMethod where slots.lowerBound < diffused:
    return sequence(.cleanThenCausal, cleanCount: slots.lowerBound, upTo: slots.upperBound)
  case is EsotericMethod: return sequence(.cleanThenTwoStream, cleanCount: diffused, upTo: slots.upperBound)
  case let block as BlockDiffusionMethod:
    return sequence(.blockDiffusion(block.blockSize), cleanCount: 0, upTo: order.count)
  case let ar as AutoregressiveMethod:
    let row = ar.start.isText ? tokens : [ar.start.token] + tokens
    let length = slots.lowerBound + (ar.start.isText ? 0 : 1)
    return (
      NetworkSequence(
        tokens: Array(row[..<length]), positions: Array(0..<length), cleanCount: length, masked: [],
        outputs: [length - 1]), .causal
    )
  default: preconditionFailure("no training pass is known for \(method)")
  }
}

/// Whether each position lies as far from those before it, and those given, as any that is left.
public func isFarthestFirst(_ order: [Int], from given: [Int]) -> Bool {
  var (taken, left) = (given, Set(order))
  return order.allSatisfy { position in
    func distance(_ position: Int) -> Int { taken.map { abs($0 - position) }.min() ?? 0 }
    defer {
      taken.append(position)
      left.remove(position)
    }
    return distance(position) == left.map(distance).max()
  }
}
