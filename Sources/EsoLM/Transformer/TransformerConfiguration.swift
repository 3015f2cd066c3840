/// A configuration that cannot be built: which field, what it holds, what would fit.
public struct ConfigurationError: Error, CustomStringConvertible, Sendable, Equatable {
  /// The field's name.
  public let field: String
  /// What it is.
  public let found: String
  /// What it could be.
  public let expected: String

  /// An error by its parts.
  public init(field: String, found: String, expected: String) {
    self.field = field
    self.found = found
    self.expected = expected
  }

  public var description: String { "\(field) is \(found), expected \(expected)" }

  /// Throws unless a condition on a field's value holds.
  public static func require(
    _ condition: Bool, _ field: String, _ found: some CustomStringConvertible, expected: @autoclosure () -> String
  ) throws {
    guard !condition else { return }
    throw ConfigurationError(field: field, found: found.description, expected: expected())
  }
}

/// The sizes of the network that all methods share.
public struct TransformerConfiguration: Codable, Sendable, Equatable {
  /// Tokens including the mask token.
  public var vocabularySize: Int
  /// The id of the mask token, which the network reads but never predicts.
  public var maskToken: Int
  /// The width d of the residual stream.
  public var hiddenSize: Int
  /// The number of blocks.
  public var numBlocks: Int
  /// The number of attention heads, a divisor of the width.
  public var numHeads: Int
  /// The width of the conditioning that modulates the norms; nil for a plain autoregressive transformer without AdaLN.
  public var conditioningSize: Int?
  /// The chance with which training drops elements of what a block adds.
  public var dropout: Double

  /// Sizes by their parts; ``validate()`` says whether they fit.
  public init(
    vocabularySize: Int, maskToken: Int, hiddenSize: Int, numBlocks: Int, numHeads: Int, conditioningSize: Int? = 128,
    dropout: Double = 0.1
  ) {
    self.vocabularySize = vocabularySize
    self.maskToken = maskToken
    self.hiddenSize = hiddenSize
    self.numBlocks = numBlocks
    self.numHeads = numHeads
    self.conditioningSize = conditioningSize
    self.dropout = dropout
  }

  /// The named sizes, the mask token being the vocabulary's last.
  public enum Size: String, CaseIterable, Sendable {
    /// Named sizes: width 256 with 8 blocks, 768 with 12 (the paper's), 1024 with 24.
    case tiny, small, medium
  }

  /// A named size with a vocabulary; the mask token is its last.
  public init(_ size: Size, vocabularySize: Int) {
    let (hidden, blocks, heads) =
      switch size {
      case .tiny: (256, 8, 8)
      case .small: (768, 12, 12)
      case .medium: (1024, 24, 16)
      }
    self.init(
      vocabularySize: vocabularySize, maskToken: vocabularySize &- 1, hiddenSize: hidden, numBlocks: blocks,
      numHeads: heads)
  }

  /// Width of a head.
  public var headSize: Int { hiddenSize / numHeads }

  /// More blocks than any network has.
  public static let maximumBlocks = 1024

  /// Throws a ``ConfigurationError`` naming the first field that does not fit. The upper bounds keep a hostile file from
  /// asking for memory that no machine has.
  public func validate() throws {
    func require(_ range: ClosedRange<Int>, _ field: String, _ value: Int) throws {
      try ConfigurationError.require(
        range.contains(value), field, value, expected: "\(range.lowerBound) to \(range.upperBound)")
    }
    try require(2...(1 << 24), "vocabularySize", vocabularySize)
    try require(0...(vocabularySize - 1), "maskToken", maskToken)
    try require(2...(1 << 16), "hiddenSize", hiddenSize)
    try require(1...Self.maximumBlocks, "numBlocks", numBlocks)
    try require(1...hiddenSize, "numHeads", numHeads)
    try ConfigurationError.require(
      hiddenSize % (2 * numHeads) == 0, "numHeads", numHeads,
      expected: "heads of one even size, so that 2 · numHeads divides hiddenSize \(hiddenSize)")
    if let conditioningSize { try require(1...(1 << 16), "conditioningSize", conditioningSize) }
    try ConfigurationError.require(
      (0..<1).contains(dropout), "dropout", dropout, expected: "a number from 0 up to, not including, 1")
  }
}
