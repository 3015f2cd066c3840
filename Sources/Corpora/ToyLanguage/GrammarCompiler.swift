/// Turns a grammar's symbols into indices, and checks the rules on the way.
struct GrammarCompiler<Symbol: GrammarSymbol> {
  private(set) var choices: [[Grammar.Choice]] = []
  private(set) var words: [String] = []

  /// By phrase, whether it can be replaced by nothing.
  private(set) var canBeEmpty: [Bool] = []

  private var parts: [Symbol: Grammar.Part] = [:]

  /// The phrases whose replacement is under way.
  private var open: Set<Symbol> = []

  /// The index of `symbol`, after all symbols within it got theirs.
  mutating func compile(_ symbol: Symbol) throws(GrammarError) -> Grammar.Part {
    if let part = parts[symbol] { return part }
    let part: Grammar.Part = if let word = symbol.word { try compile(word: word) } else { try compile(phrase: symbol) }
    parts[symbol] = part
    return part
  }

  private mutating func compile(word: String) throws(GrammarError) -> Grammar.Part {
    let isSpelled = !word.unicodeScalars.contains { $0 == Grammar.space || $0 == Grammar.fullStop }
    guard !word.isEmpty, isSpelled else { throw .word(word) }
    words.append(word)
    return .word(words.count - 1)
  }

  private mutating func compile(phrase: Symbol) throws(GrammarError) -> Grammar.Part {
    guard open.insert(phrase).inserted else { throw .recursion(phrase: "\(phrase)") }
    defer { open.remove(phrase) }
    let productions = phrase.productions
    guard !productions.isEmpty else { throw .noProductions(phrase: "\(phrase)") }
    let total = productions.reduce(0) { $0 + $1.weight }
    var choices: [Grammar.Choice] = []
    for production in productions {
      guard production.weight > 0, production.weight.isFinite else {
        throw .weight(production.weight, phrase: "\(phrase)")
      }
      var parts: [Grammar.Part] = []
      for symbol in production.symbols { parts.append(try compile(symbol)) }
      choices.append(.init(probability: production.weight / total, parts: parts))
    }
    canBeEmpty.append(choices.contains { $0.parts.allSatisfy(isEmpty) })
    self.choices.append(choices)
    return .phrase(self.choices.count - 1)
  }

  private func isEmpty(_ part: Grammar.Part) -> Bool {
    if case .phrase(let index) = part { canBeEmpty[index] } else { false }
  }
}
