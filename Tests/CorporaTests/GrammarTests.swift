import Corpora
import Foundation
import Randomness
import Testing

@Suite("Grammars")
struct GrammarTests {
  @Test func everySentenceOfASmallLanguage() throws {
    let grammar = try Grammar(start: SmallSymbol.sentence)
    var scorer = GrammarScorer(grammar)
    let sentences = SmallSymbol.sentences
    #expect(sentences.count == 16)
    var total = 0.0
    var entropy = 0.0
    var length = 0.0
    for (text, probability) in sentences {
      #expect(abs(scorer.logProbability(ofSentence: text) - log(probability)) < 1e-12)
      total += probability
      entropy -= probability * log(probability)
      length += probability * Double(text.count + 1)
    }
    #expect(abs(total - 1) < 1e-12)
    #expect(abs(grammar.entropyPerSentence - entropy) < 1e-12)
    #expect(abs(grammar.expectedSentenceLength - length) < 1e-12)
    #expect(abs(grammar.entropyPerCharacter - entropy / length) < 1e-12)
  }

  @Test func prefixesOfASmallLanguage() throws {
    var scorer = GrammarScorer(try Grammar(start: SmallSymbol.sentence))
    let sentences = SmallSymbol.sentences
    for prefix in sentences.keys.flatMap({ text in (0...text.count).map { String(text.prefix($0)) } }) {
      let sum = sentences.reduce(0) { $0 + ($1.key.hasPrefix(prefix) ? $1.value : 0) }
      #expect(abs(exp(scorer.logProbability(of: prefix)) - sum) < 1e-12)
    }
    // Sentences of a text are independent.
    let first = scorer.logProbability(of: "a dog.")
    #expect(abs(scorer.logProbability(of: "a dog. a dog. ") - 2 * first) < 1e-12)
  }

  /// "x y" has two derivations: their probabilities add up.
  @Test func ambiguousSentences() throws {
    let grammar = try Grammar(
      start: TableSymbol("S", ["S": [["x", "Y"], ["X", "y"]], "X": [["x"], ["y"]], "Y": [["y"]]]))
    var scorer = GrammarScorer(grammar)
    #expect(abs(scorer.logProbability(ofSentence: "x y.") - log(0.75)) < 1e-12)
    #expect(abs(scorer.logProbability(ofSentence: "y y.") - log(0.25)) < 1e-12)
  }

  @Test func wholeSentencesOnly() throws {
    var scorer = GrammarScorer(try Grammar(start: SmallSymbol.sentence))
    #expect(scorer.logProbability(of: "") == 0)
    for text in ["", ".", "a dog", " a dog.", "a dog. ", "a dog. a dog.", "a  dog.", "a dog..", "dog."] {
      #expect(scorer.logProbability(ofSentence: text) == -.infinity)
    }
  }

  @Test func wordsOfAnyScript() throws {
    let grammar = try Grammar(start: TableSymbol("S", ["S": [["für", "日本"], ["für", "日"]]]))
    var scorer = GrammarScorer(grammar)
    #expect(scorer.logProbability(of: "für 日") == 0)
    #expect(abs(scorer.logProbability(of: "für 日本. fü") - log(0.5)) < 1e-12)
    #expect(abs(grammar.expectedSentenceLength - 7.5) < 1e-12)
    #expect(grammar.alphabet == [" ", ".", "f", "r", "ü", "日", "本"])
  }

  @Test(arguments: [
    (["S": []], "phrase S has no productions; expected at least one"),
    (["S": [["a", "A"]], "A": [["b", "S"]]], "phrase S contains itself; expected recursion that ends at some depth"),
    (["S": [["a"], ["b", "S"]]], "phrase S contains itself; expected recursion that ends at some depth"),
    (["S": [["a b"]]], #"word "a b": expected at least one character, no space and no full stop"#),
    (["S": [["a."]]], #"word "a.": expected at least one character, no space and no full stop"#),
    (["S": [[""]]], #"word "": expected at least one character, no space and no full stop"#),
    (["S": [["a"], ["A"]], "A": [[]]], "start S is a word or can be empty; expected a phrase of at least one word"),
    ([:], "start S is a word or can be empty; expected a phrase of at least one word"),
  ])
  func impossibleRules(table: [String: [[String]]], message: String) throws {
    let error = try #require(throws: GrammarError.self) { try Grammar(start: TableSymbol("S", table)) }
    #expect(error.description == message)
  }

  @Test(arguments: [(0, "0.0"), (-1, "-1.0"), (.infinity, "inf"), (.nan, "nan")] as [(Double, String)])
  func impossibleWeights(weight: Double, text: String) throws {
    let error = try #require(throws: GrammarError.self) {
      try Grammar(start: TableSymbol("S", ["S": [["a"], ["b"]]], weight: weight))
    }
    #expect(error.description == "phrase S has a production of weight \(text); expected more than 0")
  }

  @Test func textsAreCutToTheirLength() throws {
    let grammar = try Grammar(start: SmallSymbol.sentence)
    var scorer = GrammarScorer(grammar)
    for length in 0..<60 {
      var generator = CounterGenerator(seed: 1, stream: .toyLanguage, major: length)
      let text = grammar.text(length: length, using: &generator)
      #expect(text.count == length)
      #expect(scorer.logProbability(of: text) > -.infinity)
    }
  }
}

/// A language that is small enough to list, in which some words and sentences are the beginning of others.
private enum SmallSymbol: GrammarSymbol {
  case sentence, adjective, noun
  case written(String)

  var word: String? {
    if case .written(let word) = self { word } else { nil }
  }

  var productions: [Grammar.Production<SmallSymbol>] {
    switch self {
    case .sentence:
      [.init(3, .written("a"), .adjective, .noun), .init(1, .noun, .written("or"), .noun), .init(1, .written("do"))]
    case .adjective: [.init(1), .init(1, .written("old"))]
    case .noun: [.init(2, .written("dog")), .init(1, .written("dogs")), .init(1, .written("cat"))]
    case .written: []
    }
  }

  /// All sentences with their probabilities, written down independently of the grammar's own code.
  static var sentences: [String: Double] {
    let nouns = ["dog": 0.5, "dogs": 0.25, "cat": 0.25]
    var result = ["do.": 0.2]
    for (noun, probability) in nouns {
      result["a \(noun)."] = 0.3 * probability
      result["a old \(noun)."] = 0.3 * probability
      for (other, otherProbability) in nouns { result["\(noun) or \(other)."] = 0.2 * probability * otherProbability }
    }
    return result
  }
}

/// A symbol that is a phrase if the table has a row for it, and a word otherwise. Productions are equally likely.
private struct TableSymbol: GrammarSymbol, CustomStringConvertible {
  let description: String
  let table: [String: [[String]]]
  let lastWeight: Double

  init(_ name: String, _ table: [String: [[String]]], weight: Double = 1) {
    description = name
    self.table = table
    lastWeight = weight
  }

  var word: String? { table[description] == nil ? description : nil }

  var productions: [Grammar.Production<TableSymbol>] {
    let rows = table[description] ?? []
    return rows.enumerated().map { index, names in
      .init(
        index == rows.count - 1 ? lastWeight : 1,
        symbols: names.map { TableSymbol($0, table, weight: lastWeight) })
    }
  }
}
