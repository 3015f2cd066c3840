import Corpora
import Foundation
import Randomness
import Testing

@Suite("Toy language")
struct ToyLanguageTests {
  let grammar = ToyLanguage.grammar

  private func sentences(_ count: Int, seed: UInt64) -> [Grammar.Sentence] {
    var generator = CounterGenerator(seed: seed, stream: .toyLanguage)
    return (0..<count).map { _ in grammar.sentence(using: &generator) }
  }

  @Test func alphabet() {
    #expect(ToyLanguage.tokenizer.characters == Array(" .abcdefghijklmnopqrstuvwxyz".unicodeScalars))
    #expect(ToyLanguage.tokenizer.vocabularySize == 29)
  }

  @Test func sentencesAreOfModerateLength() {
    let lengths = sentences(5000, seed: 1).map(\.text.count)
    #expect(Double(lengths.count { 15...90 ~= $0 }) / Double(lengths.count) > 0.85)
    #expect((lengths.max() ?? 0) < 256)
    let words = Set(sentences(5000, seed: 1).flatMap { $0.text.dropLast().split(separator: " ") })
    #expect(words.count == 58)
  }

  /// Holds for every sentence only if none has a second derivation.
  @Test func probabilityOfASentenceIsThatOfItsDerivation() {
    var scorer = GrammarScorer(grammar)
    for sentence in sentences(3000, seed: 2) {
      #expect(abs(scorer.logProbability(ofSentence: sentence.text) - sentence.logProbability) < 1e-9)
    }
  }

  @Test func entropyIsTheMeanOfTheScorersFigures() {
    var scorer = GrammarScorer(grammar)
    let texts = sentences(8000, seed: 3).map(\.text)
    let surprisals = texts.map { -scorer.logProbability(ofSentence: $0) }
    #expect(abs(surprisals.mean - grammar.entropyPerSentence) < 4 * surprisals.standardError)
    let lengths = texts.map { Double($0.count + 1) }
    #expect(abs(lengths.mean - grammar.expectedSentenceLength) < 4 * lengths.standardError)
    #expect(abs(surprisals.mean / lengths.mean - grammar.entropyPerCharacter) < 0.015)
  }

  @Test func continuationsShareTheProbabilityOfTheirPrefix() {
    var scorer = GrammarScorer(grammar)
    for text in ToyLanguage.blocks(count: 20, length: 300, seed: 4) {
      var state = scorer.start
      var prefix = ""
      var logProbability = 0.0
      for character in text.unicodeScalars {
        let transitions = scorer.transitions(from: state)
        let sum = transitions.values.reduce(0) { $0 + exp($1.logProbability) }
        #expect(abs(sum - 1) < 1e-12)
        guard let transition = transitions[character] else {
          Issue.record("no \(character) after \(prefix)")
          return
        }
        prefix.unicodeScalars.append(character)
        logProbability += transition.logProbability
        state = transition.next
      }
      #expect(scorer.logProbability(of: text) == logProbability)
    }
  }

  /// The same through whole texts' probabilities, with nothing of the scorer's inside.
  @Test func prefixProbabilitiesAddUp() {
    var scorer = GrammarScorer(grammar)
    for text in ToyLanguage.blocks(count: 2, length: 80, seed: 5) {
      for length in 0..<text.count {
        let prefix = String(text.prefix(length))
        let sum = ToyLanguage.tokenizer.characters.reduce(0) {
          $0 + exp(scorer.logProbability(of: prefix + String($1)))
        }
        let expected = exp(scorer.logProbability(of: prefix))
        #expect(abs(sum - expected) <= 1e-12 * expected)
      }
    }
  }

  @Test func cachedAndFreshScorersAgree() {
    var warm = GrammarScorer(grammar)
    let texts = ToyLanguage.blocks(count: 20, length: 200, seed: 6)
    for text in texts { _ = warm.logProbability(of: text) }
    for text in texts.reversed() {
      var fresh = GrammarScorer(grammar)
      #expect(abs(fresh.logProbability(of: text) - warm.logProbability(of: text)) < 1e-10)
    }
  }

  @Test(arguments: [
    "the dogs run.", "the old dogs that the girl near the houses sees run.",
    "the girl who likes the boys sees herself.",
    "either the king waits or these queens help themselves.",
    "if the fox runs then every cat that chases the dogs jumps.",
    "the boys who the queen who the king likes helps sleep.",
  ])
  func grammatical(sentence: String) {
    var scorer = GrammarScorer(grammar)
    #expect(scorer.logProbability(ofSentence: sentence) > -.infinity)
  }

