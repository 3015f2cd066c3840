import Faults
import Torch

/// Writes sequences with one network: the sampling loop of all methods, one network call at a time.
///
/// Sequences join and leave between any two calls. Each call feeds what the caches do not hold yet: tokens written
/// before, now clean, followed by masks for the slots that it writes (and for those that they see), the rows of all
/// sequences in one list. The logits of the masks give the tokens, each drawn independently. Keys and values that will
/// never change stay in a sequence's cache, those of a mask never do. What a method sees and keeps is its
/// ``DecodingRule``; which positions are written when is the ``DecodingPlan``.
///
/// What is given is fed in calls of its own before anything is written, in pieces of fixed length: so a given token's
/// keys and values are the same bit for bit in every sequence that begins alike, and such sequences share them.
///
/// A sampler belongs to the code that made it: it is used from one thread at a time.
public final class Sampler<Network: DecodingNetwork> {
  /// Names a sequence.
  public typealias ID = Generation.ID
  /// What one network call did for one sequence.
  public typealias Step = Generation.Step

  private struct Member {
    let id: ID
    var generation: Generation
    var cache: Network.Cache
    /// How many slots are fed before anything is written.
    let prefillCount: Int
    let start = ContinuousClock.now
  }

  private let network: Network
  private let places: Int
  private let usesCache: Bool
  private var live: [Member] = []
  private var waiting: ArraySlice<(id: ID, generation: Generation)> = []
  private var nextID = 0
  private var prefixes: PrefixStore<Network.Cache>
  /// How many network calls were made, those that only fed given tokens included.
  public private(set) var madeCalls = 0

  /// - Parameters:
  ///   - network: what computes the logits.
  ///   - places: how many sequences are written at a time, others waiting for a place; fewer than one count as one.
  ///   - usesCache: false recomputes keys and values of all tokens in each call, for checking.
  ///   - prefixMemory: how much memory, in bytes, caches of given tokens may take that no sequence is using, so that a
  ///     later one which begins alike finds them; 0 or less keeps none.
  public init(_ network: Network, places: Int = .max, usesCache: Bool = true, prefixMemory: Int = 256 << 20) {
    self.network = network
    self.places = max(1, places)
    self.usesCache = usesCache
    prefixes = PrefixStore(limit: max(0, prefixMemory))
  }

  // MARK: Joining and leaving

  /// Takes in a sequence; it is written from the next call that has a place for it.
  @discardableResult
  public func add(_ generation: Generation) -> ID {
    let id = ID(value: nextID)
    nextID += 1
    waiting.append((id, generation))
    return id
  }

  /// Takes a sequence out before it is finished; nil if it is not there.
  @discardableResult
  public func remove(_ id: ID) -> Generation? {
    if let place = live.firstIndex(where: { $0.id == id }) { return live.remove(at: place).generation }
    return waiting.firstIndex { $0.id == id }.map { waiting.remove(at: $0).generation }
  }

  /// A sequence as it stands; nil if it is not there.
  public subscript(id: ID) -> Generation? {
    live.first { $0.id == id }?.generation ?? waiting.first { $0.id == id }?.generation
  }

  /// The sequences that are not finished, in the order in which they came.
  public var ids: [ID] { live.map(\.id) + waiting.map(\.id) }
  /// Whether nothing is left to write.
  public var isEmpty: Bool { live.isEmpty && waiting.isEmpty }
  /// The memory of all caches of sequences and of kept prefixes, what they share counted each time.
  public var cacheByteCount: Int { live.reduce(prefixes.byteCount) { $0 + $1.cache.byteCount } }

  /// How many slots the caches of sequences that are being written hold, what they share counted each time.
  public var cachedSlotCount: Int { live.reduce(0) { $0 + $1.cache.count } }

  private func join() {
    while live.count < places, !waiting.isEmpty {
      let (id, generation) = waiting.removeFirst()
      let settled = usesCache ? generation.settledCount : 0
      // Few given tokens are fed along with the first masks.
      live.append(
        Member(
          id: id, generation: generation, cache: network.makeCache(), prefillCount: settled > 8 ? settled : 0))
    }
  }

