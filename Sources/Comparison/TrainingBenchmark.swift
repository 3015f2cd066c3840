import EsoLM
import Runs
import Torch
import Training

/// What a training step costs, stage by stage, against what it must cost at least.
public struct TrainingBenchmark {
  /// The sizes of the network; weights are random, as are tokens.
  public var model: TransformerConfiguration
  /// What is trained.
  public var contestant: Contestant
  /// Tokens of a sequence.
  public var length: Int
  /// How: batch size, micro-batches, bfloat16, recomputing.
  public var training: TrainingConfiguration
  /// Where.
  public var device: Device

  /// A benchmark of a step.
  public init(
    model: TransformerConfiguration, contestant: Contestant, length: Int, training: TrainingConfiguration,
    device: Device = .cpu
  ) {
    self.model = model
    self.contestant = contestant
    self.length = length
    self.training = training
    self.device = device
  }

  /// A stage of the step.
  public struct Stage: Codable, Sendable {
    /// What it is.
    public let name: String
    /// How long it takes, in the median.
    public let seconds: Double
    /// How long it takes at least: its operations at the machine's matrix rate, or its bytes at its bandwidth.
    public let floorSeconds: Double?
  }

  /// What was measured.
  public struct Result: Codable, Sendable {
    /// The method as commands name it.
    public let method: String
    /// Sequences of a step.
    public let batch: Int
    /// Tokens of a sequence.
    public let length: Int
    /// Threads of an operation.
    public let threads: Int
    /// How many steps were timed, after one that warms up.
    public let steps: Int
    /// Seconds of a step, in the median.
    public let secondsPerStep: Double
    /// Tokens of all sequences over that.
    public let tokensPerSecond: Double
    /// Operations that a step cannot do without, in the mean: see `ScoredBatch.trainingOperations`.
    public let operations: Double
    /// Operations a second of large products, measured between the steps, in the median.
    public let matrixRate: Double
    /// Bytes a second of reading, measured between the steps, in the median.
    public let bytesPerSecond: Double
    /// `operations` over the time of a step, as a share of the matrix rate.
    public let shareOfMatrixRate: Double
    /// The stages.
    public let stages: [Stage]
    /// The most memory that tensors had at a time, in bytes; 0 where that is not counted.
    public let tensorBytes: Int
  }

  /// Makes steps and times them.
  ///
  /// - Throws: ``EsoLM/ConfigurationError``; an error where memory does not suffice.
  public func measure(steps: Int, progress: (_ share: Double) -> Void) throws -> Result {
    var model = model
    if !contestant.isModulated { model.conditioningSize = nil }
    let method = try contestant.method(length: length, maskToken: model.maskToken)
    let learner = Learner(
      try TrainingState(startingFrom: TransformerWeights(model, seed: training.seed, device: device)),
      configuration: training)
    let sequences = (0..<training.batchSize).map { row in
      PaddedTokens((0..<length).map { Int32((row * 7919 + $0 * 104_729) % (model.vocabularySize - 1)) })
    }
    let parts = try training.microBatches(processes: 1)
    var (updates, times, rates): ([Learner.Update], [Double], [Double]) = ([], [], [])
    var probe = ReadProbe()
    for step in 0...steps {
      progress(Double(step) / Double(steps + 1))
      let start = ContinuousClock.now
      let update = try learner.update(microBatches: parts) { number in
        let share = BatchShare(
          number, of: parts, contentCounts: sequences.map(\.contentCount), sequence: { sequences[$0] })
        return method.trainingBatch(share, maskToken: model.maskToken, seed: training.seed, step: step)
      }
      device.synchronize()
      let elapsed = (ContinuousClock.now - start).seconds
      guard step > 0 else { continue }
      updates.append(update!)
      times.append(elapsed)
      rates.append(Machine.trainingRate(bfloat16: training.bfloat16, device: device, runs: 2))
      probe.measure()
    }
    let operations = updates.reduce(0) { $0 + $1.operations } / Double(steps)
    let (seconds, rate) = (times.median, rates.median)
    // Each number of the weights is read with its gradient, both moments and the average, and all but the gradient are
    // written; before, the gradient is read for its norm.
    let updateBytes = 4 * Double(10 * learner.model.parameterCount)
    func stage(_ name: String, _ part: KeyPath<Learner.Seconds, Double>, floor: Double?) -> Stage {
      Stage(name: name, seconds: updates.map { $0.seconds[keyPath: part] }.median, floorSeconds: floor)
    }
    // The output layer's gradients come with its loss: what they cost is forward's.
    return Result(
      method: contestant.description, batch: training.batchSize, length: length, threads: Torch.threadCount,
      steps: steps, secondsPerStep: seconds, tokensPerSecond: Double(training.batchSize * length) / seconds,
      operations: operations, matrixRate: rate, bytesPerSecond: probe.bytesPerSecond,
      shareOfMatrixRate: operations / seconds / rate,
      stages: [
        stage("batch", \.batch, floor: nil),
        Stage(
          name: "forward and backward", seconds: updates.map { $0.seconds.forward + $0.seconds.backward }.median,
          floorSeconds: operations / rate),
        stage("of these forward, with the output layer's gradients", \.forward, floor: nil),
        stage("norm, AdamW, average", \.update, floor: updateBytes / probe.bytesPerSecond),
      ], tensorBytes: Torch.keptMemory.mostUsed)
  }
}

extension [Double] {
  /// The middle one.
  fileprivate var median: Double { sorted()[count / 2] }
}
