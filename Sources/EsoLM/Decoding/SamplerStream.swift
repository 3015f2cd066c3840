extension Sampler {
  /// Writes sequences and tells each step as it comes.
  ///
  /// The next network call is made when the steps of the one before have been read: so nothing is written ahead of who
  /// reads, and the work stops before the next call where the stream is no longer read or the reading task is cancelled.
  /// Calls are made outside of actors. One task reads the stream.
  ///
  /// - Parameters:
  ///   - generations: what to write.
  ///   - sampler: given away, since the reading task uses it from then on.
  /// - Returns: the steps, whose last one for each sequence brings it whole. It throws ``LogitsError``.
  public static func steps(
    of generations: [Generation], with sampler: sending Sampler
  ) -> AsyncThrowingStream<Step, any Error> {
    for generation in generations { sampler.add(generation) }
    var steps: ArraySlice<Step> = []
    // The sampler is this function's alone, and from here on that of the one task that reads.
    nonisolated(unsafe) let next = { () throws -> Step? in
      while steps.isEmpty {
        guard !sampler.isEmpty else { return nil }
        try Task.checkCancellation()
        steps = try sampler.advance()[...]
      }
      return steps.removeFirst()
    }
    return AsyncThrowingStream { try next() }
  }
}
