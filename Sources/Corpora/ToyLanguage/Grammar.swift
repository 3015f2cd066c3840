import Foundation

/// A probabilistic context-free grammar whose sentences are written as text.
///
/// A sentence starts as one phrase. Each phrase is replaced by one of its productions, chosen by their weights: a
/// list of words and further phrases. When only words are left, they are joined by single spaces, and a full stop
/// ends the sentence. A text is an endless stream of independent sentences, a space between one and the next.
///
/// No phrase may contain itself, directly or through others: recursion is bounded by phrases that count their depth.
/// So the language is finite, though it may be huge, and its figures are exact sums. The entropies hold for
/// *unambiguous* grammars, in which no sentence has two derivations; that is up to the rules and not checked.
/// (`GrammarScorer` is exact for ambiguous ones too.)
public struct Grammar: Sendable {
  /// One way to replace a phrase. Weights count relative to those of the phrase's other productions.
  public struct Production<Symbol: GrammarSymbol>: Sendable {
    /// How often it is chosen, in proportion to the others of its phrase.
    public let weight: Double
    /// What the phrase becomes.
    public let symbols: [Symbol]

    /// A phrase may be replaced by nothing: by no symbols.
    public init(_ weight: Double, symbols: [Symbol]) {
      self.weight = weight
      self.symbols = symbols
    }

    /// The same with the symbols one after another.
    public init(_ weight: Double, _ symbols: Symbol...) {
      self.init(weight, symbols: symbols)
    }
  }

  /// A symbol by its index in `words` or `choices`.
  enum Part: Hashable {
    case word(Int)
    case phrase(Int)
  }

  struct Choice {
    let probability: Double
    let parts: [Part]
  }

  /// The choices of each phrase; a phrase stands after all phrases that it contains, the start phrase last.
  let choices: [[Choice]]
  let words: [String]
  var start: Part { .phrase(choices.count - 1) }

  /// What a sentence ends with, and what stands before every word but a text's first.
  static let fullStop: Unicode.Scalar = "."
  static let space: Unicode.Scalar = " "

  /// A grammar from its rules.
  ///
  /// - Parameter start: the phrase that every sentence is. Only finitely many symbols can be reached from it.
  /// - Throws: `GrammarError` if a phrase contains itself, has no productions or a weight that isn't positive, if a
  ///   word is empty or contains a space or a full stop, or if a sentence can be without words.
  public init<Symbol: GrammarSymbol>(start: Symbol) throws(GrammarError) {
    var compiler = GrammarCompiler<Symbol>()
    guard case .phrase(let index) = try compiler.compile(start), !compiler.canBeEmpty[index] else {
      throw .noSentence(start: "\(start)")
    }
    choices = compiler.choices
    words = compiler.words
  }

  /// All characters that a text can hold, sorted.
  public var alphabet: [Unicode.Scalar] {
    Set(words.flatMap(\.unicodeScalars) + [Self.space, Self.fullStop]).sorted()
  }
}

/// A word, or a phrase with the ways to replace it. A grammar's rules are an enumeration that conforms.
public protocol GrammarSymbol: Hashable, Sendable {
  /// What the symbol is written as; nil for a phrase.
  var word: String? { get }

  /// The ways to replace a phrase; not asked of a word.
  var productions: [Grammar.Production<Self>] { get }
}

/// Rules that make no grammar.
public enum GrammarError: Error, Hashable, CustomStringConvertible {
  /// A phrase that contains itself without end.
  case recursion(phrase: String)
  /// A phrase without productions.
  case noProductions(phrase: String)
  /// A weight that is not a number above 0.
  case weight(Double, phrase: String)
  /// A word that is empty, or holds a space or a full stop.
  case word(String)
  /// A start that is a word, or can be empty.
  case noSentence(start: String)

  public var description: String {
    switch self {
    case .recursion(let phrase): "phrase \(phrase) contains itself; expected recursion that ends at some depth"
    case .noProductions(let phrase): "phrase \(phrase) has no productions; expected at least one"
    case .weight(let weight, let phrase): "phrase \(phrase) has a production of weight \(weight); expected more than 0"
    case .word(let word): "word \(word.debugDescription): expected at least one character, no space and no full stop"
    case .noSentence(let start): "start \(start) is a word or can be empty; expected a phrase of at least one word"
    }
  }
}
