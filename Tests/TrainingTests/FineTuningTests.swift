import Checkpoints
import CommandSupport
import Corpora
import EsoLM
import Foundation
import Runs
import Testing
import TestSupport
import Torch
import Training

/// Training that starts from weights which were trained on something else. Of the suite of the loop, whose tests run one at
/// a time.
extension TrainerTests {
  /// A run whose weights are worth starting from.
  private func trained() throws -> Trainer {
    let trainer = try TinyTraining.trainer { $0.training.steps = 200 }
    try trainer.train()
    return trainer
  }

  private func fineTuned(
    from run: RunFolder, _ change: (inout RunConfiguration) -> Void
  ) throws -> Trainer {
    let start = try InitialWeights(opening: run.path)
    let configuration = try TinyTraining.configuration {
      $0.model = start.network
      change(&$0)
    }
    let tokenizer = try #require(start.tokenizer)
    return try Trainer(
      creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: tokenizer,
      weights: try start.model(for: tokenizer))
  }

  @Test func theFirstCheckpointHoldsTheWeightsAndNothingElse() throws {
    let first = try trained()
    let next = try fineTuned(from: first.run) { $0.method.alpha0 = 0.125 }
    let state = try next.run.restore().state
    #expect(state.step == 0)
    for (left, right) in zip(state.model.parameters, first.learner.average.parameters) {
      #expect(distance(left, right) == 0)
    }
    for (left, right) in zip(state.average.parameters, first.learner.average.parameters) {
      #expect(distance(left, right) == 0)
    }
    for moment in state.firstMoments + state.secondMoments { #expect(moment.maxAbs().item == 0) }
    // The run that they come from is left alone.
    #expect(try first.run.restore().state.step == 200)
  }

  /// Rotary positions are computed where they are needed, so a longer context starts from what the shorter one learned.
  @Test(arguments: [48, 128]) func anotherLengthStartsFromWhatWasLearned(length: Int) throws {
    let first = try trained()
    let next = try fineTuned(from: first.run) {
      $0.method.length = length
      $0.training.steps = 60
    }
    let random = try TinyTraining.trainer { $0.method.length = length }
    let (learned, unlearned) = (next.validate().nelbo, random.validate().nelbo)
    #expect(learned < 0.9 * unlearned, "\(learned) nats from the start, \(unlearned) at random")
    try next.train()
    #expect(next.validate().nelbo < learned)
    #expect(try next.run.restore().state.step == 60)
  }

  @Test func aNetworkOfOtherSizesCannotBeStartedFrom() throws {
    let start = try InitialWeights(opening: try TinyTraining.trainer().run.path)
    let configuration = try TinyTraining.configuration { $0.model.numBlocks = 2 }
    let text = message {
      try Trainer(
        creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: TinyTraining.tokenizer,
        weights: try start.model(for: TinyTraining.tokenizer))
    }
    #expect(
      text?.hasPrefix("the weights do not fit the configuration: 'blocks.1.norm1.weight' [16] is missing; ") == true)
  }
}