  // MARK: Calls

  /// Makes the next network call for all sequences that have a place.
  ///
  /// - Returns: what was written; nothing in a call that only feeds given tokens.
  /// - Throws: ``LogitsError``; the sequences are of no more use then.
  public func advance() throws -> [Step] {
    try advance(choosing: { _, generation, positions in generation.uniforms(positions.count).map { .at($0) } })
  }

  /// The same with given tokens instead of drawn ones, for checking and measuring.
  ///
  /// - Parameters:
  ///   - forced: the text of each sequence, none of which has a plan that draws tokens itself.
  ///   - body: called with the logits that a sequence's tokens would have been drawn from, [positions, vocabulary].
  public func advance(
    forcing forced: (ID) -> [Int32], _ body: ((id: ID, positions: [Int], logits: Tensor)) -> Void = { _ in }
  ) throws -> [Step] {
    try advance(choosing: { id, generation, positions in
      trap(unless: !generation.drawsTokens, "a plan that draws tokens is forced to others")
      let text = forced(id)
      return positions.map { .token(text[$0]) }
    }) { id, positions, logits in body((id, positions, logits())) }
  }

  /// Writes everything that is left.
  ///
  /// - Parameter body: called with each step.
  /// - Returns: the sequences in the order in which they came.
  @discardableResult
  public func finish(_ body: (Step) throws -> Void = { _ in }) throws -> [Generation] {
    var finished: [ID: Generation] = [:]
    while !isEmpty {
      for step in try advance() {
        try body(step)
        if let generation = step.finished { finished[step.id] = generation }
      }
    }
    return finished.sorted { $0.key < $1.key }.map(\.value)
  }

  /// Passes over calls of all sequences as if they had been made, to measure what a later one costs: of what follows
  /// only the time means anything.
  ///
  /// - Returns: the sequences that are finished by it.
  @discardableResult
  public func skip(_ calls: Int) -> [Generation] {
    join()
    for place in live.indices {
      for _ in 0..<calls {
        guard let call = live[place].generation.nextCall() else { break }
        let cache = live[place].cache
        cache.truncate(to: min(cache.count, live[place].generation.unmovedCount))
        live[place].generation.fedRows += call.reading.end - cache.count
        cache.pad(to: call.reading.finished)
        live[place].generation.write(.filler(at: call.planned.positions))
      }
    }
    defer { live.removeAll { $0.generation.isFinished } }
    return live.map(\.generation).filter(\.isFinished)
  }

  // MARK: One call

  /// What one sequence has in a call.
  private struct Part {
    let place: Int
    let id: ID
    /// nil where given tokens alone are fed, or nothing is left to write.
    var call: Generation.Call?
    /// Its outputs among all that are drawn from, and the positions that they are written to.
    var outputs: [Int] = []
    var positions: [Int] = []
    /// What the plan has drawn for them; nil where it leaves that to the sampler.
    var tokens: [Int32]?
  }

