import Torch

/// The largest difference between two lists of numbers; infinite if their lengths differ or a number is none.
public func distance(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).reduce(0) { $1.0 == $1.1 ? $0 : ($1.0 - $1.1).isNaN ? .infinity : max($0, abs($1.0 - $1.1)) }
}

/// The same for tensors; infinite if their shapes differ.
public func distance(_ a: Tensor, _ b: Tensor) -> Double {
  a.shape == b.shape ? distance(a.array(), b.array()) : .infinity
}

extension Tensor {
  /// Numbers that differ with the seed, in ±1 or ±`bound`.
  public static func random(_ shape: [Int], bound: Double = 1, seed: UInt64) -> Tensor {
    .uniform(shape, in: -bound..<bound, seed: seed)
  }

  /// The same as a parameter.
  public static func parameter(_ shape: [Int], bound: Double = 1, seed: UInt64) -> Tensor {
    random(shape, bound: bound, seed: seed).requiringGradient()
  }

  /// A dense attention of `self`, [batch, heads, rows, size], in which `allows(row, slot)` says who sees whom.
  public func attention(key: Tensor, value: Tensor, allows: (_ row: Int, _ slot: Int) -> Bool) -> Tensor {
    let (rows, slots) = (size(2), key.size(2))
    let bias = (0..<rows).flatMap { row in (0..<slots).map { allows(row, $0) ? Float(0) : -.infinity } }
    let scores = matrixProduct(key) * (1 / Double(size(3)).squareRoot()) + Tensor(bias, shape: [rows, slots])
    return scores.softmax(dim: -1).matrixProduct(value.transposed(2, 3))
  }

  /// `self · otherᵀ` in the last two dimensions of four, from plain products and sums.
  private func matrixProduct(_ other: Tensor) -> Tensor {
    let left = reshaped([size(0), size(1), size(2), 1, size(3)])
    let right = other.reshaped([other.size(0), other.size(1), 1, other.size(2), other.size(3)])
    return (left * right).sum(dim: -1)
  }
}

/// The gradients of a number, which `loss` computes from `parameters`, by autograd.
public func gradients(of loss: () -> Tensor, for parameters: [Tensor]) -> [Tensor] {
  for parameter in parameters { parameter.clearGradient() }
  loss().backward()
  return parameters.map { $0.gradient?.detached() ?? .zeros($0.shape, dtype: $0.dtype) }
}

/// The same by finite differences: each element is moved both ways by `step`.
public func numericalGradients(of loss: () -> Tensor, for parameters: [Tensor], step: Float = 1e-2) -> [Tensor] {
  withoutGradients {
    parameters.map { parameter in
      let slopes = (0..<parameter.count).map { element in
        func moved(by change: Float) -> Double {
          parameter.withUnsafeElements(of: Float.self) { $0[element] += change }
          defer { parameter.withUnsafeElements(of: Float.self) { $0[element] -= change } }
          return loss().item
        }
        return (moved(by: step) - moved(by: -step)) / Double(2 * step)
      }
      return Tensor(slopes, shape: parameter.shape)
    }
  }
}
