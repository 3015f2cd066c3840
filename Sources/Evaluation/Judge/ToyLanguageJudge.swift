import Corpora

/// The toy language's own rules as a judge: the only one that cannot be wrong.
///
/// A text that the language does not have is infinitely unlikely from its first wrong character on; an end of text is
/// one, since the language's stream of sentences never ends. The window is as
/// long as the text, since the rules of what follows depend on all that came before.
public struct ToyLanguageJudge: Judge {
  public let contextLength = Int.max
  public var endOfText: Int32 { ToyLanguage.tokenizer.endOfText }
  public let endsTexts = false
  public var vocabularySize: Int { ToyLanguage.tokenizer.vocabularySize }

  /// The judge of the one toy language.
  public init() {}

  public func logProbabilities(of windows: [[Int32]]) -> [[Double]] {
    var scorer = GrammarScorer(ToyLanguage.grammar)
    let characters = ToyLanguage.tokenizer.characters
    return windows.map { window in
      var state: GrammarScorer.State? = scorer.start
      return window.map { token in
        guard let current = state, token != endOfText,
          let transition = scorer.transitions(from: current)[characters[Int(token)]]
        else {
          state = nil
          return -.infinity
        }
        state = transition.next
        return transition.logProbability
      }
    }
  }
}
