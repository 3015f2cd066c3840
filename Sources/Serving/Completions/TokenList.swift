import Files
import Tokenizers

/// The `logprobs` of a choice, which grow as its tokens become final.
struct TokenList {
  private let model: ServedModel
  private let alternativeCount: Int
  /// The last tokens, and where the next one begins: a token's length may depend on its neighbours, if it is a part of
  /// a character.
  private var last: [Int32] = []
  private var offset = 0

  init(_ model: ServedModel, alternativeCount: Int) {
    self.model = model
    self.alternativeCount = alternativeCount
  }

  /// What is told of further tokens.
  mutating func add(_ tokens: [ChoiceText.Token]) -> JSONValue {
    var (names, numbers, tops, offsets): ([JSONValue], [JSONValue], [JSONValue], [JSONValue]) = ([], [], [], [])
    for token in tokens {
      names.append(.text(model.names[token.token]))
      numbers.append(token.logProbability.map { .logProbability($0) } ?? .null)
      tops.append(top(of: token))
      offsets.append(.count(offset))
      advance(over: token.token)
    }
    return [
      "tokens": .array(names), "token_logprobs": .array(numbers), "top_logprobs": .array(tops),
      "text_offset": .array(offsets),
    ]
  }

  /// The likeliest tokens and the one that stands there. What is equal is written from the same number.
  private func top(of token: ChoiceText.Token) -> JSONValue {
    guard let own = token.logProbability else { return .null }
    var all = token.alternatives.prefix(alternativeCount).map { ($0.token, $0.logProbability) }
    if !all.contains(where: { $0.0 == token.token }) { all.append((token.token, own)) }
    return .object(all.map { (Array(model.names[$0.0].utf8), .logProbability($0.1)) })
  }

  private mutating func advance(over token: Int32) {
    let before = model.tokenizer.decode(last).unicodeScalars.count
    last.append(token)
    offset = max(offset, offset + model.tokenizer.decode(last).unicodeScalars.count - before)
    if last.count > 4 { last.removeFirst() }
  }
}
