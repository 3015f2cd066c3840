import EsoLM
import Foundation
import Runs
import TestSupport
import Testing
import Torch
import Training

@Suite("The training step")
struct LearnerTests {
  @Test(
    arguments: [
      (0, [1, 1, 1, 1, 1]), (1, [0, 1, 1, 1, 1]), (4, [0, 0.25, 0.5, 0.75, 1]),
    ] as [(Int, [Double])])
  func theLearningRateRisesFromZeroThroughTheWarmup(warmup: Int, shares: [Double]) throws {
    let learner = try learner { $0.warmupSteps = warmup }
    let rates = try shares.map { _ in try update(learner).learningRate }
    #expect(rates == shares.map { $0 * 3e-3 })
  }

  @Test func theFirstStepOfAWarmupMovesNothing() throws {
    let learner = try learner { _ in }
    let before = parameters(learner.model)
    _ = try update(learner)
    #expect(parameters(learner.model) == before)
    _ = try update(learner)
    #expect(parameters(learner.model) != before)
  }

  @Test func aYoungAverageForgetsFaster() throws {
    let learner = try learner {
      $0.emaDecay = 0.35
      $0.warmupSteps = 0
    }
    for step in 1...6 {
      let before = parameters(learner.average)
      _ = try update(learner)
      let decay = Float(min(0.35, Double(1 + step) / Double(10 + step)))  // 2/11, 3/12, 4/13, 0.35, …
      let (model, found) = (parameters(learner.model), parameters(learner.average))
      #expect(learner.step == step)
      #expect(
        zip(zip(before, model), found).allSatisfy { abs(decay * $0.0 + (1 - decay) * $0.1 - $1) < 1e-6 })
    }
  }

  @Test func longGradientsAreClipped() throws {
    // AdamW's first step hides the length of a gradient, its first moment does not: a tenth of the clipped gradient.
    let learner = try learner { $0.gradientClip = 1e-3 }
    let norm = try update(learner).gradientNorm
    #expect(norm > 1e-3)
    #expect(abs(learner.state.firstMoments.norm - 1e-4) < 1e-7)
  }

  /// Its numbers have 8 bits, so that a step is the same to a few hundredths.
  @Test func bfloat16MakesNearlyTheSameStep() throws {
    func learner(bfloat16: Bool) throws -> Learner {
      try self.learner {
        $0.bfloat16 = bfloat16
        $0.warmupSteps = 0
      }
    }
    let (exact, rough) = (try learner(bfloat16: false), try learner(bfloat16: true))
    for step in 0..<4 {
      let (found, expected) = (try update(rough), try update(exact))
      // A fresh network finds all tokens equally likely, however it computes.
      #expect((found.loss != expected.loss) == (step > 0))
      #expect(abs(found.loss / expected.loss - 1) < 0.01)
      #expect(abs(found.gradientNorm / expected.gradientNorm - 1) < 0.03)
    }
    #expect(rough.model.parameters.allSatisfy { $0.dtype == .float32 })
    for (found, expected) in zip(rough.state.firstMoments, exact.state.firstMoments) where expected.maxAbs().item > 1e-4
    {
      #expect((found - expected).maxAbs().item < 0.05 * expected.maxAbs().item)
    }
  }

  /// Large enough for work to be cut; sums are in another order then.
  @Test(arguments: [2, 3]) func stepsOnSeveralThreadsAreThoseOfOne(threads: Int) throws {
    func steps(_ threads: Int) throws -> (updates: [Learner.Update], state: TrainingState) {
      try withThreads(threads) {
        let learner = try learner(hiddenSize: 128) { _ in }
        return (try (0..<4).map { _ in try update(learner, copies: 32) }, learner.state)
      }
    }
    let (expected, found) = (try steps(1), try steps(threads))
    for (found, expected) in zip(found.updates, expected.updates) {
      #expect(abs(found.loss / expected.loss - 1) < 1e-5)
      #expect(abs(found.gradientNorm / expected.gradientNorm - 1) < 1e-4)
    }
    for (found, expected) in zip(found.state.firstMoments, expected.state.firstMoments) {
      #expect((found - expected).maxAbs().item <= 1e-3 * expected.maxAbs().item)
    }
  }

  // MARK: Helpers

  private func learner(
    hiddenSize: Int = 16, _ change: (inout TrainingConfiguration) -> Void
  ) throws -> Learner {
    let configuration = try TinyTraining.configuration {
      $0.model.hiddenSize = hiddenSize
      change(&$0.training)
    }
    return Learner(
      try TrainingState(startingFrom: TransformerWeights(configuration.model, seed: 5)),
      configuration: configuration.training)
  }

  /// A step on the beginning of the text.
  private func update(_ learner: Learner, copies: Int = 1) throws -> Learner.Update {
    let tokens = try TinyTraining.tokenizer.encode(String(TinyTraining.text.prefix(64)))
    let batch = (0..<4 * copies).map { Array(tokens[$0 % 4 * 16..<($0 % 4 + 1) * 16]) }
    let objective = try! HybridObjective(alpha0: 0.5)
    let scored = objective.scored(
      objective.corrupt(batch, seed: 1, step: learner.step), maskToken: TinyTraining.tokenizer.vocabularySize)
    return try learner.update(scored)
  }

  private func parameters(_ model: TransformerWeights) -> [Float] {
    model.parameters.flatMap { $0.array(of: Float.self) }
  }
}
