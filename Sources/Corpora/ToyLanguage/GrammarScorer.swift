import Foundation

/// Exact probabilities of texts under a grammar, one character at a time.
///
/// What is read so far leaves several derivations possible. Each is a `Configuration`: the word being written, how
/// much of it is written, and the stack of symbols still to come. A *state* is the set of configurations that agree
/// with the text, weighted by their probability given the text. The next character's probability is then the weight
/// of the configurations that write it, and those, advanced and weighted anew, are the next state; the product over a
/// text is the probability that the endless stream of sentences begins with it.
///
/// A grammar without unbounded recursion has finitely many states (the toy language about 20,000). They are built
/// when first met and kept, as the subset construction does for finite automata; from then on a character costs one
/// look-up.
public struct GrammarScorer: Sendable {
  /// What a text that was read so far says about what follows.
  public struct State: Hashable, Sendable {
    fileprivate let index: Int
  }

  /// What a character does in a state.
  public struct Transition: Hashable, Sendable {
    /// The log-probability, in nats, that this character comes next.
    public let logProbability: Double
    /// Where the language stands afterwards.
    public let next: State
  }

  private struct Configuration: Hashable {
    let word: Int
    /// How many characters of the word are written. The word's space counts as its first.
    let written: Int
    /// What follows the word.
    let rest: SymbolStacks.Stack
    var weight: Double
  }

  private let grammar: Grammar
  /// The characters of each word, with the space before it; at the end, the full stop.
  private let spellings: [[Unicode.Scalar]]
  private var stacks = SymbolStacks()
  private var states: [[Configuration]] = []
  private var indices: [[Configuration]: Int] = [:]
  private var transitions: [[Unicode.Scalar: Transition]?] = []

  /// The state before a text's first character, where a sentence begins.
  public private(set) var start = State(index: 0)

  /// The scorer of a grammar's language.
  public init(_ grammar: Grammar) {
    self.grammar = grammar
    spellings = grammar.words.map { [Grammar.space] + $0.unicodeScalars } + [[Grammar.fullStop]]
    var configurations: [Configuration] = []
    expand(stacks.pushing(grammar.start, onto: stacks.empty), weight: 1, into: &configurations)
    let boundary = state(of: configurations)
    // A sentence within a text begins with a space, and surely so; the text's first goes without it.
    guard let transition = transitions(from: boundary)[Grammar.space] else {
      fatalError("a sentence without words")
    }
    start = transition.next
  }

  /// The log-probability, in nats, that a text begins with `prefix`; −∞ if none does.
  public mutating func logProbability(of prefix: String) -> Double {
    var state = start
    var sum = 0.0
    for character in prefix.unicodeScalars {
      guard let transition = transitions(from: state)[character] else { return -.infinity }
      sum += transition.logProbability
      state = transition.next
    }
    return sum
  }

  /// The log-probability, in nats, of one whole sentence with its full stop; −∞ if the grammar has no such sentence.
  public mutating func logProbability(ofSentence sentence: some StringProtocol) -> Double {
    let firstStop = sentence.unicodeScalars.firstIndex(of: Grammar.fullStop)
    guard firstStop != nil, firstStop == sentence.unicodeScalars.indices.last else { return -.infinity }
    return logProbability(of: String(sentence))
  }

  /// The characters that can come next. All others have probability 0.
  ///
  /// - Parameter state: `start`, or the `next` of a transition that this scorer gave.
  public mutating func transitions(from state: State) -> [Unicode.Scalar: Transition] {
    if let known = transitions[state.index] { return known }
    let byCharacter = Dictionary(grouping: states[state.index]) { spellings[$0.word][$0.written] }
    var result: [Unicode.Scalar: Transition] = [:]
    // In a fixed order, because the order in which states are met decides how sums are rounded.
    for (character, configurations) in byCharacter.sorted(by: { $0.key < $1.key }) {
      let probability = configurations.reduce(0) { $0 + $1.weight }
      var advanced: [Configuration] = []
      for configuration in configurations {
        advance(configuration, weight: configuration.weight / probability, into: &advanced)
      }
      result[character] = Transition(logProbability: log(probability), next: self.state(of: advanced))
    }
    transitions[state.index] = result
    return result
  }

  /// The configuration after its next character.
  private mutating func advance(_ old: Configuration, weight: Double, into result: inout [Configuration]) {
    if old.written + 1 < spellings[old.word].count {
      result.append(.init(word: old.word, written: old.written + 1, rest: old.rest, weight: weight))
    } else {
      expand(old.rest, weight: weight, into: &result)
    }
  }

  /// The configurations of `stack`: phrases at its top are replaced until each begins with a word.
  private mutating func expand(
    _ stack: SymbolStacks.Stack, weight: Double, into result: inout [Configuration]
  ) {
    guard let (top, rest) = stacks.popping(stack) else {
      let next = stacks.pushing(grammar.start, onto: stacks.empty)
      return result.append(.init(word: grammar.words.count, written: 0, rest: next, weight: weight))
    }
    switch top {
    case .word(let word):
      result.append(.init(word: word, written: 0, rest: rest, weight: weight))
    case .phrase(let phrase):
      for choice in grammar.choices[phrase] {
        let replaced = choice.parts.reversed().reduce(rest) { stacks.pushing($1, onto: $0) }
        expand(replaced, weight: weight * choice.probability, into: &result)
      }
    }
  }

  /// The state of `configurations`, the known one if there is one. Equal configurations (in an ambiguous grammar)
  /// become one.
  private mutating func state(of configurations: [Configuration]) -> State {
    var merged: [Configuration] = []
    for configuration in configurations.sorted(by: { Self.key($0) < Self.key($1) }) {
      if let last = merged.last, Self.key(last) == Self.key(configuration) {
        merged[merged.count - 1].weight += configuration.weight
      } else {
        merged.append(configuration)
      }
    }
    if let index = indices[merged] { return State(index: index) }
    indices[merged] = states.count
    states.append(merged)
    transitions.append(nil)
    return State(index: states.count - 1)
  }

  private static func key(_ configuration: Configuration) -> (Int, Int, Int) {
    (configuration.word, configuration.written, configuration.rest.index)
  }
}
