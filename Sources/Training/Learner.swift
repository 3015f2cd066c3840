import EsoLM
import Randomness
import Runs
import Torch

/// A network being trained: the weights, their moving average and the optimiser's moments. Its one method is the
/// training step, the same for every method of the family.
public final class Learner {
  public let model: TransformerWeights
  /// The exponential moving average of the weights, which evaluation and sampling use.
  public let average: TransformerWeights
  /// AdamW's running means of gradients and of their squares, in the order of the parameters.
  public let firstMoments: [Tensor]
  public let secondMoments: [Tensor]
  /// How many updates were made.
  public private(set) var step: Int
  /// BD3-LM: the times that training draws from, where validations choose them; nil before the first did.
  public var noiseRange: ClosedRange<Double>?

  private let configuration: TrainingConfiguration
  private let optimizer: AdamW

  /// The state at the start of training.
  ///
  /// - Throws: ``ConfigurationError`` if the configuration does not fit.
  public init(_ model: TransformerWeights, configuration: TrainingConfiguration) throws {
    try configuration.validate()
    self.model = model
    self.configuration = configuration
    average = try model.copy()
    firstMoments = model.parameters.map { .zeros($0.shape, device: $0.device) }
    secondMoments = model.parameters.map { .zeros($0.shape, device: $0.device) }
    step = 0
    optimizer = Self.optimizer(configuration)
  }

  /// A state that was saved.
  ///
  /// - Precondition: the configuration is valid.
  public init(_ state: TrainingState, configuration: TrainingConfiguration) {
    model = state.model
    average = state.average
    firstMoments = state.firstMoments
    secondMoments = state.secondMoments
    step = state.step
    noiseRange = state.noiseRange
    self.configuration = configuration
    optimizer = Self.optimizer(configuration)
  }

  /// What a checkpoint holds. It shares the tensors, which later steps change.
  public var state: TrainingState {
    TrainingState(
      step: step, model: model, average: average, firstMoments: firstMoments, secondMoments: secondMoments,
      noiseRange: noiseRange)
  }

  /// What one update did.
  public struct Update: Sendable {
    public let loss: Double
    /// The gradients' norm before clipping.
    public let gradientNorm: Double
    public let learningRate: Double
  }

  /// One training step: loss, gradients, clipping, AdamW, moving average.
  ///
  /// - Throws: ``TrainingDiverged`` if the loss or a gradient is NaN or infinite; the weights are then as before.
  public func update(_ loss: (Transformer) -> Tensor) throws -> Update {
    var generator = CounterGenerator(seed: configuration.seed, stream: .dropout, major: step)
    Torch.seed(generator.next())
    model.clearGradients()
    let loss = withBFloat16(configuration.bfloat16, on: model.device) { loss(model.transformer(training: true)) }
    loss.backward()

    let gradients = model.gradients
    let norm = gradients.clipNorm(to: configuration.gradientClip)
    let value = loss.item
    guard value.isFinite, norm.isFinite else { throw TrainingDiverged(step: step + 1, loss: value, norm: norm) }

    // As in the published runs, warm-up starts at 0: the first update moves nothing but the moments.
    let warmup = configuration.warmupSteps == 0 ? 1 : min(1, Double(step) / Double(configuration.warmupSteps))
    let learningRate = configuration.learningRate * warmup
    step += 1
    optimizer.update(
      model.parameters, gradients: gradients, firstMoments: firstMoments, secondMoments: secondMoments, step: step,
      learningRate: learningRate)
    // A young average forgets faster, so that it does not remember the random start.
    let decay = min(configuration.emaDecay, Double(1 + step) / Double(10 + step))
    average.parameters.move(towards: model.parameters, by: 1 - decay)
    return Update(loss: value, gradientNorm: norm, learningRate: learningRate)
  }

  private static func optimizer(_ configuration: TrainingConfiguration) -> AdamW {
    var optimizer = AdamW()
    optimizer.weightDecay = configuration.weightDecay
    return optimizer
  }
}

/// Training that cannot go on.
public struct TrainingDiverged: Error, CustomStringConvertible, Sendable {
  public let step: Int
  public let loss: Double
  public let norm: Double

  public var description: String {
    "training diverged at step \(step): loss \(loss), gradient norm \(norm); try a smaller learning rate"
  }
}
