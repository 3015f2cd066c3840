import Dispatch
import Files
import Foundation
import Synchronization

/// Signals that ask the process to end: Ctrl-C, SIGTERM, a closed terminal, and SIGUSR1, by which Slurm says that time is
/// nearly up.
///
/// The process ends at once, with status 128 + the signal's number, and what it was in the middle of making is taken away.
/// Training is different: there the first is noted, so that work stops at a good place, and the second ends it.
final class Interrupt: Sendable {
  static let shared = Interrupt()

  private struct State {
    var isDeferred = false
    var isRequested = false
  }

  private let state = Mutex(State())
  /// Whether the process ends with a status of its own.
  private let hasEnded = Mutex(false)
  /// Its own, since all threads may be busy when the user loses patience.
  private let queue = DispatchQueue(label: "interrupt", qos: .userInteractive)

  /// Call first: signals before it end the process by themselves.
  func watch() {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
      let earlier = signal(number, SIG_IGN)
      // nohup: the process is to outlive its terminal.
      if number == SIGHUP, unsafeBitCast(earlier, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { continue }
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      // The source is kept by its own handler.
      source.setEventHandler { withExtendedLifetime(source) { self.received(number) } }
      source.resume()
    }
  }

  /// Runs work that asks `wasRequested` and saves: a first signal is only noted.
  func noting<Result>(_ work: () throws -> Result) rethrows -> Result {
    state.withLock { $0.isDeferred = true }
    defer { state.withLock { $0.isDeferred = false } }
    return try work()
  }

  var wasRequested: Bool { state.withLock { $0.isRequested } }

  private func received(_ number: Int32) {
    let isNoted = state.withLock { state in
      defer { state.isRequested = true }
      return state.isDeferred && !state.isRequested
    }
    guard !isNoted else { return }
    hasEnded.withLock { hasEnded in
      if !hasEnded { Unfinished.undoAllAndExit(128 + number) }
    }
  }

  /// Call before the process ends with a status of its own: an error that comes of things being taken away is none.
  func endUnlessInterrupted() { hasEnded.withLock { $0 = true } }
}
