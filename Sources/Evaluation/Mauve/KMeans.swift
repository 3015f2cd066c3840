import Faults
import Torch

/// Lloyd's k-means: points in clusters, each point in that of the nearest centre.
///
/// Starts, restarts and what happens to a cluster that loses its last point follow the faiss library, random numbers
/// included, because published MAUVE scores are its: a clustering has many local optima, and the score moves with them
/// by several hundredths.
struct KMeans {
  /// The cluster of each point.
  let labels: [Int]
  /// The sum of squared distances of the points that were learned from to their centres.
  let objective: Double

  /// More points a cluster than these are not learned from.
  private static let pointsPerCluster = 256

  /// - Parameters:
  ///   - points: float32 [points, size], at least one a cluster.
  ///   - restarts: clusterings from different starts, of which the best is kept.
  init(
    _ points: Tensor, clusters: Int, restarts: Int, maxIterations: Int, seed: UInt32,
    progress: (Double) -> Void = { _ in }
  ) {
    trap(unless: clusters >= 1 && restarts >= 1 && points.size(0) >= clusters, "\(points.size(0)) points")
    var learned = points
    if points.size(0) > clusters * Self.pointsPerCluster {
      let chosen = MersenneTwister.permutation(of: points.size(0), seed: seed).prefix(clusters * Self.pointsPerCluster)
      learned = points.selecting(Tensor(chosen.map(Int64.init)))
    }
    guard learned.size(0) > clusters else {
      // A centre for each point.
      labels = Array(0..<clusters)
      objective = 0
      return
    }
    var best: (centres: Tensor, objective: Double)?
    for restart in 0..<restarts {
      let start = MersenneTwister.permutation(
        of: learned.size(0), seed: UInt32(truncatingIfNeeded: Int(seed) + 1 + restart * 15_486_557))
      let found = Self.cluster(
        learned, from: learned.selecting(Tensor(start.prefix(clusters).map(Int64.init))), maxIterations: maxIterations
      ) { progress((Double(restart) + $0) / Double(restarts)) }
      if best.map({ found.objective < $0.objective }) ?? true { best = found }
    }
    objective = best!.objective
    labels = Self.assign(points, to: best!.centres).labels
  }

  /// One clustering: centres move to the mean of their points until no point changes sides.
  private static func cluster(
    _ points: Tensor, from start: Tensor, maxIterations: Int, progress: (Double) -> Void
  ) -> (centres: Tensor, objective: Double) {
    var centres = start
    var before: [Int] = []
    var objective = Double.infinity
    for iteration in 0..<maxIterations {
      progress(Double(iteration) / Double(maxIterations))
      let (labels, distance) = assign(points, to: centres)
      objective = distance
      if labels == before { break }
      before = labels
      let (means, split) = means(of: points, labels: labels, clusters: centres.size(0))
      centres = means
      if split { before = [] }
    }
    return (centres, objective)
  }

  /// The nearest centre of each point, and the sum of squared distances.
  private static func assign(_ points: Tensor, to centres: Tensor) -> (labels: [Int], distance: Double) {
    let clusters = centres.size(0)
    // ‖x − c‖² = ‖x‖² − 2x·c + ‖c‖²; the first term does not choose.
    let norms = (centres * centres).sum(dim: 1)
    let lengths: [Float] = (points * points).sum(dim: 1).array()
    var labels: [Int] = []
    var distance = 0.0
    let chunk = max(1, (1 << 22) / clusters)
    for first in stride(from: 0, to: points.size(0), by: chunk) {
      let part = points.narrowed(dim: 0, to: first..<min(first + chunk, points.size(0)))
      (part.linear(centres) * -2 + norms).withUnsafeElements(of: Float.self) { scores in
        for row in 0..<part.size(0) {
          let start = row * clusters
          var nearest = start
          for place in start..<start + clusters where scores[place] < scores[nearest] { nearest = place }
          labels.append(nearest - start)
          distance += Double(max(0, lengths[first + row] + scores[nearest]))
        }
      }
    }
    return (labels, distance)
  }

  /// The mean of each cluster's points. A cluster without any takes half of another one: both get its centre, moved a
  /// little to different sides.
  private static func means(of points: Tensor, labels: [Int], clusters: Int) -> (centres: Tensor, split: Bool) {
    let (count, size) = (points.size(0), points.size(1))
    var sums = [Float](repeating: 0, count: clusters * size)
    var members = [Int](repeating: 0, count: clusters)
    points.withUnsafeElements(of: Float.self) { elements in
      for (point, label) in labels.enumerated() {
        members[label] += 1
        for place in 0..<size { sums[label * size + place] += elements[point * size + place] }
      }
    }
    for label in 0..<clusters where members[label] > 0 {
      let scale = 1 / Float(members[label])
      for place in 0..<size { sums[label * size + place] *= scale }
    }
    var generator = MersenneTwister(seed: 1234)
    var split = false
    for empty in 0..<clusters where members[empty] == 0 {
      // Large clusters are the likelier to be split.
      var donor = 0
      while generator.uniform() >= (Float(members[donor]) - 1) / Float(count - clusters) {
        donor = (donor + 1) % clusters
      }
      let shift: Float = 1 / 1024
      for place in 0..<size {
        let value = sums[donor * size + place]
        let sign: Float = place % 2 == 0 ? 1 : -1
        sums[empty * size + place] = value * (1 + sign * shift)
        sums[donor * size + place] = value * (1 - sign * shift)
      }
      members[empty] = members[donor] / 2
      members[donor] -= members[empty]
      split = true
    }
    return (Tensor(sums, shape: [clusters, size]), split)
  }
}
