import Files
import Foundation
import Runs

/// What a training leaves for its readers: `metrics.jsonl`, and the same for TensorBoard. Of several processes one writes.
final class TrainingLog {
  private let metrics: MetricsLog
  private let events: EventFile
  private let isWriting: Bool
  private let tokensOfStep: Int
  /// How long the run was trained before.
  private let secondsBefore: Double

  /// Forgets what was measured after a step: a run that was killed may have measured further than it had saved.
  init(_ run: RunFolder, from step: Int, isWriting: Bool) throws {
    metrics = MetricsLog(run)
    self.isWriting = isWriting
    tokensOfStep = run.configuration.training.batchSize * run.configuration.method.length
    events = EventFile(in: run.path)
    if isWriting { try metrics.truncate(after: step) }
    let seconds = (try? TrainingRecord.all(of: run.path))?.last?.seconds ?? 0
    // A file may say anything; what is no time of a training counts for none.
    secondsBefore = (0...1e12).contains(seconds) ? seconds : 0
  }

  /// Notes every tenth step and those that are validated.
  ///
  /// - Parameters:
  ///   - progress: the step.
  ///   - seconds: since training began or went on.
  ///   - validation: what was measured after it, if anything was.
  ///   - texts: what was sampled after it.
  func note(_ progress: TrainingProgress, seconds: Double, _ validation: Validation?, texts: [String]) throws {
    guard isWriting, validation != nil || progress.step % 10 == 0 else { return }
    var record = TrainingRecord(step: progress.step)
    let (tokens, isTooMany) = progress.step.multipliedReportingOverflow(by: tokensOfStep)
    record.tokens = isTooMany ? nil : tokens
    record.seconds = ((secondsBefore + seconds) * 1000).rounded() / 1000
    record.loss = .init(progress.update.loss)
    record.diffusionLoss = .init(progress.update.diffusionLoss)
    record.sequentialLoss = .init(progress.update.sequentialLoss)
    record.gradientNorm = .init(progress.update.gradientNorm)
    record.learningRate = .init(progress.update.learningRate)
    record.tokensPerSecond = .init(progress.tokensPerSecond)
    record.validationNELBO = validation.map { .init($0.nelbo) }
    record.validationPerplexity = validation.map { .init($0.perplexity) }
    record.texts = texts.isEmpty ? nil : texts
    try events.begin(secondsBefore: secondsBefore)
    try metrics.append(record)
    try events.append(record)
  }
}
