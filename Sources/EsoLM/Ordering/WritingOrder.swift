import Randomness

/// An order in which the positions of a text are written, or may be.
public enum WritingOrder: String, Sendable, CaseIterable, Codable {
  /// Any order, each as likely.
  case random
  /// Each position lies as far as possible from those before it.
  case farthestFirst = "farthest-first"
  /// From left to right.
  case leftToRight = "left-to-right"

  /// Positions in this order.
  ///
  /// - Parameters:
  ///   - positions: ascending.
  ///   - given: positions that have tokens already, ascending; none of `positions`.
  ///   - generator: draws what the order leaves open.
  func arranged(_ positions: [Int], from given: [Int], using generator: inout CounterGenerator) -> [Int] {
    switch self {
    case .random: positions.inRandomOrder(using: &generator)
    case .farthestFirst: Self.farthestFirst(positions, from: given, using: &generator)
    case .leftToRight: positions
    }
  }

  /// Positions in an order in which each lies as far as possible from those before it and those given; of equally far
  /// ones any comes first.
  ///
  /// The farthest position of a gap between two that are taken lies in its middle, and no gap that it leaves is larger. So
  /// gaps are kept by how far their farthest position lies, and taken from the largest down.
  ///
  /// - Parameters:
  ///   - positions: ascending.
  ///   - given: ascending; none of `positions`.
  private static func farthestFirst(
    _ positions: [Int], from given: [Int], using generator: inout CounterGenerator
  ) -> [Int] {
    struct Gap {
      /// Places among the positions.
      let places: Range<Int>
      /// What is taken on both sides; nil where nothing is.
      let left: Int?
      let right: Int?
    }
    func farthest(_ gap: Gap) -> (place: Int, distance: Int) {
      func distance(_ place: Int) -> Int {
        min(gap.left.map { positions[place] - $0 } ?? .max, gap.right.map { $0 - positions[place] } ?? .max)
      }
      let candidates: [Int]
      switch (gap.left, gap.right) {
      case (nil, _): candidates = [gap.places.lowerBound]
      case (_?, nil): candidates = [gap.places.upperBound - 1]
      case (let left?, let right?):
        // The first one right of the middle, and the one before.
        var (low, high) = (gap.places.lowerBound, gap.places.upperBound)
        while low < high {
          let middle = (low + high) / 2
          if 2 * positions[middle] < left + right { low = middle + 1 } else { high = middle }
        }
        candidates = [low - 1, low].filter(gap.places.contains)
      }
      let best = candidates.max { distance($0) < distance($1) }!
      return (best, distance(best))
    }
    guard !positions.isEmpty else { return [] }
    var order: [Int] = []
    var gaps: [Int: [Gap]] = [:]
    func add(_ gap: Gap) {
      if !gap.places.isEmpty { gaps[farthest(gap).distance, default: []].append(gap) }
    }
    func split(_ gap: Gap, at place: Int) {
      order.append(positions[place])
      add(Gap(places: gap.places.lowerBound..<place, left: gap.left, right: positions[place]))
      add(Gap(places: place + 1..<gap.places.upperBound, left: positions[place], right: gap.right))
    }
    if given.isEmpty {
      let first = generator.integer(below: positions.count)
      split(Gap(places: positions.indices, left: nil, right: nil), at: first)
    } else {
      var start = 0
      for (number, right) in (given.map(Optional.some) + [nil]).enumerated() {
        let end =
          right.map { right in positions[start...].firstIndex { $0 > right } ?? positions.count } ?? positions.count
        add(Gap(places: start..<end, left: number == 0 ? nil : given[number - 1], right: right))
        start = end
      }
    }
    var distance = gaps.keys.max() ?? 0
    while distance > 0 {
      guard let count = gaps[distance]?.count, count > 0 else {
        distance -= 1
        continue
      }
      let number = generator.integer(below: count)
      gaps[distance]!.swapAt(number, count - 1)
      let gap = gaps[distance]!.removeLast()
      split(gap, at: farthest(gap).place)
    }
    return order
  }
}
