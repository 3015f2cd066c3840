import Comparison
import Foundation
import Tool
import Torch
import Training

/// Shows a training run: a progress line, and a line that stays for each validation.
struct TrainingView {
  private var line = ProgressLine()
  /// What stands before every line.
  var prefix = ""
  private let group: ProcessGroup
  private let start = ContinuousClock.now
  /// Operations a second of large matrix products in this process, once training has lasted long enough to measure it.
  private var matrixRate: Double?
  private let bfloat16: Bool
  private let device: Device

  /// - Parameters:
  ///   - group: the processes that train; one of them shows it.
  ///   - bfloat16: whether products are of bfloat16.
  ///   - device: where they are computed.
  init(_ group: ProcessGroup = ProcessGroup(), bfloat16: Bool = false, device: Device = .cpu) {
    (self.group, self.bfloat16, self.device) = (group, bfloat16, device)
  }

  mutating func show(_ event: Trainer.Event) {
    guard group.isLeader else { return }
    switch event {
    case .step(let progress):
      if matrixRate == nil, ContinuousClock.now - start > .seconds(5) {
        matrixRate = Machine.trainingRate(bfloat16: bfloat16, device: device)
        noteSlowBFloat16()
      }
      let shown = prefix + text(progress)
      line.show(shown)
    case .validating(let step, let share):
      line.show("\(prefix)step \(step)  validating \(Format.percent(share))")
    case .validated(let validation):
      line.keep(
        "\(prefix)step \(validation.step)  validation NELBO \(Format.number(validation.nelbo, digits: 4)) nats/token, "
          + "perplexity \(Format.number(validation.perplexity, digits: 3))")
    case .sampled(let step, let texts):
      for text in texts { line.keep("\(prefix)step \(step)  \(text.split(separator: "\n").joined(separator: "⏎"))") }
    case .saved:
      break
    }
  }

  /// Some processors have no instructions for bfloat16, others slow ones.
  private mutating func noteSlowBFloat16() {
    guard bfloat16, let matrixRate else { return }
    let float32 = Machine.trainingRate(bfloat16: false, device: device)
    guard matrixRate < 0.9 * float32 else { return }
    let rates = [matrixRate, float32].map { Format.number($0 / 1e9, digits: 0) }
    line.keep(
      "\(prefix)note: products of bfloat16 go at \(rates[0]) GFLOP/s here, of float32 at \(rates[1]): "
        + "training is faster without --bf16")
  }

  /// Losses are in nats a token: the whole, of tokens that diffusion predicts, and of those predicted one after another.
  private func text(_ progress: TrainingProgress) -> String {
    let update = progress.update
    let terms = [update.diffusionLoss, update.sequentialLoss].map { Format.number($0) }.joined(separator: " + ")
    var parts = [
      "step \(progress.step)/\(progress.steps)", "loss \(Format.number(update.loss, digits: 4)) (\(terms))",
      "\(Format.count(progress.tokensPerSecond)) tokens/s", "ETA \(Format.time(progress.secondsLeft))",
      "norm \(Format.number(update.gradientNorm))", "lr \(String(format: "%.2g", update.learningRate))",
    ]
    if let matrixRate {
      let share = progress.operationsPerSecond / (matrixRate * Double(group.count))
      parts.append("\(Format.number(100 * share, digits: 0)) % of matrix rate")
    }
    if let memory = ProcessMemory.current { parts.append("\(Format.number(Double(memory) / 1e9)) GB") }
    return parts.joined(separator: "  ")
  }

  func clear() { line.clear() }
}
