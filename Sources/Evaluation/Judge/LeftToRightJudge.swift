import EsoLM
import Torch

/// A run of this package as a judge: its exact likelihood from left to right, which is that of an autoregressive model.
///
/// It predicts a window's first token too, unless it is an AR model without anything before its texts.
public struct LeftToRightJudge: Judge {
  /// What the run finds likely.
  public let likelihood: Likelihood
  public let contextLength: Int
  public let endOfText: Int32
  /// Without the mask token, which no text holds.
  public let vocabularySize: Int

  /// - Parameters:
  ///   - likelihood: of a method that has it exactly.
  ///   - contextLength: the length that the network was trained at.
  ///   - endOfText: what its tokenizer puts between documents.
  ///   - vocabularySize: the tokenizer's.
  /// - Throws: ``EsoLM/ConfigurationError`` if a window has no token, or the vocabulary is not part of the network's.
  public init(_ likelihood: Likelihood, contextLength: Int, endOfText: Int32, vocabularySize: Int) throws {
    try ConfigurationError.require(contextLength >= 1, "contextLength", contextLength, expected: "at least 1")
    let all = likelihood.network.configuration.vocabularySize
    try ConfigurationError.require(
      (1...all).contains(vocabularySize), "vocabularySize", vocabularySize, expected: "1 to the network's \(all)")
    self.likelihood = likelihood
    self.contextLength = contextLength
    self.endOfText = endOfText
    self.vocabularySize = vocabularySize
  }

  public func logProbabilities(of windows: [[Int32]]) -> [[Double]] {
    // One pass takes sequences of one length; those of a call mostly have it.
    var scores = [[Double]](repeating: [], count: windows.count)
    for (length, group) in Dictionary(grouping: windows.indices, by: { windows[$0].count })
    where likelihood.method.predictedCount(ofLength: length) > 0 {
      let rows = likelihood.logProbabilities(group.map { (windows[$0], .leftToRight(length: length)) })
      for (index, row) in zip(group, rows) { scores[index] = row }
    }
    return scores
  }
}

/// An AR run as a judge, whose hidden state at a token sums up the text so far.
public struct AutoregressiveJudge: FeatureJudge {
  private let judge: LeftToRightJudge
  private let start: DecodingRule.Start

  /// - Returns: nil unless the judge is an AR model.
  public init?(_ judge: LeftToRightJudge) {
    guard let start = judge.likelihood.method.leftToRightStart else { return nil }
    self.judge = judge
    self.start = start
  }

  public var contextLength: Int { judge.contextLength }
  public var endOfText: Int32 { judge.endOfText }
  public var vocabularySize: Int { judge.vocabularySize }

  public func logProbabilities(of windows: [[Int32]]) -> [[Double]] { judge.logProbabilities(of: windows) }

  public func features(of texts: [[Int32]]) -> Tensor {
    let network = judge.likelihood.network
    let rows = texts.map { text in
      let tokens = start.isText ? text : [start.token] + text
      var input = NetworkInput()
      input.append(
        [
          NetworkSequence(
            tokens: tokens, positions: Array(tokens.indices), cleanCount: tokens.count, masked: [],
            outputs: [tokens.count - 1])
        ], pattern: .causal, maskToken: network.configuration.maskToken)
      return withoutGradients { network.hidden(input) }
    }
    return .concatenated(rows)
  }
}
