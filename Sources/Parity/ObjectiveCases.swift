import EsoLM
import Files
import Runs
import Torch
import Training

// The objective: both terms, their sum, and training steps on it.
extension Parity {
  static func noiseSchedule(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let times = try parityCase.numbers("t")
    var found = ["antithetic_t": NoiseSchedule.antitheticTimes(uniforms: try parityCase.numbers("uniform"))]
    for alpha0 in ["1.0", "0.5", "0.25", "0.0625"] {
      let schedule = try NoiseSchedule(alpha0: Double(alpha0)!)
      found["alpha_t.\(alpha0)"] = times.map(schedule.alpha(at:))
      found["dalpha_t.\(alpha0)"] = times.map { _ in schedule.alphaDerivative }
    }
    return found
  }

  /// Which tokens stand where, of orders whose random parts were recorded.
  static func trainingOrders(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let noised = try parityCase.tokens("xt")
    let orders = try parityCase.orders("order", noised: noised, length: noised.first?.count)
    func arranged(_ kinds: DiffusionOrders) -> [Double] {
      orders.flatMap { $0.arranged(kinds).positions.map(Double.init) }
    }
    return [
      "clean_left_to_right": arranged(DiffusionOrders(clean: .leftToRight)),
      "masks_left_to_right": arranged(DiffusionOrders(masks: .leftToRight)),
      "both_left_to_right": arranged(DiffusionOrders(clean: .leftToRight, masks: .leftToRight)),
    ]
  }

  static func diffusion(
    _ parityCase: ParityCase, passes: HybridObjective.Passes
  ) throws -> [String: [Double]] {
    let (model, clean, noised) = (try parityCase.model(), try parityCase.tokens("x0"), try parityCase.tokens("xt"))
    let orders = try parityCase.orders("order", noised: noised, length: clean.first?.count)
    let objective = try HybridObjective(alpha0: try parityCase.alpha0(), passes: passes)
    let times = try parityCase.numbers("t")
    let batch = zip(zip(clean, orders), times).map {
      HybridObjective.Corrupted(PaddedTokens($0.0), order: $0.1, time: $1)
    }
    let scored = objective.scored(batch, maskToken: parityCase.maskToken)
    let (loss, nll) = model.transformer().loss(of: scored)
    loss.backward()
    let unweighted = scattered(nll.array(), orders: orders)

    // The published network has an output for every slot; ask for all of them too.
    var everything = NetworkInput()
    everything.append(
      zip(clean, orders).map { ($0, $1) }, pattern: passes.diffusion, maskToken: parityCase.maskToken,
      outputsForAll: true)
    let logits = withoutGradients { model.transformer().logits(everything) }
    let excluded = Tensor.zeros(logits.shape, device: logits.device)
    excluded.narrowed(dim: 1, to: parityCase.maskToken..<parityCase.maskToken + 1).fill(-1e6)
    let targets = zip(clean, orders).flatMap { tokens, order in order.positions.map { Int64(tokens[$0]) } }
    let logp = (logits + excluded).logSoftmax(dim: 1)
      .gathering(Tensor(targets, shape: [targets.count, 1]).to(logits.device), dim: 1)

    let weighted = zip(unweighted, times).flatMap { (nll: [Double], time: Double) -> [Double] in
      nll.map { $0 * objective.weight(at: time) }
    }
    return gradients(of: model).merging([
      "loss": [loss.item],
      "logits": logits.array(),
      "log_x_theta_of_x0": logp.array(),
      "nll_low_var": unweighted.flatMap { $0 },
      "nll_elbo": weighted,
    ]) { $1 }
  }