  private func advance(
    choosing choose: (ID, Generation, _ positions: [Int]) -> [TokenPicker.Draw.Choice],
    _ look: (ID, [Int], _ logits: () -> Tensor) -> Void = { _, _, _ in }
  ) throws -> [Step] {
    join()
    var call = DecodingFeed()
    var caches: [Network.Cache] = []
    var parts: [Part] = []
    var prefilled: Set<CachedPrefix> = []
    for place in live.indices {
      if !usesCache { live[place].cache.truncate(to: 0) }
      let fed = call.sequences.count
      switch prefill(place, &prefilled, &call) {
      case .waits: continue
      case .feeds(let part): parts.append(part)
      case .isDone: parts.append(write(place, &call))
      }
      if call.sequences.count > fed { caches.append(live[place].cache) }
    }
    if !call.sequences.isEmpty {
      var logits = network.logits(call, caches: caches)
      madeCalls += 1
      for index in parts.indices { try decide(&parts[index], logits) }
      let outputs = parts.flatMap(\.outputs)
      // A plan may leave some out, or write them in another order.
      if !outputs.elementsEqual(0..<call.outputs.count) {
        logits = logits.selecting(Tensor(outputs.map(Int64.init)).to(logits.device))
      }
      if !outputs.isEmpty {
        var first: Int64 = 0
        for part in parts where !part.outputs.isEmpty {
          let rows = first..<first + Int64(part.outputs.count)
          // A copy: the distributions are made in place.
          look(part.id, part.positions) { logits.selecting(Tensor(Array(rows)).to(logits.device)) }
          first = rows.upperBound
        }
        let draws = parts.flatMap { part in
          let choices =
            part.tokens?.map { .token($0) } ?? choose(part.id, live[part.place].generation, part.positions)
          let (picker, count) = (live[part.place].generation.picker, live[part.place].generation.alternativeCount)
          return choices.map { TokenPicker.Draw(picker, $0, alternativeCount: count) }
        }
        take(try TokenPicker.pick(from: logits, excluding: network.configuration.maskToken, draws), parts)
      }
    }
    let steps = parts.compactMap { part -> Step? in
      let generation = live[part.place].generation
      guard part.call != nil || generation.isFinished else {
        remember(part.place)
        return nil
      }
      return Step(
        id: part.id, index: generation.networkCalls - 1,
        written: part.call == nil ? .filler(at: []) : generation.history.last!,
        elapsed: ContinuousClock.now - live[part.place].start, finished: generation.isFinished ? generation : nil)
    }
    // A key path would copy each of them.
    live.removeAll { $0.generation.isFinished }
    return steps
  }

  /// The rows that a sequence's plan wants next; none if it has nothing left to write.
  private func write(_ place: Int, _ feed: inout DecodingFeed) -> Part {
    var part = Part(place: place, id: live[place].id)
    guard let call = live[place].generation.nextCall() else { return part }
    let cache = live[place].cache
    // Forgets slots that the plan took back or that others were written before, and what a call that failed had stored
    // beyond.
    cache.truncate(
      to: min(cache.count, call.reading.outputs.lowerBound, live[place].generation.unmovedCount))
    part.positions = call.planned.evaluated
    part.outputs = Array(feed.outputs.count..<feed.outputs.count + part.positions.count)
    part.call = call
    live[place].generation.append(call, from: cache.count, to: &feed)
    return part
  }

  /// Leaves those outputs that the plan wants to be written.
  private func decide(_ part: inout Part, _ logits: Tensor) throws {
    let drawsTokens = live[part.place].generation.drawsTokens
    guard let call = part.call, drawsTokens || live[part.place].generation.choosesByLogits else { return }
    let all = part.outputs
    let own = logits.narrowed(dim: 0, to: all[0]..<all[0] + all.count)
    let chosen: [Int]
    if drawsTokens {
      let drawn = try live[part.place].generation.draw(from: call.planned, logits: own)
      chosen = drawn.map(\.place)
      part.tokens = drawn.map(\.token)
    } else {
      chosen = live[part.place].generation.choose(from: call.planned, logits: own)
    }
    part.outputs = chosen.map { all[$0] }
    part.positions = chosen.map { call.planned.evaluated[$0] }
  }

  /// Gives each sequence what was drawn for it.
  private func take(_ picks: [TokenPicker.Pick], _ parts: [Part]) {
    var rest = picks[...]
    for part in parts {
      guard let call = part.call else { continue }
      let own = rest.prefix(part.positions.count)
      rest = rest.dropFirst(own.count)
      let isOneAtATime = part.tokens != nil
      live[part.place].generation.write(
        Generation.Written(
          positions: part.positions, picks: Array(own),
          candidates: isOneAtATime ? part.positions : call.planned.positions, isOneAtATime: isOneAtATime))
      // Drafts were stored as if they were written; those that were not are forgotten, and what saw them.
      let right = zip(call.planned.drafts, zip(part.positions, own)).prefix { draft, written in
        draft.position == written.0 && draft.token == written.1.token
      }
      let wrong = call.planned.drafts.count - right.count
      if wrong > 0 { live[part.place].cache.truncate(to: live[part.place].cache.count - wrong) }
    }
  }

