import Torch

/// The directions in which points vary most, as many as carry a share of their variance.
struct PrincipalComponents {
  private let mean: Tensor  // [1, size]
  private let directions: Tensor  // [components, size], the strongest first

  /// - Parameters:
  ///   - points: float64 [points, size].
  ///   - share: of the variance, which the directions together must reach; there is always one.
  init(_ points: Tensor, explaining share: Double) {
    let (count, size) = (points.size(0), points.size(1))
    mean = points.sum(dim: 0).reshaped([1, size]) * (1 / Double(count))
    let columns = (points - mean).transposed(0, 1)
    let (values, vectors) = columns.linear(columns).symmetricEigen()
    // Of n points at most min(n, size) eigenvalues are more than rounding.
    let variances = values.array(of: Double.self).reversed().prefix(min(count, size)).map { max(0, $0) }
    let total = variances.reduce(0, +)
    var (kept, reached) = (1, variances[0])
    while kept < variances.count, reached < share * total {
      reached += variances[kept]
      kept += 1
    }
    let strongest = Tensor((0..<kept).map { Int64(size - 1 - $0) })
    directions = vectors.transposed(0, 1).selecting(strongest)
  }

  var count: Int { directions.size(0) }

  /// Points [points, size] in these directions: [points, components].
  func projected(_ points: Tensor) -> Tensor { (points - mean).linear(directions) }
}
