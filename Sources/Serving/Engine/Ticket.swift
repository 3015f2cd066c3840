import Synchronization

extension Engine {
  /// A request that was taken in, for one reader, who is told what happens to its texts. When nobody has it any more, the
  /// texts leave.
  ///
  /// A reader that is slower than the network gets the steps of several calls at a time; that the request was cut off it
  /// hears at once.
  package final class Ticket: Sendable {
    package let number: Int
    private let onAbandon: @Sendable (Int) -> Void
    private let state = Mutex(State())

    private struct State {
      var progress: [Progress] = []
      var isFinished = false
      var error: (any Error)?
      var reader: CheckedContinuation<Void, Never>?
    }

    init(_ number: Int, onAbandon: @escaping @Sendable (Int) -> Void) {
      self.number = number
      self.onAbandon = onAbandon
    }

    deinit { onAbandon(number) }

    /// What the network calls did since the last time, until all texts are finished or have left.
    package var steps: AsyncThrowingStream<[Progress], any Error> {
      AsyncThrowingStream { try await self.next() }
    }

    private func next() async throws -> [Progress]? {
      while true {
        try Task.checkCancellation()
        let (batch, isFinished) = try state.withLock { state in
          if let error = state.error { throw error }
          defer { state.progress = [] }
          return (state.progress, state.isFinished)
        }
        if !batch.isEmpty { return batch }
        if isFinished { return nil }
        await withTaskCancellationHandler {
          await withCheckedContinuation { reader in
            let isThere = state.withLock { state in
              let isThere = !state.progress.isEmpty || state.isFinished || Task.isCancelled
              if !isThere { state.reader = reader }
              return isThere
            }
            if isThere { reader.resume() }
          }
        } onCancel: {
          wake()
        }
      }
    }

    private func wake(_ change: (inout sending State) -> Void = { _ in }) {
      let reader = state.withLock { state in
        change(&state)
        defer { state.reader = nil }
        return state.reader
      }
      reader?.resume()
    }

    func tell(_ progress: Progress) { wake { $0.progress.append(progress) } }

    func finish(throwing error: (any Error)? = nil) {
      wake {
        $0.isFinished = true
        $0.error = error
      }
    }
  }
}
