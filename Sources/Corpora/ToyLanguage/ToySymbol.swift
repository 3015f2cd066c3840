/// The rules of the toy language.
///
/// What makes it hard to write all at once are pairs of words that must agree over a distance: subject and verb
/// across relative clauses and places ("the old dogs that the girl near the houses sees run."), subject and reflexive
/// ("the girl who likes the boys sees herself."), "either" and "or", "if" and "then".
///
/// Every sentence has one derivation, because a noun has at most one modifier after it, each noun names its kind, and
/// no verb is both transitive and intransitive.
enum ToySymbol: GrammarSymbol, ExpressibleByStringLiteral {
  case word(String)
  case sentence
  case clause(depth: Int)
  case clauseWithoutObject(depth: Int)
  case nounPhrase(Kind, depth: Int)
  case anyNounPhrase(depth: Int)
  case modifier(Kind, depth: Int)
  case verbPhrase(Kind, depth: Int)
  case place
  case preposition
  case determiner(isPlural: Bool)
  case adjective
  case noun(Kind)
  case landmark(isPlural: Bool)
  case transitiveVerb(isPlural: Bool)
  case intransitiveVerb(isPlural: Bool)

  /// What a verb, a reflexive and a relative pronoun agree with.
  enum Kind: CaseIterable {
    case male, female, animal, people, animals

    var isPlural: Bool { self == .people || self == .animals }
    var pronoun: String { self == .animal || self == .animals ? "that" : "who" }

    var reflexive: String {
      switch self {
      case .male: "himself"
      case .female: "herself"
      case .animal: "itself"
      case .people, .animals: "themselves"
      }
    }

    var nouns: [String] {
      switch self {
      case .male: ["boy", "king"]
      case .female: ["girl", "queen"]
      case .animal: ["dog", "cat", "fox"]
      case .people: ["boys", "kings", "girls", "queens"]
      case .animals: ["dogs", "cats", "foxes"]
      }
    }
  }

  init(stringLiteral word: String) { self = .word(word) }

  var word: String? {
    if case .word(let word) = self { word } else { nil }
  }

  typealias Production = Grammar.Production<ToySymbol>

  /// The ways to replace a phrase. Inside another clause, and below a noun, there is less depth left.
  var productions: [Production] {
    switch self {
    case .word: []
    case .sentence:
      [
        Production(14, .clause(depth: 2)),
        Production(3, "either", .clause(depth: 1), "or", .clause(depth: 1)),
        Production(3, "if", .clause(depth: 1), "then", .clause(depth: 1)),
      ]
    case .clause(let depth):
      Kind.allCases.map { Production(1, .nounPhrase($0, depth: depth), .verbPhrase($0, depth: depth)) }
    case .anyNounPhrase(let depth):
      Kind.allCases.map { Production(1, .nounPhrase($0, depth: depth)) }
    case .nounPhrase(let kind, let depth):
      [Production(1, .determiner(isPlural: kind.isPlural), .adjective, .noun(kind), .modifier(kind, depth: depth))]
    case .modifier(_, depth: 0):
      [Production(5), Production(1, .place)]
    case .modifier(let kind, let depth):
      [
        Production(15),
        Production(5, .place),
        Production(5, .word(kind.pronoun), .verbPhrase(kind, depth: depth - 1)),
        Production(5, .word(kind.pronoun), .clauseWithoutObject(depth: depth - 1)),
      ]
    case .clauseWithoutObject(let depth):
      Kind.allCases.map { Production(1, .nounPhrase($0, depth: depth), .transitiveVerb(isPlural: $0.isPlural)) }
    case .verbPhrase(let kind, let depth):
      [
        Production(3, .intransitiveVerb(isPlural: kind.isPlural)),
        Production(4, .transitiveVerb(isPlural: kind.isPlural), .anyNounPhrase(depth: max(0, depth - 1))),
        Production(3, .transitiveVerb(isPlural: kind.isPlural), .word(kind.reflexive)),
      ]
    case .place:
      [false, true].map { Production(1, .preposition, .determiner(isPlural: $0), .landmark(isPlural: $0)) }
    case .preposition: Self.words(["near", "behind", "beside"])
    case .determiner(let isPlural):
      [Production(3, "the")] + (isPlural ? Self.words(["some", "these"]) : Self.words(["every", "this"]))
    case .adjective:
      [Production(12)] + Self.words(["old", "young", "quick", "lazy"])
    case .noun(let kind): Self.words(kind.nouns)
    case .landmark(let isPlural): Self.words(isPlural ? ["houses", "trees", "rivers"] : ["house", "tree", "river"])
    case .transitiveVerb(let isPlural):
      Self.words(isPlural ? ["see", "like", "chase", "help"] : ["sees", "likes", "chases", "helps"])
    case .intransitiveVerb(let isPlural):
      Self.words(isPlural ? ["run", "sleep", "jump", "wait"] : ["runs", "sleeps", "jumps", "waits"])
    }
  }

  /// A choice between words, each as likely as the others.
  private static func words(_ words: [String]) -> [Production] {
    words.map { Production(1, .word($0)) }
  }
}
