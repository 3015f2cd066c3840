import Torch

// How probable a text was, from one pass over all of it instead of call by call.
extension Generation {
  /// log p of each written token, in the order of writing, had the text been written one token at a time in that order:
  /// `log p(x_{σ(i)} | x_{σ(<i)})` under the model's own distributions, in nats.
  ///
  /// What parallel writing lost is the sum of these less ``modelLogProbability``.
  ///
  /// - Returns: nil for MDLM, BD3-LM and Eso-LM (A), where no pass gives it: what a clean token is to the others changes
  ///   with every later one.
  /// - Throws: ``LogitsError``.
  public func oneAtATimeLogProbabilities(under network: some DecodingNetwork) throws -> [Double]? {
    guard rule.segments == .each else { return nil }
    if history.allSatisfy({ $0.isOneAtATime || ($0.positions.count == 1 && $0.candidates == nil) }) {
      return history.flatMap(\.modelLogProbabilities)
    }
    return try replay(history.flatMap(\.single), under: network).map(\.modelLogProbability)
  }

  /// log p of each written token under the plan that was followed, in the order of writing: what ``logProbability`` and
  /// ``modelLogProbability`` add up.
  ///
  /// - Returns: nil where no pass gives it, as above, and for AR, whose calls write one token each.
  /// - Throws: ``LogitsError``.
  public func replayedLogProbabilities(under network: some DecodingNetwork) throws -> [(drawn: Double, model: Double)]?
  {
    guard rule.segments == .each, !rule.predictsNext else { return nil }
    let calls = history.flatMap { call in
      call.isOneAtATime ? call.single : [(call.candidates ?? call.positions, call.positions, call.tokens)]
    }
    return try replay(calls, under: network).map { ($0.logProbability, $0.modelLogProbability) }
  }

  /// log p of tokens that are written next, one at a time in this order, given what is there; positions that are not
  /// named are never written, and so never seen. What is there is computed once for all alternatives.
  ///
  /// - Parameters:
  ///   - alternatives: of each, tokens at positions of the text that are not written.
  ///   - network: what is asked.
  /// - Returns: of each alternative's tokens; nil where no pass gives it: for MDLM, BD3-LM, Eso-LM (A) and AR.
  /// - Throws: ``LogitsError``.
  public func logProbabilities(
    ofWriting alternatives: [[(position: Int, token: Int32)]], under network: some DecodingNetwork
  ) throws -> [[Double]]? {
    guard !rule.predictsNext else { return nil }
    return try picks(ofWriting: alternatives, under: network)?.map { $0.map(\.modelLogProbability) }
  }

  /// The same, with all that is told about a drawn token: the likeliest ones in its place, as many as the sequence
  /// tells of those that it writes.
  ///
  /// - Returns: nil where no pass gives it: for MDLM, BD3-LM and Eso-LM (A), and for AR, which is read from left to right,
  ///   if the tokens are not those that come next in the text.
  /// - Throws: ``LogitsError``.
  public func picks(
    ofWriting alternatives: [[(position: Int, token: Int32)]], under network: some DecodingNetwork
  ) throws -> [[TokenPicker.Pick]]? {
    guard rule.segments == .each else { return nil }
    if rule.predictsNext {
      let next = slots.count - rule.textStart
      guard alternatives.allSatisfy({ $0.map(\.position) == Array(next..<next + $0.count) }) else { return nil }
      return try alternatives.map { try readNext($0.map(\.token), under: network) }
    }
    let cache = network.makeCache()
    store(in: cache, under: network)
    return try alternatives.map { tokens in
      var finished = self
      finished.write(Written(positions: tokens.map(\.position), tokens: tokens.map(\.token)))
      let calls = tokens.map { (candidates: [$0.position], positions: [$0.position], tokens: [$0.token]) }
      return try finished.replay(
        calls, cache: cache.copy(upTo: min(cache.count, finished.unmovedCount)), alternativeCount: alternativeCount,
        under: network)
    }
  }

