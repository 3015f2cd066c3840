import Tool
import Training

/// Shows a training run: a progress line, and a line that stays for each validation.
struct TrainingView {
  private var line = ProgressLine()
  /// What stands before every line.
  var prefix = ""

  /// Trains until a signal asks to stop, or to the end.
  func run(_ trainer: Trainer) throws {
    var view = self
    try Interrupt.shared.noting {
      try trainer.train(shouldStop: { Interrupt.shared.wasRequested }) { view.show($0) }
    }
    view.clear()
  }

  mutating func show(_ event: Trainer.Event) {
    switch event {
    case .step(let progress):
      line.show(
        "\(prefix)step \(progress.step)/\(progress.steps)  loss \(Format.number(progress.update.loss, digits: 4))  "
          + "\(Format.count(progress.tokensPerSecond)) tokens/s  ETA \(Format.time(progress.secondsLeft))")
    case .validating(let step, let share):
      line.show("\(prefix)step \(step)  validating \(Format.percent(share))")
    case .validated(let validation):
      line.keep(
        "\(prefix)step \(validation.step)  validation NELBO \(Format.number(validation.nelbo, digits: 4)) nats/token, "
          + "perplexity \(Format.number(validation.perplexity, digits: 3))")
    case .saved:
      break
    }
  }

  func clear() { line.clear() }
}
