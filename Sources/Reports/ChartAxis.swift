import Foundation

/// An axis of a chart: what it counts, and how far it goes.
public struct ChartAxis: Sendable {
  private enum Scale { case linear, logarithmic }

  let label: String
  private let scale: Scale
  private let isShare: Bool
  private let fixed: ClosedRange<Double>?
  /// In the places of the scale: logarithms on a logarithmic one.
  private var range: ClosedRange<Double> = 0...1

  /// An axis of numbers, evenly spaced.
  ///
  /// - Parameters:
  ///   - label: what it is called.
  ///   - range: what the axis shows whatever the values are; nil for as much as they need.
  public static func number(_ label: String, in range: ClosedRange<Double>? = nil) -> ChartAxis {
    ChartAxis(label: label, scale: .linear, isShare: false, fixed: range)
  }

  /// A share as percent, from 0 to 100 %: so that two charts can be compared, and a small difference looks small.
  public static func share(_ label: String) -> ChartAxis {
    ChartAxis(label: label, scale: .linear, isShare: true, fixed: 0...1)
  }

  /// Values at or below 0 have no place on it.
  public static func logarithmic(_ label: String) -> ChartAxis {
    ChartAxis(label: label, scale: .logarithmic, isShare: false, fixed: nil)
  }

  private init(label: String, scale: Scale, isShare: Bool, fixed: ClosedRange<Double>?) {
    (self.label, self.scale, self.isShare, self.fixed) = (label, scale, isShare, fixed)
  }

  // MARK: Fitting

  /// Larger numbers are of no use, and their differences would be infinite.
  private static let largest = 1e300

  func shows(_ value: Double) -> Bool {
    abs(value) <= Self.largest && (scale == .linear || value > 0) && fixed?.contains(value) ?? true
  }

  /// The axis, long enough for some values that it shows.
  func fitted(to values: [Double]) -> ChartAxis {
    var axis = self
    let places = values.map(place)
    if let fixed {
      axis.range = Self.widened(fixed.lowerBound, fixed.upperBound)
    } else if let low = places.min(), let high = places.max() {
      axis.range = Self.widened(low, high)
    }
    return axis
  }

  private static func widened(_ low: Double, _ high: Double) -> ClosedRange<Double> {
    let size = max(abs(low), abs(high))
    // What differs less than labels can tell is drawn as equal.
    let room = high - low > max(1e-4 * size, 1e-290) ? 0.04 * (high - low) : max(1e-3, size * 0.1)
    return low - room...high + room
  }

  private func place(_ value: Double) -> Double { scale == .linear ? value : log10(value) }

  /// Where a value stands: 0 at the axis's beginning, 1 at its end. What lies outside stands at the edge.
  func position(_ value: Double) -> Double {
    let position = (place(value) - range.lowerBound) / (range.upperBound - range.lowerBound)
    return min(1, max(0, position))
  }

  // MARK: Labels

  /// Where the axis has numbers: about five round ones, on a logarithmic axis powers of ten with 2 and 5 between them
  /// if there is room.
  var ticks: [Double] {
    guard scale == .logarithmic else { return Self.ticks(range).filter { fixed?.contains($0) ?? true } }
    let powers = Int(range.lowerBound.rounded(.down))...Int(range.upperBound.rounded(.up))
    for digits in [[1.0, 2, 5], [1]] {
      let all = powers.flatMap { power in digits.map { $0 * pow(10, Double(power)) } }
        .filter { range.contains(log10($0)) }
      if (2...8).contains(all.count) { return all }
    }
    if powers.count <= 3 { return Self.ticks(pow(10, range.lowerBound)...pow(10, range.upperBound)) }
    let step = (powers.count + 5) / 6
    return powers.filter { $0.isMultiple(of: step) }.map { pow(10, Double($0)) }
      .filter { range.contains(log10($0)) }
  }

  private static func ticks(_ range: ClosedRange<Double>) -> [Double] {
    let rough = (range.upperBound - range.lowerBound) / 5
    let power = pow(10, floor(log10(rough)))
    let step = power * ([1, 2, 5].first { power * $0 >= 0.8 * rough } ?? 10)
    let (first, last) = ((range.lowerBound / step).rounded(.up), (range.upperBound / step).rounded(.down))
    return first > last ? [] : stride(from: first, through: last, by: 1).map { $0 * step }
  }

  /// A value as people read it.
  func text(_ value: Double, digits: Int = 6) -> String {
    let shown = (isShare ? 100 * value : value)
    // There is no −0.
    return String(format: "%.\(digits)g", shown == 0 ? 0 : shown) + (isShare ? " %" : "")
  }
}