  static func sequential(
    _ parityCase: ParityCase, passes: HybridObjective.Passes
  ) throws -> [String: [Double]] {
    let (model, clean, noised) = (try parityCase.model(), try parityCase.tokens("x0"), try parityCase.tokens("z0"))
    let orders = try parityCase.orders("order", noised: noised, length: clean.first?.count)
    let batch = zip(clean, orders).map { HybridObjective.Corrupted(PaddedTokens($0), order: $1, time: nil) }
    let scored = try HybridObjective(alpha0: try parityCase.alpha0(), passes: passes)
      .scored(batch, maskToken: parityCase.maskToken)
    let (loss, nll) = model.transformer().loss(of: scored)
    loss.backward()
    return gradients(of: model).merging([
      "loss": [loss.item],
      "nll": scattered(nll.array(), orders: orders).flatMap { $0 },
      "logits_of_masked": withoutGradients { model.transformer().logits(scored.input) }.array(),
    ]) { $1 }
  }

  static func hybridLoss(
    _ parityCase: ParityCase, passes: HybridObjective.Passes
  ) throws -> [String: [Double]] {
    let model = try parityCase.model()
    let objective = try HybridObjective(alpha0: try parityCase.alpha0(), passes: passes)
    let batch = try hybridBatch(parityCase)
    func loss(_ part: [HybridObjective.Corrupted]) -> Tensor {
      model.transformer().loss(of: objective.scored(part, maskToken: parityCase.maskToken)).loss
    }
    let whole = loss(batch)
    whole.backward()
    return gradients(of: model).merging([
      "loss": [whole.item],
      "diffusion_loss": [withoutGradients { loss(batch.filter { $0.time != nil }).item }],
      "sequential_loss": [withoutGradients { loss(batch.filter { $0.time == nil }).item }],
    ]) { $1 }
  }

  /// Six optimiser steps. The recorded run's settings are those that `config.json` describes in words.
  static func trainTrace(_ parityCase: ParityCase) throws -> [String: [Double]] {
    var configuration = TrainingConfiguration()
    configuration.learningRate = 1e-3
    configuration.warmupSteps = 3
    configuration.weightDecay = 0.01
    configuration.emaDecay = 0.9
    let learner = Learner(try TrainingState(startingFrom: parityCase.model()), configuration: configuration)
    let objective = try HybridObjective(alpha0: try parityCase.alpha0())
    let updates = try (0..<6).map { step in
      let batch = try hybridBatch(parityCase, prefix: "step\(step).")
      return try learner.update(objective.scored(batch, maskToken: parityCase.maskToken))
    }
    var found = [
      "loss": updates.map(\.loss), "grad_norm": updates.map(\.gradientNorm), "lr": updates.map(\.learningRate),
    ]
    for (name, tensor) in learner.model.namedParameters { found["final.\(name)"] = tensor.array() }
    for (name, tensor) in learner.average.namedParameters { found["ema.\(name)"] = tensor.array() }
    return found
  }

  /// The recorded draws of a split batch: its first rows train diffusion, the others the sequential term.
  private static func hybridBatch(_ parityCase: ParityCase, prefix: String = "") throws -> [HybridObjective.Corrupted] {
    let clean = try parityCase.tokens("\(prefix)x0")
    let diffusion = try parityCase.orders(
      "\(prefix)diffusion_order", noised: try parityCase.tokens("\(prefix)xt"), length: clean.first?.count)
    let sequential = try parityCase.orders(
      "\(prefix)sequential_order", noised: try parityCase.tokens("\(prefix)z0"), length: clean.first?.count)
    let times = try parityCase.numbers("\(prefix)t")
    guard clean.count == diffusion.count + sequential.count, times.count == diffusion.count else {
      throw FileError("\(parityCase.inputs.path): '\(prefix)x0' has \(clean.count) rows, which the orders do not fill")
    }
    return zip(clean, diffusion + sequential).enumerated().map { index, row in
      HybridObjective.Corrupted(
        PaddedTokens(row.0), order: row.1, time: index < times.count ? times[index] : nil)
    }
  }

  /// Numbers of masked slots as rows over all slots, 0 on clean ones.
  private static func scattered(_ values: [Double], orders: [GenerationOrder]) -> [[Double]] {
    var rest = values[...]
    return orders.map { order in
      defer { rest = rest.dropFirst(order.maskedCount) }
      return [Double](repeating: 0, count: order.cleanCount) + rest.prefix(order.maskedCount)
    }
  }
}
