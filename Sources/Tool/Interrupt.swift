import Dispatch
import Files
import Foundation
import Synchronization

/// Signals that ask the process to end: Ctrl-C, SIGTERM, a closed terminal, and SIGUSR1, by which Slurm says that time is
/// nearly up.
///
/// The process ends at once, with status 128 + the signal's number, and what it was in the middle of making is taken away.
/// Training and serving are different: there the first is noted, so that work stops at a good place, and the second ends it.
package final class Interrupt: Sendable {
  package static let shared = Interrupt()

  private struct State {
    var isDeferred = false
    var isRequested = false
    var onRequest: (@Sendable () -> Void)?
    /// nohup: the process is to outlive its terminal.
    var ignoresHangUp = false
  }

  private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGUSR1]

  private let state = Mutex(State())
  /// Whether the process ends with a status of its own.
  private let hasEnded = Mutex(false)
  /// Its own, since all threads may be busy when the user loses patience.
  private let queue = DispatchQueue(label: "interrupt", qos: .userInteractive)

  /// Call first: signals before it end the process by themselves.
  package func watch() {
    for number in Self.signals {
      let earlier = signal(number, SIG_IGN)
      if number == SIGHUP, unsafeBitCast(earlier, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
        state.withLock { $0.ignoresHangUp = true }
        continue
      }
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      // The source is kept by its own handler.
      source.setEventHandler { withExtendedLifetime(source) { self.received(number) } }
      source.resume()
    }
  }

  /// Lets signals end the process by themselves again, as the program that is about to take its place expects it.
  package func unwatch() {
    let ignoresHangUp = state.withLock { $0.ignoresHangUp }
    for number in Self.signals where number != SIGHUP || !ignoresHangUp { signal(number, SIG_DFL) }
  }

  /// Runs work that stops at a good place when it is asked to: a first signal is only noted.
  ///
  /// - Parameter onRequest: called when it comes, once; work may ask `wasRequested` instead.
  package func noting<Result>(
    onRequest: (@Sendable () -> Void)? = nil, _ work: () throws -> Result
  ) rethrows -> Result {
    state.withLock { ($0.isDeferred, $0.onRequest) = (true, onRequest) }
    defer { state.withLock { ($0.isDeferred, $0.onRequest) = (false, nil) } }
    return try work()
  }

  package var wasRequested: Bool { state.withLock { $0.isRequested } }

  private func received(_ number: Int32) {
    let (isNoted, onRequest) = state.withLock { state in
      defer { state.isRequested = true }
      return (state.isDeferred && !state.isRequested, state.onRequest)
    }
    guard !isNoted else {
      onRequest?()
      return
    }
    hasEnded.withLock { hasEnded in
      if !hasEnded { Unfinished.undoAllAndExit(128 + number) }
    }
  }

  /// Call before the process ends with a status of its own: an error that comes of things being taken away is none.
  package func endUnlessInterrupted() { hasEnded.withLock { $0 = true } }
}
