import EsoLM
import Evaluation
import Files
import Hummingbird
import Tokenizers

/// `POST /v1/score`: the log-probability of parts of a text given others, as `esolm eval score` tells it.
struct ScoreCall: Sendable {
  private let passage: Passage
  private let orders: Int
  private let seed: UInt64
  private let alpha0: Double?
  private let model: ServedModel

  static let mostOrders = 256

  /// - Throws: ``APIError``.
  init(_ fields: RequestFields, model: ServedModel) throws {
    try CompletionCall.checkModel(fields, model)
    try fields.refuseUnknown(beside: ["model", "text", "spans", "given", "orders", "seed", "alpha0", "user"])
    try fields.refuseUnmet()
    guard let text = try fields.text("text") else { throw APIError.field("text", "missing", expected: "a text") }
    guard let spans = try Self.ranges(fields, "spans") else {
      throw APIError.field("spans", "missing", expected: "a list of [start, end] in characters of the text")
    }
    let spanned = try SpannedText(text, spans: spans, given: try Self.ranges(fields, "given"))
    do { passage = try Self.passage(spanned, model) } catch let error as SpanError { throw error } catch {
      throw APIError(.badRequest, "text: \(error)", parameter: "text")
    }
    guard passage.tokens.count <= model.length else {
      throw APIError.tooLong(
        "the text has \(passage.tokens.count) tokens, expected at most \(model.length)", parameter: "text")
    }
    orders = try fields.integer("orders", in: 1...Self.mostOrders) ?? 16
    seed = try fields.seed() ?? 0
    alpha0 = try fields.number("alpha0", in: 0...1)
    self.model = model
    if alpha0 != nil, !(model.method is EsotericMethod) {
      throw APIError.field("alpha0", "\(alpha0!)", expected: "none for \(model.method.title)")
    }
  }

  private static func passage(_ spanned: SpannedText, _ model: ServedModel) throws -> Passage {
    func passage(_ tokenizer: some Tokenizer) throws -> Passage { try spanned.passage(tokenizer) }
    return try passage(model.tokenizer)
  }

  private static func ranges(_ fields: RequestFields, _ name: String) throws -> [Range<Int>]? {
    guard let value = fields.value(name) else { return nil }
    let expected = "a list of at most 1024 [start, end], start not behind end"
    guard let elements = value.elements, elements.count <= 1024 else {
      throw APIError.field(name, value.found, expected: expected)
    }
    return try elements.enumerated().map { place, element in
      guard let ends = element.elements?.map(\.integer), ends.count == 2, let start = ends[0], let end = ends[1],
        start <= end
      else {
        let found = element.elements.map {
          "[\($0.prefix(3).map(\.found).joined(separator: ", "))\($0.count > 3 ? ", …" : "")]"
        }
        throw APIError.field(
          "\(name)[\(place)]", found ?? element.found, expected: "[start, end] in characters, start not behind end")
      }
      return start..<end
    }
  }

  func response(engine: Engine) async throws -> Response {
    let (passage, seed, alpha0) = (passage, seed, alpha0)
    var perOrder: [Double] = []
    // A few orders at a time, between which others have a turn.
    let step = max(1, 2048 / passage.tokens.count)
    var all = orders
    while perOrder.count < all {
      let (first, count) = (perOrder.count, min(step, all - perOrder.count))
      let (scores, hasOneOrder) = try await engine.perform { access in
        var likelihood = access.likelihood
        if let alpha0 { likelihood = try Likelihood(access.likelihood.network, alpha0: alpha0) }
        let scoring = try PassageScoring(likelihood, orders: count, seed: seed, firstOrder: first)
        return (try scoring.scores(of: [passage])[0].perOrder, likelihood.method.hasOneOrder)
      }
      perOrder += scores
      if hasOneOrder { all = 1 }
    }
    return .json([
      "object": "score", "model": .text(model.name),
      "log_probability": .logProbability(Likelihood.importanceWeighted(perOrder)),
      "tokens": .count(passage.scoredCount), "orders": .count(perOrder.count),
      "per_order": .array(perOrder.map { .logProbability($0) }), "seed": .number(Double(Int64(bitPattern: seed))),
    ])
  }
}
