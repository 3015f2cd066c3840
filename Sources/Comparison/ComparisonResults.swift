import Evaluation
import Foundation
import Reports

/// What a comparison found.
public struct ComparisonResults: Codable, Sendable {
  /// The version of its JSON.
  public var formatVersion = 1
  /// Training steps of each method.
  public let steps: Int
  /// Sequences of a step.
  public let batchSize: Int
  /// Tokens of a sequence.
  public let length: Int
  /// The seed of data, training and samples.
  public let seed: UInt64
  /// The entropy of the measured text, nats a token, where the distribution of the data is known.
  public let trueNats: Double?
  /// Whether samples are judged by the toy language's own rules.
  public let isToyLanguage: Bool
  /// The methods, in the order that was asked for.
  public var entries: [Entry]
  /// How all of it is made again.
  public var recipe: Recipe?

  /// One method.
  public struct Entry: Codable, Sendable {
    /// The method as commands name it.
    public let name: String
    /// The method as the paper writes it.
    public let title: String
    /// The share that diffusion writes; nil of methods without one.
    public let alpha0: Double?
    /// The algorithm's name.
    public let algorithm: String
    /// Numbers in all weights together.
    public let parameters: Int
    /// The bound on the negative log-likelihood.
    public let nelbo: PerplexityEvaluation.Estimate
    /// nil where the method has no exact likelihood.
    public let exact: PerplexityEvaluation.Estimate?
    /// Texts, for each plan.
    public var samplings: [Sampling] = []

    /// The method without its number: what has one colour.
    public var family: String { Contestant.family(ofTitle: title) }
  }

  /// Texts written by one plan.
  public struct Sampling: Codable, Sendable {
    /// NFE.
    public let networkCalls: Int
    /// Seconds of all calls over the number of texts.
    public let secondsPerSequence: Double
    /// Of the toy language: the share of complete sentences that it has.
    public var grammaticalShare: Double?
    /// The standard error of `grammaticalShare`, sentences being independent.
    public var grammaticalError: Double?
    /// Of the toy language, the true perplexity of the grammatical sentences; else the judge's of all texts.
    public var perplexity: Double?
    /// The standard error of the judge's perplexity, texts being independent.
    public var perplexityError: Double?

    /// What was found for one plan.
    public init(
      networkCalls: Int, secondsPerSequence: Double, grammaticalShare: Double? = nil, perplexity: Double? = nil
    ) {
      self.networkCalls = networkCalls
      self.secondsPerSequence = secondsPerSequence
      self.grammaticalShare = grammaticalShare
      self.perplexity = perplexity
    }
  }

  /// The quality that a plot shows: the grammatical share, or the judge's perplexity.
  func quality(_ sampling: Sampling) -> Double? {
    isToyLanguage ? sampling.grammaticalShare : sampling.perplexity
  }

  /// The standard error of what `quality` tells.
  func qualityError(_ sampling: Sampling) -> Double? {
    isToyLanguage ? sampling.grammaticalError : sampling.perplexityError
  }

  /// The samplings that no other one beats in both speed and quality, the fastest first.
  public var paretoFront: [(entry: Entry, sampling: Sampling)] {
    let all = entries.flatMap { entry in entry.samplings.map { (entry: entry, sampling: $0) } }
      .sorted { $0.sampling.secondsPerSequence < $1.sampling.secondsPerSequence }
    var front: [(entry: Entry, sampling: Sampling)] = []
    for candidate in all {
      guard let quality = quality(candidate.sampling) else { continue }
      guard let best = front.last.flatMap({ self.quality($0.sampling) }) else {
        front.append(candidate)
        continue
      }
      if isToyLanguage ? quality > best : quality < best { front.append(candidate) }
    }
    return front
  }
}
