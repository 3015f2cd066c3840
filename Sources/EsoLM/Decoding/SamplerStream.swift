extension Sampler {
  /// Writes sequences and tells each step as it comes.
  ///
  /// The work goes on beside the caller. It stops before the next network call where the stream is no longer read, or
  /// the reading task is cancelled.
  ///
  /// - Parameters:
  ///   - generations: what to write.
  ///   - sampler: given away, since the work uses it from another thread.
  /// - Returns: the steps, whose last one for each sequence brings it whole. It throws ``LogitsError``.
  public static func steps(
    of generations: [Generation], with sampler: sending Sampler
  ) -> AsyncThrowingStream<Step, any Error> {
    for generation in generations { sampler.add(generation) }
    // The sampler is this function's alone, and from here on the task's.
    nonisolated(unsafe) let advance = { try sampler.isEmpty ? nil : sampler.advance() }
    let (stream, continuation) = AsyncThrowingStream.makeStream(of: Step.self)
    let task = Task {
      do {
        while let steps = try advance() {
          for step in steps { continuation.yield(step) }
          try Task.checkCancellation()
          await Task.yield()
        }
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
      }
    }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }
}
