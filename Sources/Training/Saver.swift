import EsoLM
import Files
import Runs

/// When a run is saved, and what is kept of a step that failed. Of several processes one writes.
struct Saver {
  private let run: RunFolder
  private let training: TrainingConfiguration
  private let isWriting: Bool
  private var savedStep: Int

  init(_ run: RunFolder, from step: Int, group: ProcessGroup) {
    self.run = run
    training = run.configuration.training
    isWriting = group.isLeader
    savedStep = step
  }

  /// Whether a state is to be saved as soon as it is reached: when its turn has come, or, where the best is kept, when no
  /// earlier one that was saved has as low a validation loss.
  func isDue(_ state: TrainingState) -> Bool {
    if state.step % training.saveInterval == 0 || state.step == training.steps { return true }
    guard training.keepsBest, let nelbo = state.validationNELBO else { return false }
    return nelbo < run.lowestNELBO(before: state.step) ?? .infinity
  }

  /// Saves a state that is not saved yet.
  ///
  /// - Returns: whether there was anything to save.
  mutating func save(_ state: TrainingState) throws -> Bool {
    guard state.step != savedStep else { return false }
    if isWriting { try run.save(state) }
    savedStep = state.step
    return true
  }

  private struct FailedStep: Encodable {
    struct Sequence: Encodable {
      var block: Int
      var tokens: [Int32]
    }
    var step: Int
    var loss: String
    var gradientNorm: String
    var sequences: [Sequence]
  }

  static let failureName = "diverged.json"

  /// Saves the state from which a step failed, and the batch: whoever goes on from there makes the same step again.
  mutating func save(
    _ failure: TrainingDiverged, of state: TrainingState, batch: [(block: Int, tokens: [Int32])]
  ) throws -> TrainingDiverged {
    _ = try save(state)
    var failure = failure
    failure.record = "\(run.path)/\(Self.failureName)"
    guard isWriting else { return failure }
    try JSONFile.write(
      FailedStep(
        step: failure.step, loss: "\(failure.loss)", gradientNorm: "\(failure.norm)",
        sequences: batch.map { .init(block: $0.block, tokens: $0.tokens) }), to: failure.record!)
    return failure
  }
}