  /// What a method that predicts next says of the tokens that follow its slots: each is read at the one before it.
  private func readNext(_ tokens: [Int32], under network: some DecodingNetwork) throws -> [TokenPicker.Pick] {
    var finished = self
    finished.write(Written(positions: tokens.indices.map { slots.count - rule.textStart + $0 }, tokens: tokens))
    let (cache, first) = (network.makeCache(), slots.count - 1)
    var picks: [TokenPicker.Pick] = []
    for start in stride(from: 0, to: first + tokens.count, by: rule.prefillPiece) {
      let end = min(start + rule.prefillPiece, first + tokens.count)
      let outputs = min(max(start, first), end)..<end
      var feed = DecodingFeed()
      finished.append(start..<end, outputs: outputs, kept: end, to: &feed)
      let logits = network.logits(feed, caches: [cache])
      guard !outputs.isEmpty else { continue }
      let draws = outputs.map {
        TokenPicker.Draw(picker, .token(tokens[$0 - first]), alternativeCount: alternativeCount)
      }
      picks += try TokenPicker.pick(from: logits, excluding: Int(maskToken), draws)
    }
    return picks
  }

  /// Feeds the slots that a cache does not hold yet, clean.
  private func store<Network: DecodingNetwork>(in cache: Network.Cache, under network: Network) {
    var copy = self
    for start in stride(from: cache.count, to: slots.count, by: rule.prefillPiece) {
      var feed = DecodingFeed()
      let end = min(start + rule.prefillPiece, slots.count)
      copy.append(start..<end, outputs: end..<end, kept: end, to: &feed)
      _ = network.logits(feed, caches: [cache])
    }
  }

  /// All slots are stored first, clean. Then the masks of many calls are fed at once, each call with a cache that ends
  /// where it began: so a mask sees the clean slots of the calls before and the masks before it in its own. Where clean
  /// slots stand from left to right, later ones stand among them by now: a call's cache ends before the first of these,
  /// and it is fed its own clean slots from there on.
  ///
  /// - Parameter calls: what wrote the last slots.
  private func replay<Network: DecodingNetwork>(
    _ calls: [(candidates: [Int], positions: [Int], tokens: [Int32])], cache: Network.Cache? = nil,
    alternativeCount: Int = 0, under network: Network
  ) throws -> [TokenPicker.Pick] {
    let cache = cache ?? network.makeCache()
    store(in: cache, under: network)
    var picks: [TokenPicker.Pick] = []
    let later = Set(calls.flatMap { $0.positions.map { $0 + rule.textStart } })
    // The slots as they stood before a call.
    var clean = slots.filter { !later.contains($0) }
    var rest = calls[...]
    while !rest.isEmpty {
      var (feed, caches, rows, draws) = (DecodingFeed(), [Network.Cache](), [Int64](), [TokenPicker.Draw]())
      // Logits of so many rows are held at a time.
      while let call = rest.first, feed.tokens.isEmpty || feed.tokens.count + call.candidates.count <= 256 {
        let stored = zip(clean, slots).prefix { $0 == $1 }.count
        let (moved, masks) = (clean[stored...], call.candidates)
        rows += call.positions.map { Int64(feed.outputs.count + masks.firstIndex(of: $0)!) }
        draws += call.tokens.map { TokenPicker.Draw(picker, .token($0), alternativeCount: alternativeCount) }
        let count = moved.count + masks.count
        feed.append(
          tokens: moved.map { sequence[$0] } + masks.map { _ in maskToken },
          positions: moved + masks.map { $0 + rule.textStart }, visible: (0..<count).map { stored + $0 + 1 },
          outputs: moved.count..<count, keptCount: 0)
        caches.append(cache.copy(upTo: stored))
        clean += call.positions.map { $0 + rule.textStart }
        if rule.orders.clean == .leftToRight { clean.sort() }
        rest = rest.dropFirst()
      }
      let logits = network.logits(feed, caches: caches)
      picks += try TokenPicker.pick(
        from: logits.selecting(Tensor(rows).to(logits.device)), excluding: Int(maskToken), draws)
    }
    return picks
  }
}

extension Generation.Written {
  /// A call for each token.
  fileprivate var single: [(candidates: [Int], positions: [Int], tokens: [Int32])] {
    zip(positions, tokens).map { ([$0], [$0], [$1]) }
  }
}
