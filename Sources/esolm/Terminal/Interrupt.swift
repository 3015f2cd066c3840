import Dispatch
import Files
import Foundation

/// Signals that ask the process to end: Ctrl-C, SIGTERM, a closed terminal, and SIGUSR1, by which Slurm says that time is
/// nearly up.
///
/// The process ends at once, with status 128 + the signal's number, and what it was in the middle of making is taken away.
/// Training is different: there the first is noted, so that work stops at a good place, and the second ends it.
final class Interrupt: @unchecked Sendable {  // Its state is behind the lock.
  static let shared = Interrupt()

  private let lock = NSLock()
  private var isDeferred = false
  private var isRequested = false
  private var sources: [any DispatchSourceSignal] = []
  /// Its own, since all threads may be busy when the user loses patience.
  private let queue = DispatchQueue(label: "interrupt", qos: .userInteractive)

  /// Call first: signals before it end the process by themselves.
  func watch() {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
      let earlier = signal(number, SIG_IGN)
      // nohup: the process is to outlive its terminal.
      if number == SIGHUP, unsafeBitCast(earlier, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { continue }
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { [unowned self] in received(number) }
      source.resume()
      sources.append(source)
    }
  }

  /// Runs work that asks `wasRequested` and saves: a first signal is only noted.
  func noting<Result>(_ work: () throws -> Result) rethrows -> Result {
    lock.withLock { isDeferred = true }
    defer { lock.withLock { isDeferred = false } }
    return try work()
  }

  var wasRequested: Bool { lock.withLock { isRequested } }

  private func received(_ number: Int32) {
    let isNoted = lock.withLock {
      defer { isRequested = true }
      return isDeferred && !isRequested
    }
    guard !isNoted else { return }
    isEnding.lock()
    Unfinished.undoAll()
    _exit(128 + number)
  }

  private let isEnding = NSLock()

  /// Call before the process ends with a status of its own: an error that comes of things being taken away is none.
  func endUnlessInterrupted() { isEnding.lock() }
}
