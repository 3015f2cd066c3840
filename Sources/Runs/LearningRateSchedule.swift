import EsoLM
import Foundation

/// The learning rate over a training: a warm-up from 0, then a decay from there to the last step.
public struct LearningRateSchedule: Sendable, Equatable {
  /// What follows the warm-up.
  public enum Decay: String, CaseIterable, Sendable {
    /// Nothing: the rate stays.
    case constant
    /// Half a wave of the cosine, to `finalShare`.
    case cosine
    /// A straight line, to `finalShare`.
    case linear
    /// Equal steps down: after every `interval` updates the rate is `factor` times what it was.
    case step
  }

  /// The rate after the warm-up.
  public var peak: Double
  /// Updates over which the rate rises from 0.
  public var warmupSteps: Int
  /// What follows.
  public var decay = Decay.constant
  /// Cosine and linear: the rate of the last update, as a share of the highest.
  public var finalShare = 0.0
  /// Step: how many updates have one rate.
  public var interval = 1000
  /// Step: what the rate is multiplied by then.
  public var factor = 0.5

  /// A constant rate after a warm-up.
  public init(peak: Double, warmupSteps: Int = 0) {
    self.peak = peak
    self.warmupSteps = warmupSteps
  }

  /// The rate of one update.
  ///
  /// As in the published runs, warm-up starts at 0: the first update moves nothing but the moments.
  ///
  /// - Parameters:
  ///   - step: how many updates were made before.
  ///   - steps: how many the whole training makes.
  public func rate(step: Int, of steps: Int) -> Double {
    if step < warmupSteps { return peak * (Double(step) / Double(warmupSteps)) }
    let done = step - warmupSteps
    // The last update has the final rate.
    let share = min(1, Double(done) / Double(max(1, steps - 1 - warmupSteps)))
    switch decay {
    case .constant: return peak
    case .linear: return peak * (1 - (1 - finalShare) * share)
    case .cosine: return peak * (finalShare + (1 - finalShare) * 0.5 * (1 + cos(.pi * share)))
    case .step: return peak * pow(factor, Double(done / interval))
    }
  }

  /// Throws a ``EsoLM/ConfigurationError`` naming the first field that does not fit.
  public func validate() throws {
    try ConfigurationError.require(
      peak > 0 && peak.isFinite, "learningRate", peak, expected: "a number above 0")
    try ConfigurationError.require(warmupSteps >= 0, "warmupSteps", warmupSteps, expected: "at least 0")
    try ConfigurationError.require(
      (0...1).contains(finalShare), "finalShare", finalShare, expected: "a number from 0 to 1")
    try ConfigurationError.require(interval >= 1, "decayInterval", interval, expected: "at least 1")
    try ConfigurationError.require(
      factor > 0 && factor <= 1, "decayFactor", factor, expected: "a number above 0, at most 1")
  }
}
