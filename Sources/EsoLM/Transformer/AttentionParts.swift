import Torch

// The fast form of an attention pattern: the parts, rectangles and triangles, that attention computes and merges. A run of
// one segment is plain attention to everything up to its end. A run of equal segments is attention to everything before
// it, and block-causal attention inside.
extension AttentionLayout {
  /// Of the slots from `first` on, the ones to start with so that no block is cut.
  ///
  /// - Parameter wholeSegments: whether a run of one segment may not be cut either.
  func start(from first: Int, wholeSegments: Bool) -> Int {
    for run in runs where !(run.isOneSegment && !wholeSegments) {
      if let segment = run.segment(of: first) { return segment.lowerBound }
    }
    return first
  }

  /// What the first rows of the slots from `first` on look at.
  ///
  /// - Parameters:
  ///   - rows: where the row of slot s stands, as an offset to s.
  ///   - keys: the same for keys.
  func firstStream(from first: Int, rows: Int, keys: Int) -> [AttentionPart] {
    runs.flatMap { run -> [AttentionPart] in
      let slots = max(first, run.slots.lowerBound)..<max(first, run.slots.upperBound)
      guard !slots.isEmpty else { return [] }
      if run.isOneSegment {
        return [AttentionPart(rows: slots.shifted(by: rows), keys: (0..<slots.upperBound).shifted(by: keys))]
      }
      return before(slots, keys: 0..<slots.lowerBound, rows, keys)
        + triangle(slots, slots, block: run.size, rows, keys)
    }
  }

  /// What the second rows of the slots from `first` on look at.
  ///
  /// - Parameter own: where the second row of slot s stands among the keys, as an offset to s.
  func secondStream(from first: Int, rows: Int, keys: Int, own: Int) -> [AttentionPart] {
    runs.flatMap { run -> [AttentionPart] in
      let slots = max(first, run.slots.lowerBound)..<max(first, run.slots.upperBound)
      guard !slots.isEmpty else { return [] }
      let reach: AttentionPart.Reach = run.isOneSegment ? .all : .ownBlock(of: run.size)
      let itself = AttentionPart(rows: slots.shifted(by: rows), keys: slots.shifted(by: own), reach: reach)
      // The rows of the second segment look at the keys of the first, and so on.
      let later = slots.dropFirst(run.size)
      let earlier = slots.dropLast(run.size)
      return [itself] + before(slots, keys: 0..<(run.isOneSegment ? run.slots : slots).lowerBound, rows, keys)
        + triangle(later, earlier, block: run.size, rows, keys)
    }
  }

  private func before(_ slots: Range<Int>, keys: Range<Int>, _ rowShift: Int, _ keyShift: Int) -> [AttentionPart] {
    keys.isEmpty ? [] : [AttentionPart(rows: slots.shifted(by: rowShift), keys: keys.shifted(by: keyShift))]
  }

  /// Block-causal attention of as many slots as keys. Where blocks are longer than one slot it needs a mask, so it is
  /// made of pieces whose mask is small, each with a plain rectangle for the keys before.
  private func triangle(
    _ slots: Range<Int>, _ keys: Range<Int>, block: Int, _ rowShift: Int, _ keyShift: Int
  ) -> [AttentionPart] {
    let piece = block == 1 ? slots.count : block * max(1, 256 / block)
    return stride(from: 0, to: slots.count, by: max(1, piece)).flatMap { start in
      let inside = start..<min(start + piece, slots.count)
      let rows = inside.shifted(by: slots.lowerBound)
      let diagonal = AttentionPart(
        rows: rows.shifted(by: rowShift), keys: inside.shifted(by: keys.lowerBound + keyShift),
        reach: inside.count <= block ? .all : .upToBlock(of: block))
      return before(rows, keys: keys.lowerBound..<keys.lowerBound + start, rowShift, keyShift) + [diagonal]
    }
  }
}

extension Range<Int> {
  func shifted(by offset: Int) -> Range<Int> { lowerBound + offset..<upperBound + offset }
}
