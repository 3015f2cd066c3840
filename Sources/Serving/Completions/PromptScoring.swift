import EsoLM
import Randomness

/// In which order a prompt's tokens are scored.
enum ScoringOrder: String, CaseIterable, Sendable {
  /// As an autoregressive model would read it.
  case leftToRight = "left-to-right"
  /// As Eso-LM generates: a share α₀ at random, the rest from left to right.
  case random
}

/// Exact log-probabilities of the tokens of a prompt, one at a time in an order, in one pass.
struct PromptScoring: Sendable {
  let tokens: [Int32]
  let order: ScoringOrder
  let seed: UInt64
  let number: Int
  let alternativeCount: Int

  /// - Returns: one for each token, in text order; without numbers for one that the method does not predict, and, from
  ///   left to right, for the first, which the interface has none for.
  /// - Throws: ``APIError`` for a method without exact likelihood.
  func scored(by model: ServedModel, engine: Engine) async throws -> [ChoiceText.Token] {
    guard !tokens.isEmpty else { return [] }
    let positions: [Int]
    switch order {
    case .leftToRight: positions = Array(tokens.indices)
    case .random:
      guard model.method is EsotericMethod else {
        throw APIError.field("order", "'random'", expected: "'left-to-right' for \(model.method.title)")
      }
      var generator = CounterGenerator(seed: seed, stream: .likelihoodOrder, major: number)
      positions = model.method.drawOrder(length: tokens.count, using: &generator).positions
    }
    let given = model.method.leftToRightStart?.isText == true ? 1 : 0
    var told = tokens.map { ChoiceText.Token(token: $0, logProbability: nil, alternatives: []) }
    guard tokens.count > given else { return told }
    var request = GenerationRequest(
      template: tokens.prefix(given).map { $0 } + Array(repeating: nil, count: tokens.count - given),
      seed: seed, alternativeCount: min(alternativeCount, model.network.vocabularySize - 1))
    request.steps = model.method is EsotericMethod ? 1 : nil
    let generation = try model.method.generation(request, for: model.network)
    let written = positions.dropFirst(given).map { (position: $0, token: tokens[$0]) }
    let picks = try await engine.perform { access in
      try generation.picks(ofWriting: [written], under: access.network)?[0]
    }
    guard let picks else {
      throw APIError(
        .badRequest,
        "logprobs of an echoed prompt: \(model.method.title) has no exact likelihood; expected Eso-LM (B) or AR",
        parameter: "logprobs")
    }
    for (place, pick) in zip(written, picks) where place.position > 0 || order == .random {
      told[place.position] = ChoiceText.Token(
        token: pick.token, logProbability: pick.modelLogProbability,
        alternatives: pick.alternatives.map { .init(token: $0.token, logProbability: $0.logProbability) })
    }
    return told
  }
}
