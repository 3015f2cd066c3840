import Randomness
import Tokenizers

/// A small artificial language in English words, of which everything is known: any amount of text, the probability of
/// every text, the best loss that a model can reach, and whether a sentence is right.
///
/// A small character model learns its words and its local order in minutes. Its agreement over distance (see
/// `ToySymbol`) is what tells samplers apart that write many characters at once.
///
/// Its texts are sentences separated by spaces: "the dogs run. if the girl waits then this fox sees itself."
public enum ToyLanguage {
  /// The rules, with probabilities. They are unambiguous.
  public static let grammar: Grammar = {
    do {
      return try Grammar(start: ToySymbol.sentence)
    } catch {
      fatalError("\(error)")
    }
  }()

  /// The characters of the language, all of them, whatever text is at hand.
  public static let tokenizer: CharacterTokenizer = {
    CharacterTokenizer(text: String(String.UnicodeScalarView(grammar.alphabet)))
  }()

  /// Texts of exactly `length` characters. Each begins with a sentence and is cut where it is full.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - length: the number of characters in each.
  ///   - seed: every seed has its own endless list of blocks.
  ///   - first: where in that list to begin: a validation set starts where the training set ends.
  /// - Precondition: no number is negative.
  public static func blocks(count: Int, length: Int, seed: UInt64, startingAt first: Int = 0) -> [String] {
    (first..<first + count).map { index in
      var generator = CounterGenerator(seed: seed, stream: .toyLanguage, major: index)
      return grammar.text(length: length, using: &generator)
    }
  }

  /// The same texts as tokens of `tokenizer`.
  ///
  /// - Precondition: a text has at least one token.
  public static func tokenBlocks(count: Int, length: Int, seed: UInt64, startingAt first: Int = 0) -> TokenBlocks {
    do {
      let tokens = try blocks(count: count, length: length, seed: seed, startingAt: first).flatMap(tokenizer.encode)
      return TokenBlocks(cutting: tokens, length: length)
    } catch {
      fatalError("\(error)")
    }
  }

  /// How much of `samples` the grammar accepts, and how likely they are.
  public static func quality(of samples: [String], skippingFirst: Bool = false) -> GrammarQuality {
    var scorer = GrammarScorer(grammar)
    return scorer.quality(of: samples, skippingFirst: skippingFirst)
  }
}
