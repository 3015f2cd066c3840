import EsoLM
import Files
import Torch

// Sampling and exact likelihood.
extension Parity {
  static func samplingTrace(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let tokens = try parityCase.tokens("tokens")
    let orders = try parityCase.permutations("order").map { GenerationOrder(positions: $0, cleanCount: 0) }
    let sizes = try parityCase.integers("step_sizes")
    let length = orders.first?.length
    guard sizes.allSatisfy({ (1...1 << 20).contains($0) }), sizes.reduce(0, +) == length,
      tokens.count == orders.count, tokens.allSatisfy({ $0.count == length })
    else {
      throw FileError("\(parityCase.inputs.path): 'step_sizes' or 'tokens' do not fit the orders")
    }
    let model = try parityCase.model()
    let network = CachedTransformer(model.transformer())
    let slots = try zip(tokens, orders).map { text, order in
      var start = 0
      let steps = sizes.map { size in
        defer { start += size }
        return Array(order.positions[start..<start + size])
      }
      let sampler = Sampler(network)
      sampler.add(
        try Generation(
          GenerationRequest(length: text.count), rule: .causal, plan: FixedPlan(UnmaskingPlan(steps: steps)),
          for: model.configuration)
      )
      var logits: [Double] = []
      while !sampler.isEmpty { _ = try sampler.advance(forcing: { _ in text }) { logits += $0.logits.array() } }
      return logits
    }
    return ["logits": slots.flatMap { $0 }]
  }

  static func anyOrderLikelihood(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let sequences = try parityCase.tokens("x0")
    let orders = try parityCase.permutations("orders").map { GenerationOrder(positions: $0, cleanCount: 0) }
    guard orders.allSatisfy({ order in sequences.allSatisfy { $0.count == order.length } }) else {
      throw FileError("\(parityCase.inputs.path): 'orders' do not fit 'x0'")
    }
    let likelihood = try Likelihood(try parityCase.model().transformer(), alpha0: try parityCase.alpha0())
    let perSlot = sequences.map { tokens in likelihood.logProbabilities(orders.map { (tokens, $0) }) }
    let perOrder = perSlot.map { $0.map { $0.reduce(0, +) } }
    return [
      "logp_per_slot": perSlot.flatMap { $0.flatMap { $0 } },
      "logp_per_order": perOrder.flatMap { $0 },
      "importance_weighted": perOrder.map(Likelihood.importanceWeighted),
    ]
  }

  static func nucleus(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let logits = try parityCase.inputs.tensor("logits").to(.float32).to(parityCase.device)
    guard logits.rank == 2 else {
      throw FileError("\(parityCase.inputs.path): 'logits' has shape \(logits.shape), expected two dimensions")
    }
    var found: [String: [Double]] = [:]
    for name in parityCase.expected.entries.keys {
      let picker: TokenPicker
      if let p = name.split(separator: "top_p_").dropFirst().first.flatMap({ Double($0) }) {
        picker = try TokenPicker(topP: p)
      } else if let k = name.split(separator: "top_k_").dropFirst().first.flatMap({ Int($0) }) {
        picker = try TokenPicker(topK: k)
      } else {
        continue
      }
      let rows = picker.distribution(of: logits)
      // The recorded distributions leave out the last row, whose ties may be broken either way.
      switch name.prefix(while: { $0 != "." }) {
      case "probabilities": found[name] = rows.dropLast().flatMap { $0 }
      case "keep": found[name] = rows.dropLast().flatMap { $0.map { $0 > 0 ? 1 : 0 } }
      default: found[name] = rows.map { Double($0.count { $0 > 0 }) }
      }
    }
    return found
  }
}
