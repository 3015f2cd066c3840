import EsoLM
import Foundation

/// Gen. PPL: how likely a judge finds generated text, as a perplexity.
///
/// Each sample is cut to windows of the judge's context, and each window is judged alone. A predicted token counts once
/// if it is not the end-of-text token, or if it is the first of its window. Samples that are shorter than the longest of
/// those judged together are padded with end-of-text tokens, of which thus at most one counts. The perplexity is that of all counted tokens of all samples together.
public struct GenerativePerplexity: Sendable, Equatable {
  /// What was counted of one sample.
  private struct Sum: Equatable {
    var nll = 0.0
    var count = 0
  }

  private var sums: [Sum] = []

  /// Nothing judged yet.
  public init() {}

  /// The sum of −log p over counted tokens, in nats.
  public var nllSum: Double { sums.reduce(0) { $0 + $1.nll } }
  /// How many tokens were counted.
  public var count: Int { sums.reduce(0) { $0 + $1.count } }
  /// How many samples were judged.
  public var sampleCount: Int { sums.count }

  /// nil before a token is counted.
  public var perplexity: Double? { count == 0 ? nil : exp(nllSum / Double(count)) }

  /// The standard error of the nats per token, the samples being independent; nil for fewer than two.
  public var standardError: Double? {
    guard sums.count > 1, count > 0 else { return nil }
    let mean = nllSum / Double(count)
    let spread = sums.reduce(0) { $0 + pow($1.nll - mean * Double($1.count), 2) }
    return (spread * Double(sums.count) / Double(sums.count - 1)).squareRoot() / Double(count)
  }

  /// Judges samples, adding to what is counted so far.
  ///
  /// - Parameters:
  ///   - samples: tokens of the judge. They are padded to the longest of them.
  ///   - judge: who judges.
  ///   - batchSize: windows of one call of the judge.
  ///   - progress: called with the share of windows that are done.
  /// - Returns: the perplexity of each sample by itself; nil for one without a counted token.
  /// - Throws: ``TokenOutOfRange``, ``EsoLM/ConfigurationError`` if a call has no window, or what the judge throws.
  @discardableResult
  public mutating func add(
    _ samples: [[Int32]], judge: some Judge, batchSize: Int = 8, progress: (Double) -> Void = { _ in }
  ) throws -> [Double?] {
    try ConfigurationError.require(batchSize >= 1, "batchSize", batchSize, expected: "at least 1")
    try TokenOutOfRange.check(samples, vocabularySize: judge.vocabularySize)
    var windows: [(sample: Int, tokens: [Int32])] = []
    let longest = samples.reduce(0) { max($0, $1.count) }
    for (sample, tokens) in samples.enumerated() {
      // What comes after the first end of a padding is never counted, and seen by nothing that is.
      let tokens = tokens.count < longest && judge.endsTexts ? tokens + [judge.endOfText] : tokens
      let size = max(1, min(judge.contextLength, tokens.count))
      for start in stride(from: 0, to: tokens.count, by: size) {
        windows.append((sample, Array(tokens[start..<min(start + size, tokens.count)])))
      }
    }
    var perSample = [Sum](repeating: Sum(), count: samples.count)
    for first in stride(from: 0, to: windows.count, by: batchSize) {
      let batch = windows[first..<min(first + batchSize, windows.count)]
      let scores = try judge.logProbabilities(of: batch.map(\.tokens))
      for (window, scores) in zip(batch, scores) {
        Self.count(window.tokens, logProbabilities: scores, endOfText: judge.endOfText, in: &perSample[window.sample])
      }
      progress(Double(first + batch.count) / Double(windows.count))
    }
    sums += perSample
    return perSample.map { $0.count == 0 ? nil : exp($0.nll / Double($0.count)) }
  }

  /// Applies the counting rule to one window, whose last tokens have the given log-probabilities.
  private static func count(
    _ window: [Int32], logProbabilities: [Double], endOfText: Int32, in sum: inout Sum
  ) {
    let firstEnd = window.firstIndex(of: endOfText)
    let firstPredicted = window.count - logProbabilities.count
    for (position, logProbability) in zip(firstPredicted..., logProbabilities)
    where window[position] != endOfText || position == firstEnd {
      sum.nll -= logProbability
      sum.count += 1
    }
  }
}

/// A sample holds an id that a vocabulary lacks.
public struct TokenOutOfRange: Error, CustomStringConvertible, Sendable, Equatable {
  /// The sample's index.
  public let sample: Int
  /// The id that is none.
  public let token: Int32
  /// How many ids there are.
  public let vocabularySize: Int

  public var description: String {
    "sample \(sample + 1) holds token \(token), expected 0 to \(vocabularySize - 1) as the judge's vocabulary has them"
  }

  static func check(_ samples: [[Int32]], vocabularySize: Int) throws {
    for (index, sample) in samples.enumerated() {
      if let token = sample.first(where: { !(0..<Int32(clamping: vocabularySize)).contains($0) }) {
        throw TokenOutOfRange(sample: index, token: token, vocabularySize: vocabularySize)
      }
    }
  }
}
