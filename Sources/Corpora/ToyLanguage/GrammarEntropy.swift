import Foundation

extension Grammar {
  /// The entropy of a sentence in nats: the expected −log p of its derivation.
  ///
  /// With `H(A)` for the entropy of a phrase, and `p` and `s` for the probabilities and symbols of its productions,
  /// `H(A) = Σ p (−log p + Σ H(s))`: the choices below a symbol do not depend on those beside it.
  public var entropyPerSentence: Double {
    expectation(ofChoice: { -log($0.probability) }, ofWord: { _ in 0 })
  }

  /// The expected number of characters of a sentence in a text: its words, a space with each, and the full stop.
  public var expectedSentenceLength: Double {
    1 + expectation(ofChoice: { _ in 0 }, ofWord: { Double($0.unicodeScalars.count + 1) })
  }

  /// The entropy rate of a text in nats per character: the loss per character that no model can be below in the long
  /// run.
  ///
  /// Sentences are independent, so it is the entropy of one over its expected length. A text that starts with a
  /// sentence and is cut to a length has an expected −log p per character that differs slightly; measure it with
  /// `GrammarScorer`.
  public var entropyPerCharacter: Double {
    entropyPerSentence / expectedSentenceLength
  }

  /// The expectation of a sum over all choices and words of a sentence's derivation.
  private func expectation(ofChoice: (Choice) -> Double, ofWord: (String) -> Double) -> Double {
    var byPhrase: [Double] = []
    for choices in choices {
      let value = choices.reduce(0) { sum, choice in
        let parts = choice.parts.reduce(ofChoice(choice)) { sum, part in
          switch part {
          case .word(let index): sum + ofWord(words[index])
          case .phrase(let index): sum + byPhrase[index]
          }
        }
        return sum + choice.probability * parts
      }
      byPhrase.append(value)
    }
    return byPhrase[byPhrase.count - 1]
  }
}
