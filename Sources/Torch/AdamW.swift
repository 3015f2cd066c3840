import CTorch
import Faults

/// AdamW (Loshchilov & Hutter 2019) with libtorch's fused kernel.
public struct AdamW: Codable, Sendable, Equatable {
  /// The decay of the running mean of gradients.
  public var beta1 = 0.9
  /// The decay of the running mean of squared gradients.
  public var beta2 = 0.999
  /// What is added to the root of the latter.
  public var epsilon = 1e-8
  /// Decoupled: every step shrinks the weights by `learningRate · weightDecay`.
  public var weightDecay = 0.0

  /// AdamW without weight decay.
  public init() {}

  /// Updates `parameters` and both moments in place.
  ///
  /// - Parameters:
  ///   - parameters: changed in place.
  ///   - gradients: one for each parameter.
  ///   - firstMoments: running means of gradients, changed in place.
  ///   - secondMoments: running means of their squares, changed in place.
  ///   - step: 1 for the first update; the bias correction depends on it.
  ///   - learningRate: of this update.
  public func update(
    _ parameters: [Tensor], gradients: [Tensor], firstMoments: [Tensor], secondMoments: [Tensor], step: Int,
    learningRate: Double
  ) {
    trap(
      unless: [gradients.count, firstMoments.count, secondMoments.count].allSatisfy { $0 == parameters.count },
      "the lists differ in length")
    withHandles(parameters) { parameters in
      withHandles(gradients) { gradients in
        withHandles(firstMoments) { first in
          withHandles(secondMoments) { second in
            must(
              ct_adamw(
                parameters, gradients, first, second, Int64(firstMoments.count), Int64(step), learningRate, beta1,
                beta2, epsilon, weightDecay))
          }
        }
      }
    }
  }
}

extension Array where Element == Tensor {
  /// The Euclidean norm of all elements of all tensors.
  public var norm: Double {
    var result = 0.0
    withHandles(self) { must(ct_norm($0, Int64(count), &result)) }
    return result
  }

  /// Scales all tensors down in place so that their joint norm, which is `norm` now, is at most `limit`.
  public func clip(norm: Double, to limit: Double) {
    let factor = limit / (norm + 1e-6)
    if factor < 1 { withHandles(self) { must(ct_scale($0, Int64(count), factor)) } }
  }

  /// Moves each tensor in place by `fraction` of the way to its counterpart in `targets`.
  public func move(towards targets: [Tensor], by fraction: Double) {
    trap(unless: count == targets.count, "the lists differ in length")
    withHandles(self) { own in withHandles(targets) { must(ct_lerp(own, $0, Int64(count), fraction)) } }
  }
}
