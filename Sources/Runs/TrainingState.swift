import EsoLM
import Torch

/// All that training must remember to go on exactly as if it had not stopped. The data's position and every random draw
/// follow from the step, so they need no room of their own.
public struct TrainingState {
  /// How many updates were made.
  public var step: Int
  /// The weights.
  public let model: TransformerWeights
  /// Their moving average.
  public let average: TransformerWeights
  /// AdamW's running means of gradients, in the order of the parameters.
  public let firstMoments: [Tensor]
  /// AdamW's running means of squared gradients, in the order of the parameters.
  public let secondMoments: [Tensor]
  /// BD3-LM: the times that training draws from, where validations choose them.
  public var noiseRange: ClosedRange<Double>?
  /// Nats per token of the validation sequences under the average, if they were measured at this step.
  public var validationNELBO: Double?

  /// A state by its parts.
  public init(
    step: Int, model: TransformerWeights, average: TransformerWeights, firstMoments: [Tensor], secondMoments: [Tensor],
    noiseRange: ClosedRange<Double>? = nil, validationNELBO: Double? = nil
  ) {
    self.step = step
    self.model = model
    self.average = average
    self.firstMoments = firstMoments
    self.secondMoments = secondMoments
    self.noiseRange = noiseRange
    self.validationNELBO = validationNELBO
  }

  /// The start of training from weights, which it changes.
  public init(startingFrom weights: TransformerWeights) throws {
    func zeros() -> [Tensor] { weights.parameters.map { .zeros($0.shape, device: $0.device) } }
    self.init(step: 0, model: weights, average: try weights.copy(), firstMoments: zeros(), secondMoments: zeros())
  }
}
