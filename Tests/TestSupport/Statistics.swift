import Foundation

extension [Double] {
  public var mean: Double { reduce(0, +) / Double(count) }

  /// The standard error of the mean.
  public var standardError: Double {
    let mean = mean
    return (reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count * (count - 1))).squareRoot()
  }
}

/// How many standard deviations the chi-square statistic of observed counts lies above what a distribution lets expect (by the
/// approximation of Wilson and Hilferty). Outcomes with fewer than 5 expected counts are taken together.
///
/// Above 4 in one of 30,000 tests of a right distribution.
public func chiSquareScore(_ observed: [Int], distribution: [Double]) -> Double {
  let total = Double(observed.reduce(0, +))
  var cells: [(observed: Double, expected: Double)] = []
  var rare = (observed: 0.0, expected: 0.0)
  for (count, chance) in zip(observed, distribution) {
    if chance * total >= 5 {
      cells.append((Double(count), chance * total))
    } else {
      rare = (rare.observed + Double(count), rare.expected + chance * total)
    }
  }
  // What was seen although it has no chance at all is no matter of statistics.
  if rare.expected > 0 { cells.append(rare) } else if rare.observed > 0 { return .infinity }
  let statistic = cells.reduce(0) { $0 + ($1.observed - $1.expected) * ($1.observed - $1.expected) / $1.expected }
  let degrees = Double(cells.count - 1)
  let spread = 2 / (9 * degrees)
  return (cbrt(statistic / degrees) - (1 - spread)) / spread.squareRoot()
}

/// The chances of 0 ... count successes in `count` independent trials.
public func binomialDistribution(count: Int, chance: Double) -> [Double] {
  (0...count).map { successes in
    let ways = (0..<successes).reduce(1.0) { $0 * Double(count - $1) / Double($1 + 1) }
    return ways * pow(chance, Double(successes)) * pow(1 - chance, Double(count - successes))
  }
}
