import Dispatch
import Foundation

/// Works on the chunks of a source on all cores, and hands on in their order what comes of them. What is in memory at a
/// time are a few chunks for each core, and what came of them.
enum ParallelChunks {
  private static var chunksAtATime: Int {
    let cores = max(1, ProcessInfo.processInfo.activeProcessorCount)
    return max(cores, min(4 * cores, 32))
  }

  /// - Parameters:
  ///   - makeWorker: makes what one thread at a time works with, and which may keep what it learnt.
  ///   - work: what is done with a chunk, on any thread.
  ///   - take: called with each result, one after another.
  ///   - report: called when results were taken. What it throws ends the work.
  /// - Returns: all workers that were made.
  @discardableResult
  static func run<Worker, Output>(
    of reader: TextChunkReader, makeWorker: @escaping () -> Worker,
    work: @escaping (TextChunk, Worker) throws -> Output, take: @escaping (Output) throws -> Void,
    report: () throws -> Void
  ) throws -> [Worker] {
    let workers = Pool(makeWorker)
    var chunks = try read(from: reader)
    var ready: [Result<Output, any Error>] = []
    while !chunks.isEmpty || !ready.isEmpty {
      // While these are worked on, the next are read, and what came of the last is taken.
      let round = Round(chunks: chunks, ready: ready, work: work, take: take)
      DispatchQueue.concurrentPerform(iterations: chunks.count + 2) { index in
        switch index {
        case 0: round.taken[0] = Result { for output in round.ready { try round.take(output.get()) } }
        case 1: round.next[0] = Result { try read(from: reader) }
        default:
          let worker = workers.take()
          round.outputs[index - 2] = Result { try round.work(round.chunks[index - 2], worker) }
          workers.put(worker)
        }
      }
      try round.taken[0]!.get()
      if !ready.isEmpty { try report() }
      ready = chunks.indices.map { round.outputs[$0]! }
      chunks = try round.next[0]!.get()
    }
    return workers.all
  }

  private static func read(from reader: TextChunkReader) throws -> [TextChunk] {
    var chunks: [TextChunk] = []
    while chunks.count < chunksAtATime, let chunk = try reader.next() { chunks.append(chunk) }
    return chunks
  }
}

/// What is done at one time: `take` by one thread alone, `work` by several, each with a worker of its own.
private final class Round<Worker, Output>: @unchecked Sendable {
  let chunks: [TextChunk]
  let ready: [Result<Output, any Error>]
  let work: (TextChunk, Worker) throws -> Output
  let take: (Output) throws -> Void
  let next = Slots<[TextChunk]>(count: 1)
  let taken = Slots<Void>(count: 1)
  let outputs: Slots<Output>

  init(
    chunks: [TextChunk], ready: [Result<Output, any Error>], work: @escaping (TextChunk, Worker) throws -> Output,
    take: @escaping (Output) throws -> Void
  ) {
    (self.chunks, self.ready, self.work, self.take) = (chunks, ready, work, take)
    outputs = Slots(count: chunks.count)
  }
}

/// Results of work that is done on several threads, each in its own place.
private final class Slots<Value>: @unchecked Sendable {  // Each place is written by one thread, and read afterwards.
  private let values: UnsafeMutableBufferPointer<Result<Value, any Error>?>

  init(count: Int) {
    values = .allocate(capacity: count)
    values.initialize(repeating: nil)
  }

  deinit {
    values.deinitialize()
    values.deallocate()
  }

  subscript(index: Int) -> Result<Value, any Error>? {
    get { values[index] }
    set { values[index] = newValue }
  }
}

/// Workers that are lent to one thread at a time, since they keep what they learnt.
private final class Pool<Worker>: @unchecked Sendable {  // Its state is behind a lock.
  private let lock = NSLock()
  private var free: [Worker] = []
  private let make: () -> Worker

  init(_ make: @escaping () -> Worker) { self.make = make }

  func take() -> Worker { lock.withLock { free.popLast() } ?? make() }
  func put(_ worker: Worker) { lock.withLock { free.append(worker) } }
  /// All of them, when none is lent.
  var all: [Worker] { lock.withLock { free } }
}
