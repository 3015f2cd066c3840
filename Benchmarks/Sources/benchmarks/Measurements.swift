import EsoLM
import Randomness
import Runs
import Torch
import Training

/// One measured line: what, how fast, and how near to the machine's ceiling.
struct Measurement: Codable {
  let model: String
  let what: String
  let seconds: Double
  /// Tokens of text per second.
  let tokensPerSecond: Double
  /// Matrix operations per second as a share of the machine's, where these bind.
  let shareOfFlops: Double
  /// Bytes of weights and cache per second as a share of the machine's, where reading binds.
  let shareOfBandwidth: Double?

  var shareOfProducts: Double? { shareOfFlops }
}

extension Model {
  private var tokens: [[Int32]] {
    (0..<batch).map { row in
      (0..<length).map { Int32((row * 7919 + $0 * 104_729) % (configuration.vocabularySize - 1)) }
    }
  }

  /// Whole training steps at α₀ = 0.5: corruption, loss, gradients, AdamW, moving average.
  func training(on machine: Machine) throws -> Measurement {
    let settings = TrainingConfiguration()
    let learner = Learner(
      try TrainingState(startingFrom: TransformerWeights(configuration, seed: 1)), configuration: settings)
    let objective = try! HybridObjective(alpha0: 0.5)
    let sequences = tokens
    var operations = 0.0
    let timing = try Timing(runs: runs) {
      let batch = objective.corrupt(sequences, seed: 1, step: learner.step)
      let scored = objective.scored(batch, maskToken: configuration.maskToken)
      operations = stepOperations(batch)
      _ = try learner.update(scored)
    }
    return Measurement(
      model: name, what: "train, batch \(batch), L \(length)", seconds: timing.median,
      tokensPerSecond: Double(batch * length) / timing.median,
      shareOfFlops: operations / timing.median / machine.flopsPerSecond, shareOfBandwidth: nil)
  }

  /// Operations of the matrix products that a step cannot do without: clean and masked slots through the blocks, masked
  /// ones through the output layer, forward once and backward twice. Attention is left out.
  private func stepOperations(_ batch: [HybridObjective.Corrupted]) -> Double {
    let masked = batch.reduce(0) { $0 + $1.order.maskedCount }
    let slots = batch.reduce(0) { $0 + $1.order.length + ($1.time == nil ? $1.order.maskedCount : 0) }
    return 6 * (Double(slots) * blockWeights + Double(masked) * outputWeights)
  }

  /// Network calls of a generation that writes one token a call, cache and picking included.
  func sampling(batch: Int, on machine: Machine) throws -> Measurement {
    let network = CachedTransformer(try TransformerWeights(configuration, seed: 1).transformer())
    let method = try! EsotericMethod(alpha0: 1)
    let timing = try Timing(runs: runs) {
      let sampler = Sampler(network)
      for number in 0..<batch {
        sampler.add(
          try method.generation(
            GenerationRequest(
              length: length, steps: length, schedule: .blockShuffled, picker: TokenPicker(topP: 0.9), seed: 1,
              number: number), for: configuration))
      }
      try sampler.finish()
    }
    let call = timing.median / Double(length)
    let rows = Double(2 * batch)
    let operations = 2 * (rows * blockWeights + Double(batch) * outputWeights)
    // Keys and values of half the text, on average.
    let cache = 4 * 2 * configuration.numBlocks * configuration.hiddenSize * batch * length / 2
    let bytes = 4 * (blockWeights + outputWeights) + Double(cache)
    return Measurement(
      model: name, what: "sample a call, batch \(batch), L \(length)", seconds: call,
      tokensPerSecond: Double(batch) / call, shareOfFlops: operations / call / machine.flopsPerSecond,
      shareOfBandwidth: bytes / call / machine.bytesPerSecond)
  }
}
