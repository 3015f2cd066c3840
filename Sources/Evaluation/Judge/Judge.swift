import Torch

/// A language model that judges text: it knows how likely each token is after those before it.
///
/// GPT-2 is one, and so are a run of this package read from left to right and the toy language's own rules.
public protocol Judge {
  /// The most tokens that it looks at together.
  var contextLength: Int { get }

  /// The id that stands between documents.
  var endOfText: Int32 { get }

  /// Whether texts of its language end; where they never do, none is padded with ends.
  var endsTexts: Bool { get }

  /// The number of token ids that it knows.
  var vocabularySize: Int { get }

  /// `log p(token | tokens before it in its window)` in nats, for each window.
  ///
  /// A judge that needs a token to begin with says nothing of a window's first one: then a window of n tokens has n − 1
  /// numbers, those of its last n − 1 tokens; else it has n.
  ///
  /// - Parameter windows: tokens of this judge, each window at most `contextLength` of them; lengths may differ.
  func logProbabilities(of windows: [[Int32]]) throws -> [[Double]]
}

extension Judge {
  public var endsTexts: Bool { true }
}

/// A judge whose network turns a text into features.
public protocol FeatureJudge: Judge {
  /// The last hidden state, normalised, at the last token of each text: [texts, size].
  ///
  /// - Parameter texts: tokens of this judge, each text 1 to `contextLength` of them; lengths may differ.
  func features(of texts: [[Int32]]) -> Tensor
}
