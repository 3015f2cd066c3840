import Foundation

/// What a grammar says about texts that a model wrote.
public struct GrammarQuality: Hashable, Sendable {
  /// The number of samples.
  public var sampleCount = 0

  /// The number of complete sentences. The last one of a sample is not counted where the sample's end cuts it.
  public var sentenceCount = 0

  /// How many of these sentences the grammar has.
  public var grammaticalSentenceCount = 0

  /// The sum of these sentences' log-probabilities, in nats, and the number of their characters.
  public var sentenceLogProbability = 0.0
  /// Characters of the grammatical sentences.
  public var grammaticalSentenceCharacterCount = 0

  /// The samples that a text of the grammar can begin with: those in which everything is right, the cut last sentence
  /// too.
  public var grammaticalSampleCount = 0

  /// The sum of the log-probabilities of these samples, in nats.
  public var logProbability = 0.0

  /// The number of characters in these samples.
  public var grammaticalCharacterCount = 0

  /// The share of complete sentences that are grammatical; nil without a complete sentence.
  public var grammaticalShare: Double? {
    sentenceCount == 0 ? nil : Double(grammaticalSentenceCount) / Double(sentenceCount)
  }

  /// The standard error of ``grammaticalShare``, sentences being independent.
  public var grammaticalError: Double? {
    grammaticalShare.map { ($0 * (1 - $0) / Double(sentenceCount)).squareRoot() }
  }

  /// The true perplexity per character of the grammatical sentences: near that of the language itself if they are as
  /// various as its own; lower if they are those that come most often. nil if there are none.
  public var sentencePerplexity: Double? {
    grammaticalSentenceCharacterCount == 0
      ? nil : exp(-sentenceLogProbability / Double(grammaticalSentenceCharacterCount))
  }

  /// The true log-probability per character, in nats, of the grammatical samples; nil if there are none. The others
  /// have probability 0 and cannot be averaged.
  public var logProbabilityPerCharacter: Double? {
    grammaticalCharacterCount == 0 ? nil : logProbability / Double(grammaticalCharacterCount)
  }
}

extension GrammarScorer {
  /// Judges samples that each should begin with a sentence. A sentence ends with its full stop, and between two
  /// stands one space: a sentence without it, or with more, is wrong.
  ///
  /// - Parameters:
  ///   - samples: the texts.
  ///   - skippingFirst: leaves out what stands before the first full stop. A network that sees only how far
  ///     apart positions are cannot know where a text begins, so its samples may begin inside a sentence.
  public mutating func quality(of samples: [String], skippingFirst: Bool = false) -> GrammarQuality {
    var quality = GrammarQuality()
    for sample in samples {
      quality.sampleCount += 1
      let sentences = Self.completeSentences(of: sample).dropFirst(skippingFirst ? 1 : 0)
      quality.sentenceCount += sentences.count
      for sentence in sentences {
        let logProbability = logProbability(ofSentence: sentence)
        guard logProbability > -.infinity else { continue }
        quality.grammaticalSentenceCount += 1
        quality.sentenceLogProbability += logProbability
        quality.grammaticalSentenceCharacterCount += sentence.unicodeScalars.count
      }
      let logProbability = logProbability(of: sample)
      guard logProbability > -.infinity else { continue }
      quality.grammaticalSampleCount += 1
      quality.logProbability += logProbability
      quality.grammaticalCharacterCount += sample.unicodeScalars.count
    }
    return quality
  }

  /// The parts of `text` that end with a full stop, without the one space that each but the first must begin with.
  private static func completeSentences(of text: String) -> [String] {
    let parts = text.unicodeScalars.split(separator: Grammar.fullStop, omittingEmptySubsequences: false)
    return parts.dropLast().enumerated().map { index, part in
      let hasItsSpace = index == 0 || part.first == Grammar.space
      // Without its space a sentence must not count as right: it keeps its place in the list as an empty one.
      return hasItsSpace ? String(index == 0 ? part : part.dropFirst()) + String(Grammar.fullStop) : ""
    }
  }
}
