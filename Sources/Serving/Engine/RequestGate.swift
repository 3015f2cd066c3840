import Synchronization

/// Counts the requests that are worked on and the bytes of their bodies, and lets no more in than there is room for.
package final class RequestGate: Sendable {
  private struct State {
    var requests = 0
    var bytes = 0
    var isClosed = false
  }

  private let limits: Limits
  private let state = Mutex(State())

  init(_ limits: Limits) { self.limits = limits }

  /// A place of a request, held until it is given back.
  package final class Place: Sendable {
    private let gate: RequestGate
    private let bytes = Mutex(0)

    fileprivate init(_ gate: RequestGate) { self.gate = gate }

    /// Call before bytes of the body are kept.
    func take(_ count: Int) throws {
      let total = bytes.withLock {
        $0 += count
        return $0
      }
      guard total <= gate.limits.bodyBytes else {
        throw APIError(
          .contentTooLarge,
          "the body has more than \(gate.limits.bodyBytes) bytes, which is the most that is read; "
            + "send it in several requests", closesConnection: true)
      }
      let isRoom = gate.state.withLock { state in
        state.bytes += count
        return state.bytes <= gate.limits.totalBodyBytes
      }
      guard isRoom else { throw APIError.unavailable("too much is being sent at a time", retryAfter: 2) }
    }

    deinit {
      let count = bytes.withLock { $0 }
      gate.state.withLock {
        $0.requests -= 1
        $0.bytes -= count
      }
    }
  }

  /// - Throws: ``APIError`` if there is no room, or the server is about to stop.
  package func enter() throws -> Place {
    let refusal = state.withLock { state -> APIError? in
      guard !state.isClosed else { return .unavailable("the server is shutting down") }
      guard state.requests < limits.requests else {
        return .unavailable("\(limits.requests) requests are being worked on, and no more are at a time", retryAfter: 2)
      }
      state.requests += 1
      return nil
    }
    if let refusal { throw refusal }
    return Place(self)
  }

  /// Lets nobody in any more.
  func close() { state.withLock { $0.isClosed = true } }

  /// How many are inside.
  package var count: Int { state.withLock { $0.requests } }
}