  @Test(arguments: [
    "the dogs runs.", "the dog run.", "the old dogs that the girl near the houses sees runs.",
    "the old dogs that the girl near the houses see run.", "the girl who likes the boys sees themselves.",
    "the girl who likes the boys sees himself.", "the girl who like the boys sees herself.",
    "the girl that runs sleeps.",
    "either the king waits.", "either the king waits then the dogs run.", "if the fox runs or the dogs run.",
    "these dog runs.", "every dogs run.", "the dogs run", "The dogs run.", "the dogs  run.", "the dogs run .",
  ])
  func ungrammatical(sentence: String) {
    var scorer = GrammarScorer(grammar)
    #expect(scorer.logProbability(ofSentence: sentence) == -.infinity)
  }

  @Test func wrongAgreementIsNoticedAtItsFirstCharacter() {
    var scorer = GrammarScorer(grammar)
    #expect(scorer.logProbability(of: "the dogs run") > -.infinity)
    #expect(scorer.logProbability(of: "the dogs runs") == -.infinity)
    #expect(scorer.logProbability(of: "the girl sees h") > -.infinity)
    #expect(scorer.logProbability(of: "the girl sees hi") == -.infinity)
  }

  @Test func blocks() throws {
    let blocks = ToyLanguage.blocks(count: 6, length: 100, seed: 7)
    var scorer = GrammarScorer(grammar)
    #expect(blocks.allSatisfy { $0.count == 100 && scorer.logProbability(of: $0) > -.infinity })
    #expect(Set(blocks).count == 6)
    #expect(ToyLanguage.blocks(count: 2, length: 100, seed: 7, startingAt: 4) == Array(blocks[4...]))
    #expect(ToyLanguage.blocks(count: 6, length: 40, seed: 7) == blocks.map { String($0.prefix(40)) })
    #expect(ToyLanguage.blocks(count: 6, length: 100, seed: 8) != blocks)

    let tokens = ToyLanguage.tokenBlocks(count: 6, length: 100, seed: 7)
    #expect(tokens.length == 100)
    #expect(tokens.map { ToyLanguage.tokenizer.decode($0) } == blocks)
  }
}

@Suite("Grammar quality")
struct GrammarQualityTests {
  @Test func generatedTextsAreRight() throws {
    let texts = ToyLanguage.blocks(count: 200, length: 128, seed: 1)
    let quality = ToyLanguage.quality(of: texts)
    #expect(quality.sampleCount == 200)
    #expect(quality.grammaticalSampleCount == 200)
    #expect(quality.grammaticalShare == 1)
    #expect(quality.sentenceCount == texts.reduce(0) { $0 + $1.count { $0 == "." } })
    #expect(quality.grammaticalCharacterCount == 200 * 128)
    var scorer = GrammarScorer(ToyLanguage.grammar)
    let expected = texts.map { scorer.logProbability(of: $0) / 128 }.mean
    #expect(abs(try #require(quality.logProbabilityPerCharacter) - expected) < 1e-9)
    #expect(abs(-expected - ToyLanguage.grammar.entropyPerCharacter) < 0.03)
  }

  @Test(arguments: [
    ("the dogs run. the dogs runs. the d", 2, 1, 0),
    ("the dogs run. the d", 1, 1, 1),
    ("the dogs run. the dx", 1, 1, 0),
    ("the dogs run.the dogs run.", 2, 1, 0),
    ("the dogs run.  the dogs run.", 2, 1, 0),
    (" the dogs run. the dogs run.", 2, 1, 0),
    ("..", 2, 0, 0),
    ("the dogs", 0, 0, 1),
    ("\u{FFFD}he dogs run. the dogs run. ", 2, 1, 0),
    ("", 0, 0, 1),
  ])
  func sentencesAreCounted(sample: String, sentences: Int, grammatical: Int, grammaticalSamples: Int) {
    let quality = ToyLanguage.quality(of: [sample])
    #expect(quality.sentenceCount == sentences)
    #expect(quality.grammaticalSentenceCount == grammatical)
    #expect(quality.grammaticalSampleCount == grammaticalSamples)
    #expect(quality.grammaticalShare == (sentences == 0 ? nil : Double(grammatical) / Double(sentences)))
  }

  @Test func samplesAddUp() {
    let quality = ToyLanguage.quality(of: ["the dogs run. the dog run.", "the fox waits."])
    #expect(quality.sampleCount == 2)
    #expect(quality.grammaticalShare == 2.0 / 3)
    #expect(quality.grammaticalSampleCount == 1)
    #expect(quality.grammaticalCharacterCount == 14)
    #expect(ToyLanguage.quality(of: ["x"]).logProbabilityPerCharacter == nil)
  }
}

extension [Double] {
  fileprivate var mean: Double { reduce(0, +) / Double(count) }

  fileprivate var standardError: Double {
    let mean = mean
    return (reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count * (count - 1))).squareRoot()
  }
}
