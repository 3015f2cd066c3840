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
  private let learningRates: LearningRateSchedule
  private let optimizer: AdamW
  private let group: ProcessGroup
  private let gradientSum: GradientSum?

  /// - Parameters:
  ///   - state: what to go on from.
  ///   - configuration: how; it must be valid.
  ///   - group: the processes among which batches are shared. All of them have the same state.
  public init(_ state: TrainingState, configuration: TrainingConfiguration, group: ProcessGroup = ProcessGroup()) {
    self.state = state
    self.configuration = configuration
    self.group = group
    learningRates = configuration.learningRates
    var optimizer = AdamW()
    optimizer.weightDecay = configuration.weightDecay
    self.optimizer = optimizer
    gradientSum = group.count > 1 ? GradientSum(state.model, group: group) : nil
  }

  /// The weights that are trained.
  public var model: TransformerWeights { state.model }
  /// The exponential moving average of the weights, which evaluation and sampling use.
  public var average: TransformerWeights { state.average }
  /// How many updates were made.
  public var step: Int { state.step }
  /// What validation found after the last step, nats a token; nil where that was not validated.
  public var validationNELBO: Double? {
    get { state.validationNELBO }
    set { state.validationNELBO = newValue }
  }
  /// BD3-LM: the times that training draws from, where validations choose them; nil before the first did.
  public var noiseRange: ClosedRange<Double>? {
    get { state.noiseRange }
    set { state.noiseRange = newValue }
  }

  /// What one update did.
  public struct Update: Sendable {
    /// The loss of the batch, nats a token.
    public let loss: Double
    /// The part of it that is of tokens which diffusion predicts.
    public let diffusionLoss: Double
    /// The part of it that is of tokens which are predicted one after another.
    public let sequentialLoss: Double
    /// The gradients' norm before clipping.
    public let gradientNorm: Double
    /// The learning rate of this update.
    public let learningRate: Double
    /// Operations of the products and of attention that the update could not do without, in all processes.
    public let operations: Double
    /// Where the time of this process went, in seconds.
    public let seconds: Seconds
  }

  /// Where an update's time goes.
  public struct Seconds: Sendable {
    /// Making the batch: reading, corrupting, laying out.
    public fileprivate(set) var batch = 0.0
    /// From the batch to its loss, the gradients of the output layer included.
    public fileprivate(set) var forward = 0.0
    /// From the loss to the gradients.
    public fileprivate(set) var backward = 0.0
    /// Waiting for the gradients of other processes.
    public fileprivate(set) var exchange = 0.0
    /// Norm, clipping, AdamW and the moving average.
    public fileprivate(set) var update = 0.0
  }

  /// One training step on a batch that is whole.
  ///
  /// - Throws: ``TrainingDiverged`` if the loss or a gradient is NaN or infinite; the weights are then as before.
  public func update(_ batch: ScoredBatch) throws -> Update { try update(microBatches: 1) { _ in batch }! }

  /// One training step: loss, gradients, clipping, AdamW, moving average.
  ///
  /// The parts of the batch, over all micro-batches of all processes, have losses that add up to that of the whole; so do
  /// their gradients.
  ///
  /// - Parameters:
  ///   - count: in how many parts this process takes its share, the same in all processes.
  ///   - makeBatch: makes one of them. nil, in all processes alike, gives the step up: nothing has changed.
  /// - Throws: ``TrainingDiverged`` if the loss or a gradient is NaN or infinite; the weights are then as before.
  public func update(microBatches count: Int, _ makeBatch: (_ number: Int) throws -> ScoredBatch?) throws -> Update? {
    model.clearGradients()
    // The loss, its two terms, and operations.
    var sums = [0.0, 0, 0, 0]
    var seconds = Seconds()
    var clock = Stopwatch()
    for number in 0..<count {
      let made = try makeBatch(number)
      clock.add(to: &seconds.batch)
      guard let batch = made else {
        model.clearGradients()
        return nil
      }
      // A share without anything to predict has no loss and no gradient.
      guard !batch.targets.isEmpty else { continue }
      var generator = CounterGenerator(
        seed: configuration.seed, stream: .dropout, major: step, minor: number * group.count + group.rank)
      Torch.seed(generator.next())
      let (loss, nll) = withBFloat16(configuration.bfloat16, on: model.device) {
        model.transformer(training: true).loss(of: batch, recomputing: configuration.recomputes)
      }
      clock.add(to: &seconds.forward)
      if let gradientSum, number == count - 1 { gradientSum.backward(loss) } else { loss.backward() }
      clock.add(to: &seconds.backward)
      let terms = batch.terms(nll.array(of: Double.self))
      let parts = [loss.item, terms.diffusion, terms.sequential, batch.trainingOperations(model.configuration)]
      for (place, part) in parts.enumerated() { sums[place] += part }
    }
    let gradients = gradientSum?.finish() ?? model.gradients
    group.sum(&sums)
    clock.add(to: &seconds.exchange)
    let value = sums[0]
    // All processes scale by the same number, bit for bit, or their weights would drift apart.
    let norm = group.leaders(gradients.norm)
    guard value.isFinite, norm.isFinite else { throw TrainingDiverged(step: step + 1, loss: value, norm: norm) }

    let learningRate = learningRates.rate(step: step, of: configuration.steps)
    state.step += 1
    // It was measured at an earlier step.
    state.validationNELBO = nil
    // A young average forgets faster, so that it does not remember the random start.
    let decay = min(configuration.emaDecay, Double(1 + step) / Double(10 + step))
    optimizer.update(
      model.parameters, gradients: gradients, scaledBy: AdamW.clipping(norm, to: configuration.gradientClip),
      firstMoments: state.firstMoments, secondMoments: state.secondMoments, averages: average.parameters,
      movingBy: 1 - decay, step: step, learningRate: learningRate)
    clock.add(to: &seconds.update)
    return Update(
      loss: value, diffusionLoss: sums[1], sequentialLoss: sums[2], gradientNorm: norm, learningRate: learningRate,
      operations: sums[3], seconds: seconds)
  }
}

/// Tells stages of a step apart.
private struct Stopwatch {
  private var last = ContinuousClock.now

  /// Adds the time since it was last asked. What a GPU was told to do but has not done counts for a later stage.
  mutating func add(to seconds: inout Double) {
    let now = ContinuousClock.now
    seconds += (now - last).seconds
    last = now
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
  /// The file that tells which sequences the step saw, if it was written; the run's checkpoint is then of just before.
  public var record: String?

  public var description: String {
    "training diverged at step \(step): loss \(loss), gradient norm \(norm); try a smaller learning rate"
      + (record.map {
        " (saved as it was before the step, whose batch is in \($0): going on repeats it, a new run can start from its weights)"
      } ?? "")
  }
}
