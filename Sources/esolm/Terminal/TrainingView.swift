import Training

/// Shows a training run: a progress line, and a line that stays for each validation.
struct TrainingView {
  func run(_ trainer: Trainer, interrupt: Interrupt) throws {
    var line = ProgressLine()
    try trainer.train(shouldStop: { interrupt.wasRequested }) { event in
      switch event {
      case .step(let progress):
        line.show(
          "step \(progress.step)/\(progress.steps)  loss \(Format.number(progress.update.loss, digits: 4))  "
            + "\(Format.count(progress.tokensPerSecond)) tokens/s  ETA \(Format.time(progress.secondsLeft))")
      case .validated(let validation):
        line.keep(
          "step \(validation.step)  validation NELBO \(Format.number(validation.nelbo, digits: 4)) nats/token, "
            + "perplexity \(Format.number(validation.perplexity, digits: 3))")
      case .saved:
        break
      }
    }
    line.clear()
  }
}
