import Dispatch
import Foundation

/// Ctrl-C, and the polite request to end: the first is noted so that work can stop at a good place, the second ends the
/// process at once.
final class Interrupt: @unchecked Sendable {
  private let lock = NSLock()
  private var isRequested = false
  private var sources: [any DispatchSourceSignal] = []

  init() {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in self?.request(number) }
      source.resume()
      sources.append(source)
    }
  }

  private func request(_ number: Int32) {
    let again = lock.withLock {
      defer { isRequested = true }
      return isRequested
    }
    if again { _exit(128 + number) }
  }

  var wasRequested: Bool { lock.withLock { isRequested } }
}
