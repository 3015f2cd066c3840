import EsoLM
import Randomness
import Runs
import Torch

/// A network being trained: the weights, their moving average and the optimiser's moments. Its one method is the
/// training step, the same for every method of the family.
public final class Learner {
  /// What a checkpoint holds. Later steps change its tensors.
  public private(set) var state: TrainingState
  private let configuration: TrainingConfiguration
  private let optimizer: AdamW

  /// - Precondition: the configuration is valid.
  public init(_ state: TrainingState, configuration: TrainingConfiguration) {
    self.state = state
    self.configuration = configuration
    optimizer = Self.optimizer(configuration)
  }

  /// The weights that are trained.
  public var model: TransformerWeights { state.model }
  /// The exponential moving average of the weights, which evaluation and sampling use.
  public var average: TransformerWeights { state.average }
  /// How many updates were made.
  public var step: Int { state.step }
  /// BD3-LM: the times that training draws from, where validations choose them; nil before the first did.
  public var noiseRange: ClosedRange<Double>? {
    get { state.noiseRange }
    set { state.noiseRange = newValue }
  }

  /// What one update did.
  public struct Update: Sendable {
    /// The loss of the batch, nats a token.
    public let loss: Double
    /// The gradients' norm before clipping.
    public let gradientNorm: Double
    /// The learning rate of this update.
    public let learningRate: Double
  }

  /// One training step: loss, gradients, clipping, AdamW, moving average.
  ///
  /// - Throws: ``TrainingDiverged`` if the loss or a gradient is NaN or infinite; the weights are then as before.
  public func update(_ batch: ScoredBatch) throws -> Update {
    var generator = CounterGenerator(seed: configuration.seed, stream: .dropout, major: step)
    Torch.seed(generator.next())
    model.clearGradients()
    let loss = withBFloat16(configuration.bfloat16, on: model.device) {
      model.transformer(training: true).loss(of: batch).loss
    }
    loss.backward()

    let gradients = model.gradients
    let norm = gradients.clipNorm(to: configuration.gradientClip)
    let value = loss.item
    guard value.isFinite, norm.isFinite else { throw TrainingDiverged(step: step + 1, loss: value, norm: norm) }

    // As in the published runs, warm-up starts at 0: the first update moves nothing but the moments.
    let warmup = configuration.warmupSteps == 0 ? 1 : min(1, Double(step) / Double(configuration.warmupSteps))
    let learningRate = configuration.learningRate * warmup
    state.step += 1
    optimizer.update(
      model.parameters, gradients: gradients, firstMoments: state.firstMoments, secondMoments: state.secondMoments,
      step: step, learningRate: learningRate)
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
  /// The step that failed.
  public let step: Int
  /// Its loss.
  public let loss: Double
  /// The norm of its gradients.
  public let norm: Double

  public var description: String {
    "training diverged at step \(step): loss \(loss), gradient norm \(norm); try a smaller learning rate"
  }
}
