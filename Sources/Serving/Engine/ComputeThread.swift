import Foundation
import Synchronization

/// One thread on which everything that touches the network runs, in the order in which it came.
///
/// libtorch remembers per thread how many threads its operations use and whether gradients are recorded, so work must
/// not wander between threads. And because the order is that of arrival, a client that left is gone before the next
/// network call, which was asked for later.
final class ComputeThread: SerialExecutor, @unchecked Sendable {
  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []
  private var isClosed = false

  init() {
    let thread = Thread { [self] in run() }
    thread.name = "compute"
    // libtorch's kernels keep large blocks on the stack.
    thread.stackSize = 16 << 20
    thread.start()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.withLock {
      jobs.append(job)
      condition.signal()
    }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  /// Ends the thread once what is queued is done; nothing may be queued afterwards.
  func close() {
    condition.withLock {
      isClosed = true
      condition.signal()
    }
  }

  private func run() {
    while true {
      condition.lock()
      while jobs.isEmpty, !isClosed { condition.wait() }
      let batch = jobs
      jobs.removeAll(keepingCapacity: true)
      condition.unlock()
      if batch.isEmpty { return }
      for job in batch { job.runSynchronously(on: asUnownedSerialExecutor()) }
    }
  }
}
