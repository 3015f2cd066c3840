import Faults
import Foundation

/// How two distributions over the same buckets diverge, seen against all their mixtures: the curve of MAUVE (Pillutla et al.,
/// NeurIPS 2021) and the area below it.
///
/// For a mixture r = w·p + (1 − w)·q a point is (exp(−c·KL(q‖r)), exp(−c·KL(p‖r))): one coordinate falls as p puts weight
/// where q has none, the other the other way round. Distributions that are equal have all points at (1, 1) and area 1; distributions with
/// nothing in common have almost none.
public struct DivergenceCurve: Sendable, Equatable {
  /// The points, w rising, between the extremes (1, 0) and (0, 1).
  public let points: [Point]

  /// A point of the curve.
  public struct Point: Sendable, Equatable, Codable {
    /// exp(−c·KL(q‖r)).
    public let x: Double
    /// exp(−c·KL(p‖r)).
    public let y: Double

    /// A point by its coordinates.
    public init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// - Parameters:
  ///   - p: a distribution over buckets, whose numbers add up to 1.
  ///   - q: the other one, over the same buckets.
  ///   - mixtures: how many mixtures, at equal distances.
  ///   - scale: c.
  /// - Precondition: both distributions have the same buckets, and there are at least two mixtures.
  public init(_ p: [Double], _ q: [Double], mixtures: Int = 25, scale: Double = 5) {
    trap(
      unless: p.count == q.count && mixtures >= 2,
      "distributions of \(p.count) and \(q.count) buckets, \(mixtures) mixtures")
    let margin = 1e-6
    let inner = (0..<mixtures).map { number in
      let w = margin + (1 - 2 * margin) * Double(number) / Double(mixtures - 1)
      let mixture = zip(p, q).map { w * $0 + (1 - w) * $1 }
      return Point(
        x: exp(-scale * Self.divergence(of: q, from: mixture)), y: exp(-scale * Self.divergence(of: p, from: mixture)))
    }
    points = [Point(x: 1, y: 0)] + inner + [Point(x: 0, y: 1)]
  }

  /// The area below the curve by the trapezoid rule, seen from both axes and averaged: MAUVE's score, from 0 to 1.
  public var area: Double {
    (Self.area(points.map { ($0.x, $0.y) }) + Self.area(points.map { ($0.y, $0.x) })) / 2
  }

  /// KL(a‖b) in nats, for b that is 0 only where a is.
  static func divergence(of a: [Double], from b: [Double]) -> Double {
    zip(a, b).reduce(0) { $1.0 > 0 ? $0 + $1.0 * log($1.0 / $1.1) : $0 }
  }

  private static func area(_ points: [(Double, Double)]) -> Double {
    // The curve falls, so of points with one first coordinate the higher one comes first.
    let sorted = points.sorted { ($0.0, -$0.1) < ($1.0, -$1.1) }
    return zip(sorted, sorted.dropFirst()).reduce(0) { $0 + ($1.1.0 - $1.0.0) * ($1.1.1 + $1.0.1) / 2 }
  }
}
