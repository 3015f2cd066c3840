import CTorch
import Faults

// Elementwise operations, reductions, shapes and indexing; each means what it means in libtorch.
extension Tensor {
  /// Element by element, with libtorch's broadcasting.
  public static func + (a: Tensor, b: Tensor) -> Tensor { produce(a, b, ct_add) }
  /// Element by element, with libtorch's broadcasting.
  public static func - (a: Tensor, b: Tensor) -> Tensor { produce(a, b, ct_sub) }
  /// Element by element, with libtorch's broadcasting.
  public static func * (a: Tensor, b: Tensor) -> Tensor { produce(a, b, ct_mul) }
  /// Element by element, with libtorch's broadcasting.
  public static func / (a: Tensor, b: Tensor) -> Tensor { produce(a, b, ct_div) }
  /// A number added to each element.
  public static func + (a: Tensor, b: Double) -> Tensor { produce(a) { ct_add_scalar($0, b, $1) } }
  /// Each element times a number.
  public static func * (a: Tensor, b: Double) -> Tensor { produce(a) { ct_mul_scalar($0, b, $1) } }

  /// e to the power of each element.
  public func exp() -> Tensor { produce(self, ct_exp) }

  /// x · sigmoid(x).
  public func silu() -> Tensor { produce(self, ct_silu) }

  /// GELU with the tanh approximation.
  public func gelu() -> Tensor { produce(self, ct_gelu_tanh) }

  /// Zeroes each element with the given chance and scales the others up, with the generator that
  /// `Torch.seed` starts.
  ///
  /// - Parameter probability: from 0 up to, not including, 1.
  public func dropout(_ probability: Double) -> Tensor {
    trap(unless: (0..<1).contains(probability), "a chance of dropout is from 0 up to, not including, 1")
    return probability == 0 ? self : produce(self) { ct_dropout($0, probability, $1) }
  }

  /// `self + other.dropout(probability)` of tensors of one shape, at less cost.
  ///
  /// - Parameters:
  ///   - other: what is dropped before it is added.
  ///   - probability: from 0 up to, not including, 1.
  public func adding(_ other: Tensor, dropout probability: Double) -> Tensor {
    trap(unless: (0..<1).contains(probability), "a chance of dropout is from 0 up to, not including, 1")
    return probability == 0 ? self + other : produce(self, other) { ct_add_dropped($0, $1, probability, $2) }
  }

  /// The sum of all elements, a scalar.
  public func sum() -> Tensor { produce(self, ct_sum) }

  /// Sums over a dimension, which goes.
  public func sum(dim: Int) -> Tensor { produce(self) { ct_sum_dim($0, Int64(dim), $1) } }

  /// The largest absolute value.
  public func maxAbs() -> Tensor { produce(self, ct_max_abs) }

  /// Exponentials along a dimension, divided by their sum.
  public func softmax(dim: Int) -> Tensor { produce(self) { ct_softmax($0, Int64(dim), $1) } }

  /// Logarithms of `softmax(dim:)`.
  public func logSoftmax(dim: Int) -> Tensor { produce(self) { ct_log_softmax($0, Int64(dim), $1) } }

  /// The same elements in another shape.
  public func reshaped(_ shape: [Int]) -> Tensor {
    produce(self) { ct_reshape($0, shape.map(Int64.init), Int64(shape.count), $1) }
  }

  /// The same with two dimensions exchanged.
  public func transposed(_ a: Int, _ b: Int) -> Tensor {
    produce(self) { ct_transpose($0, Int64(a), Int64(b), $1) }
  }

  /// The part `range` of a dimension, sharing memory.
  public func narrowed(dim: Int, to range: Range<Int>) -> Tensor {
    produce(self) { ct_narrow($0, Int64(dim), Int64(range.lowerBound), Int64(range.count), $1) }
  }

  /// Tensors one after another along a dimension; the others are equal.
  public static func concatenated(_ tensors: [Tensor], dim: Int = 0) -> Tensor {
    guard tensors.count != 1 else { return tensors[0] }
    var out: OpaquePointer?
    withHandles(tensors) { must(ct_cat($0, Int64(tensors.count), Int64(dim), &out)) }
    return Tensor(owning: out!)
  }

  /// The slices `index` (int64, one dimension) of a dimension.
  public func selecting(_ index: Tensor, dim: Int = 0) -> Tensor {
    produce(self, index) { ct_index_select($0, Int64(dim), $1, $2) }
  }

  /// One element per place of `index` (int64) along a dimension.
  public func gathering(_ index: Tensor, dim: Int) -> Tensor {
    produce(self, index) { ct_gather($0, Int64(dim), $1, $2) }
  }

  /// The eigenvalues, ascending, of this symmetric matrix, [size], and their eigenvectors in columns, [size, size].
  public func symmetricEigen() -> (values: Tensor, vectors: Tensor) {
    withExtendedLifetime(self) {
      var values: OpaquePointer?
      var vectors: OpaquePointer?
      must(ct_symmetric_eigen(handle, &values, &vectors))
      return (Tensor(owning: values!), Tensor(owning: vectors!))
    }
  }

  /// Overwrites this tensor, also where it is a slice of another, with the (broadcast, converted) elements of `source`.
  public func copy(from source: Tensor) {
    withExtendedLifetime((self, source)) { must(ct_copy_into(handle, source.handle)) }
  }

  /// Overwrites every element.
  public func fill(_ value: Double) { withExtendedLifetime(self) { must(ct_fill(handle, value)) } }
}
