import Foundation

/// How far training has come.
public struct TrainingProgress: Sendable {
  /// The number of this step.
  public let step: Int
  /// The steps of the whole training.
  public let steps: Int
  /// What the step did.
  public let update: Learner.Update
  /// Over the last few seconds, of all processes.
  public let tokensPerSecond: Double
  /// Necessary operations in the same time, of all processes.
  public let operationsPerSecond: Double
  /// Estimated from the speed of this call so far, validation and saving included.
  public let secondsLeft: Double
}

/// Measures the speed of a training.
struct ProgressMeter {
  private let firstStep: Int
  private let steps: Int
  private let tokensOfStep: Int
  private let start = ContinuousClock.now
  private var window: [(time: ContinuousClock.Instant, operations: Double)] = [(.now, 0)]

  /// - Parameters:
  ///   - step: how many updates were made before.
  ///   - steps: how many the whole training makes.
  ///   - tokensOfStep: of all sequences of a batch.
  init(from step: Int, to steps: Int, tokensOfStep: Int) {
    firstStep = step
    self.steps = steps
    self.tokensOfStep = tokensOfStep
  }

  /// Since the beginning.
  var seconds: Double { (ContinuousClock.now - start).seconds }

  mutating func add(_ update: Learner.Update, step: Int) -> TrainingProgress {
    let now = ContinuousClock.now
    window.append((now, update.operations))
    while window.count > 2, now - window[1].time > .seconds(5) { window.removeFirst() }
    let elapsed = (now - window[0].time).seconds
    return TrainingProgress(
      step: step, steps: steps, update: update,
      tokensPerSecond: Double(tokensOfStep * (window.count - 1)) / elapsed,
      operationsPerSecond: window.dropFirst().reduce(0) { $0 + $1.operations } / elapsed,
      secondsLeft: seconds / Double(step - firstStep) * Double(steps - step))
  }

  /// Leaves out the time since the last step, which went into something else.
  mutating func pause() { window = [(.now, 0)] }
}

extension Duration {
  /// As a number.
  public var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