  // MARK: What is given

  private enum Prefill {
    case isDone
    /// Another sequence computes the same in this call; the next one finds it.
    case waits
    case feeds(Part)
  }

  /// Feeds given tokens, in pieces that begin at multiples of one length.
  private func prefill(_ place: Int, _ prefilled: inout Set<CachedPrefix>, _ feed: inout DecodingFeed) -> Prefill {
    let (count, piece) = (live[place].prefillCount, live[place].generation.rule.prefillPiece)
    guard live[place].cache.count < count else { return .isDone }
    let prefix = live[place].generation.cachedPrefix(count)
    if live[place].cache.count == 0, let (cache, shared) = prefixes.find(prefix, piece: piece) {
      live[place].cache = cache.copy(upTo: shared)
      if shared == count { return .isDone }
    }
    guard prefilled.insert(prefix).inserted else { return .waits }
    let start = live[place].cache.count
    let end = min(count, (start / piece + 1) * piece)
    live[place].generation.append(start..<end, outputs: end..<end, kept: end, to: &feed)
    return .feeds(Part(place: place, id: live[place].id))
  }

  /// Keeps a cache of given tokens for others that begin alike.
  private func remember(_ place: Int) {
    let member = live[place]
    guard member.prefillCount > 0, member.cache.count == member.prefillCount else { return }
    prefixes.add(member.generation.cachedPrefix(member.prefillCount), member.cache.copy(upTo: member.prefillCount))
  }
}

extension Generation {
  /// Names a sequence of a sampler.
  public struct ID: Hashable, Sendable, Comparable {
    let value: Int
    public static func < (a: ID, b: ID) -> Bool { a.value < b.value }
  }

  /// What one network call did for one sequence.
  public struct Step: Sendable {
    public let id: ID
    /// Which of the sequence's calls it was, counted from 0.
    public let index: Int
    /// What the call wrote; nothing where it only fed given tokens.
    public let written: Written
    /// Since the sequence got its place.
    public let elapsed: Duration
    /// The sequence, if it is finished now: it has left the sampler.
    public let finished: Generation?
  }
}

/// Slots as a cache knows them: equal ones have equal keys and values.
struct CachedPrefix: Hashable {
  struct Slot: Hashable {
    let token: Int32
    let position: Int
  }

  /// What sees what.
  let segments: AttentionPattern.Segments
  let slots: [Slot]
}

/// Caches of given tokens, the last used ones of a limited size and number: looking through thousands would take longer than
/// computing what is short enough for so many to fit.
private struct PrefixStore<Cache: KVCache> {
  private var entries: [(prefix: CachedPrefix, cache: Cache)] = []
  private let limit: Int
  private static var most: Int { 256 }
  private(set) var byteCount = 0

  init(limit: Int) { self.limit = limit }

  /// A cache that begins with as many of these slots as possible, and how many: all, or whole pieces, since what is
  /// computed of a slot may depend in its last bits on the piece that it is in.
  mutating func find(_ prefix: CachedPrefix, piece: Int) -> (cache: Cache, count: Int)? {
    let counts = entries.map { entry in
      guard entry.prefix != prefix else { return prefix.slots.count }
      guard entry.prefix.segments == prefix.segments else { return 0 }
      return zip(entry.prefix.slots, prefix.slots).prefix { $0 == $1 }.count / piece * piece
    }
    guard let best = counts.indices.max(by: { counts[$0] < counts[$1] }), counts[best] > 0 else { return nil }
    let entry = entries.remove(at: best)
    entries.append(entry)
    return (entry.cache, counts[best])
  }

  mutating func add(_ prefix: CachedPrefix, _ cache: Cache) {
    if let place = entries.firstIndex(where: { $0.prefix == prefix }) { remove(at: place) }
    entries.append((prefix, cache))
    byteCount += cache.byteCount
    while byteCount > limit || entries.count > Self.most { remove(at: 0) }
  }

  private mutating func remove(at place: Int) { byteCount -= entries.remove(at: place).cache.byteCount }
}
