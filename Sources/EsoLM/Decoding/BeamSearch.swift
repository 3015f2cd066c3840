import Torch

/// A text of a beam, with what is known of it.
private struct Beam<Cache: KVCache> {
  var generation: Generation
  let cache: Cache
  /// log p of what is written.
  var sum = 0.0
}

extension Generation {
  /// Whether one pass tells log p of each written token, had they been written one at a time.
  public var hasExactProbability: Bool { rule.segments == .each }

  /// log p a written token, one at a time in the order of writing, in nats: what texts are ranked by.
  ///
  /// - Returns: nil for methods where no pass gives it.
  /// - Throws: ``LogitsError``.
  public func meanLogProbability(under network: some DecodingNetwork) throws -> Double? {
    guard let all = try oneAtATimeLogProbabilities(under: network) else { return nil }
    return all.reduce(0, +) / Double(max(1, all.count))
  }

  /// The most probable texts that a beam search finds, by the model's own log p of what is written, one token at a time in
  /// the plan's order; the most probable one first. Nothing is drawn.
  ///
  /// Each call extends every text of the beam by its likeliest tokens and keeps the most probable texts. One that is
  /// finished keeps its place as long as it is among them.
  ///
  /// - Parameters:
  ///   - width: how many texts are kept.
  ///   - network: what is asked; it keeps as many caches.
  ///   - progress: called with each step's number of written tokens.
  /// - Throws: ``ConfigurationError`` for a width below 1, and unless the plan is known to write one token a call and each
  ///   token's log p is exact (Eso-LM (B) one at a time, AR); ``LogitsError``.
  public func mostProbable<Network: DecodingNetwork>(
    width: Int, under network: Network, progress: (_ written: Int) -> Void = { _ in }
  ) throws -> [Generation] {
    try ConfigurationError.require(width >= 1, "beam", width, expected: "at least 1")
    try ConfigurationError.require(
      rule.segments == .each && writesOneAtATime, "beam", width,
      expected: "none unless one token is written a call with an exact probability: by AR, or Eso-LM (B) one at a time")
    var beams = [Beam(generation: self, cache: network.makeCache())]
    var written = 0
    while true {
      let live = beams.indices.compactMap { place in
        beams[place].generation.nextCall().map { (place: place, call: $0) }
      }
      guard !live.isEmpty else { break }
      var feed = DecodingFeed()
      for (place, call) in live {
        let cache = beams[place].cache
        cache.truncate(to: min(cache.count, beams[place].generation.unmovedCount))
        beams[place].generation.append(call, from: beams[place].cache.count, to: &feed)
      }
      let logits = network.logits(feed, caches: live.map { beams[$0.place].cache })
      let most = min(width, network.configuration.vocabularySize - 1)
      let picks = try TokenPicker.pick(
        from: logits, excluding: Int(maskToken),
        live.map { _ in TokenPicker.Draw(.plain, .at(0), alternativeCount: most) })
      var candidates = beams.filter(\.generation.isFinished).map { (beam: $0, sum: $0.sum, written: Written?.none) }
      for ((place, call), pick) in zip(live, picks) {
        for (token, logProbability) in pick.alternatives {
          let step = Written(
            positions: call.planned.positions,
            picks: [
              .init(token: token, logProbability: logProbability, modelLogProbability: logProbability, alternatives: [])
            ], candidates: call.planned.positions)
          candidates.append((beams[place], beams[place].sum + logProbability, step))
        }
      }
      // Equal ones in the order in which they stand: the earlier text, then the smaller token.
      let best = candidates.indices.sorted { (-candidates[$0].sum, $0) < (-candidates[$1].sum, $1) }.prefix(width)
      beams = best.map { place in
        var (beam, sum, step) = candidates[place]
        guard let step else { return beam }
        beam.generation.write(step)
        return Beam(generation: beam.generation, cache: beam.cache.copy(upTo: beam.cache.count), sum: sum)
      }
      written += 1
      progress(written)
    }
    return beams.map(\.generation)
  }

  /// Whether the plan is known to write one token a call.
  private var writesOneAtATime: Bool {
    if let plan = plan as? FixedPlan { return plan.plan.steps.allSatisfy { $0.count == 1 } }
    return (plan as? SpeculativePlan)?.width == .fixed(0)
  }
}
