import EsoLM
import Evaluation
import Foundation
import Torch

/// The one owner of the network: requests join and leave the running batch between any two of its calls.
///
/// Everything that touches the network runs on one thread, a piece at a time: a call of the sampler for all texts that
/// are being written, or one piece of other work (scoring a prompt, drawing a length), in the order in which it was
/// asked for.
package actor Engine {
  private let thread = ComputeThread()
  package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  /// What a request is told of one of its texts after a network call.
  package struct Progress: Sendable {
    /// Which of the request's texts.
    package let index: Int
    /// What the call did.
    package let step: Generation.Step
  }

  private struct Member {
    let job: Int
    let index: Int
    /// Whether anything of it is written.
    var hasBegun = false
  }

  private struct Job {
    weak var ticket: Ticket?
    let deadline: ContinuousClock.Instant
    let isStreamed: Bool
    var ids: Set<Generation.ID>
  }

  private let network: CachedTransformer
  private let likelihood: Likelihood
  private let sampler: Sampler<CachedTransformer>
  private let limits: Limits
  private let metrics: ServingMetrics
  private var members: [Generation.ID: Member] = [:]
  private var jobs: [Int: Job] = [:]
  private var nextJob = 0
  private var isPumping = false
  /// Tokens a second lately, for telling how long others will wait.
  private var speed = 0.0

  /// - Parameters:
  ///   - network: given away: nobody else may use it afterwards.
  ///   - method: of the model.
  ///   - limits: how much is taken on.
  ///   - metrics: what is counted.
  init(
    _ network: sending CachedTransformer, method: any GenerationMethod, limits: Limits, metrics: ServingMetrics
  ) {
    self.limits = limits
    self.metrics = metrics
    self.network = network
    likelihood = Likelihood(network.transformer, method: method)
    sampler = Sampler(network, places: limits.places, prefixMemory: limits.prefixMemory)
  }

  deinit { thread.close() }

  // MARK: Writing

  /// Takes in the texts of a request, all or none.
  ///
  /// - Parameters:
  ///   - generations: what to write.
  ///   - isStreamed: whether every call is told; otherwise only the first that writes something of a text, and the one
  ///     that finishes it.
  /// - Returns: tells what happens to them; who lets go of it takes them out before the next call, as ``leave(_:)`` does.
  /// - Throws: ``APIError`` if there is no room.
  package func write(_ generations: [Generation], isStreamed: Bool) throws -> Ticket {
    guard members.count + generations.count <= limits.places + limits.queue else {
      throw APIError.busy(
        "\(members.count) texts are being written or waiting, and at most \(limits.places + limits.queue) may",
        retryAfter: secondsUntilRoom)
    }
    let number = nextJob
    nextJob += 1
    let ticket = Ticket(number) { [weak self] number in Task { await self?.leave(number) } }
    var ids: Set<Generation.ID> = []
    for (index, generation) in generations.enumerated() {
      let id = sampler.add(generation)
      ids.insert(id)
      members[id] = Member(job: number, index: index)
    }
    jobs[number] = Job(
      ticket: ticket, deadline: .now + .seconds(limits.requestSeconds), isStreamed: isStreamed, ids: ids)
    metrics.requests.increment()
    if !isPumping {
      isPumping = true
      Task { await self.pump() }
    }
    return ticket
  }

  /// Takes out all texts of a request that are not finished.
  package func leave(_ number: Int) { leave(number, throwing: nil) }

  private func leave(_ number: Int, throwing error: (any Error)?) {
    guard let job = jobs.removeValue(forKey: number) else { return }
    for id in job.ids {
      sampler.remove(id)
      members[id] = nil
    }
    if error == nil { metrics.cancelledRequests.increment() }
    job.ticket?.finish(throwing: error)
  }

  /// One call after the other, as long as there is something to write. Between them whoever waits has a turn.
  private func pump() async {
    while !sampler.isEmpty {
      let now = ContinuousClock.now
      for (number, job) in jobs where job.deadline < now {
        leave(
          number,
          throwing: APIError.unavailable(
            "the request took longer than \(Int(limits.requestSeconds)) s, which is all that this server gives one",
            retryAfter: secondsUntilRoom))
      }
      do {
        let steps = try sampler.advance()
        account(steps, since: now)
        for step in steps { deliver(step) }
      } catch {
        for number in Array(jobs.keys) { leave(number, throwing: error) }
      }
      await Task.yield()
    }
    isPumping = false
    account([], since: .now)
  }

  private func deliver(_ step: Generation.Step) {
    guard let member = members[step.id], var job = jobs[member.job] else { return }
    let begins = !member.hasBegun && !step.written.positions.isEmpty
    if begins { members[step.id]?.hasBegun = true }
    if job.isStreamed || begins || step.finished != nil {
      job.ticket?.tell(Progress(index: member.index, step: step))
    }
    guard step.finished != nil else { return }
    members[step.id] = nil
    job.ids.remove(step.id)
    jobs[member.job] = job
    guard job.ids.isEmpty else { return }
    jobs[member.job] = nil
    job.ticket?.finish()
  }

  private func account(_ steps: [Generation.Step], since start: ContinuousClock.Instant) {
    let written = steps.reduce(0) { $0 + $1.written.positions.count }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if !steps.isEmpty {
      metrics.networkCalls.increment()
      metrics.generatedTokens.increment(by: written)
      for counts in steps.compactMap({ $0.finished?.draftCounts }) {
        metrics.draftedTokens.increment(by: counts.drafted.reduce(0, +))
        metrics.acceptedTokens.increment(by: counts.accepted.reduce(0, +))
      }
      metrics.callSeconds.recordSeconds(seconds)
      speed = 0.9 * speed + 0.1 * Double(written) / max(seconds, 1e-6)
    }
    // Whoever reads that a text is finished shall not find it here.
    let count = members.count - steps.count { $0.finished != nil }
    metrics.liveTexts.record(min(count, limits.places))
    metrics.waitingTexts.record(max(0, count - limits.places))
    metrics.cacheBytes.record(network.cacheByteCount)
    if sampler.isEmpty { metrics.prefixBytes.record(sampler.cacheByteCount) }
  }

  /// When about half of what waits will be done, as clients obey it: from 1 to 60 s.
  private var secondsUntilRoom: Int {
    let left = sampler.ids.reduce(0.0) { $0 + Double(sampler[$1].map { $0.tokens.count - $0.givenCount } ?? 0) }
    return Int(min(60, max(1, left / 2 / max(speed, 1))).rounded(.up))
  }

  // MARK: Other work

  /// What the network can be asked beside writing.
  struct Access: ~Copyable {
    let network: CachedTransformer
    let likelihood: Likelihood
  }

  /// Does something with the network between two calls.
  func perform<Result: Sendable>(_ body: @Sendable (borrowing Access) throws -> Result) throws -> Result {
    try Task.checkCancellation()
    return try body(Access(network: network, likelihood: likelihood))
  }

  // MARK: The end

  /// Cuts off what is not finished.
  func cutOff() {
    for number in Array(jobs.keys) {
      leave(number, throwing: APIError.unavailable("the server was shut down before the text was finished"))
    }
  }

  /// What is there, for checks: texts in the sampler, bytes of pages, and of those that are kept for later requests.
  package var state: (texts: Int, cacheBytes: Int, keptBytes: Int) {
    (members.count, network.cacheByteCount, sampler.isEmpty ? sampler.cacheByteCount : 0)
  }
}
