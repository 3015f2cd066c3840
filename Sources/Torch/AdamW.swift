import CTorch
import Faults

/// AdamW (Loshchilov & Hutter 2019), the clipping before it and the moving average after it in one pass on the CPU.
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

  /// Updates `parameters` and both moments in place, and then their moving averages.
  ///
  /// - Parameters:
  ///   - parameters: changed in place.
  ///   - gradients: one for each parameter; not of use afterwards.
  ///   - scale: what gradients are multiplied by before, as ``clipping(_:to:)`` says it.
  ///   - firstMoments: running means of gradients, changed in place.
  ///   - secondMoments: running means of their squares, changed in place.
  ///   - averages: of the parameters, changed in place; empty where there are none.
  ///   - fraction: how far averages move to the updated parameters, from 0 to 1.
  ///   - step: 1 for the first update; the bias correction depends on it.
  ///   - learningRate: of this update.
  public func update(
    _ parameters: [Tensor], gradients: [Tensor], scaledBy scale: Double = 1, firstMoments: [Tensor],
    secondMoments: [Tensor], averages: [Tensor] = [], movingBy fraction: Double = 0, step: Int, learningRate: Double
  ) {
    trap(
      unless: [gradients.count, firstMoments.count, secondMoments.count].allSatisfy { $0 == parameters.count }
        && (averages.isEmpty || averages.count == parameters.count), "the lists differ in length")
    var update = CTUpdate(
      step: Int64(step), learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      weightDecay: weightDecay, gradientScale: scale, averageFraction: fraction)
    withHandles(parameters) { all in
      withHandles(gradients) { slopes in
        withHandles(firstMoments) { first in
          withHandles(secondMoments) { second in
            withHandles(averages.isEmpty ? parameters : averages) { means in
              var weights = CTWeights(
                weights: all, gradients: slopes, firstMoments: first, secondMoments: second,
                averages: averages.isEmpty ? nil : means, count: Int64(parameters.count))
              must(ct_adamw(&weights, &update))
            }
          }
        }
      }
    }
  }

  /// What gradients of a norm are multiplied by so that it is at most `limit`.
  public static func clipping(_ norm: Double, to limit: Double) -> Double { min(1, limit / (norm + 1e-6)) }
}

extension Array where Element == Tensor {
  /// The Euclidean norm of all elements of all tensors.
  public var norm: Double {
    var result = 0.0
    withHandles(self) { must(ct_norm($0, Int64(count), &result)) }
    return result
  }
}
