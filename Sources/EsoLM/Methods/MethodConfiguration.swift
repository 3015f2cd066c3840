/// Which method a run trains, with the options that belong to it. An option of another method must be nil.
public struct MethodConfiguration: Codable, Sendable, Equatable {
  /// The fields that belong to some methods only.
  public enum Option: String, Sendable, CaseIterable {
    /// Each is the field of the same name.
    case alpha0, objective, leftToRightShare, weighting, cleanOrder, maskOrder, prepend, blockSize, noiseRange,
      resamplesMasks, keepsFirstToken, startToken
  }

  /// What the training of an Eso-LM (B) minimises.
  public enum Objective: String, Codable, CaseIterable, Sendable {
    /// The paper's bound, by ``HybridObjective``.
    case paper
    /// The exact negative log-likelihood in orders as generation draws them, by ``AnyOrderObjective``.
    case anyOrder = "any-order"

    /// Where nothing is said.
    public static let usual = paper
  }

  /// What stands before a text for an autoregressive model to start from.
  public enum Prepend: String, Codable, CaseIterable, Sendable {
    /// Nothing: the first token is given, not predicted.
    case none
    /// The start token.
    case bos
    /// The mask token.
    case mask

    /// Where nothing is said.
    public static let usual = mask
  }

  /// Which of a tokenizer's tokens a sequence starts from, where it starts from one.
  public enum StartToken: String, Codable, CaseIterable, Sendable {
    /// The one that stands before texts, such as BERT's `[CLS]`.
    case beginning
    /// The one that stands after texts, such as BERT's `[SEP]`.
    case end
  }

  /// Which method it is.
  public var algorithm: Algorithm
  /// Eso-LM: the share of tokens that diffusion writes.
  public var alpha0: Double?
  /// Eso-LM (B): what training minimises. nil is the usual one.
  public var objective: Objective?
  /// Eso-LM (B) trained `anyOrder`: the share of sequences that are trained from left to right. nil is 0.
  public var leftToRightShare: Double?
  /// Eso-LM with α₀ = 1, MDLM: how training weighs masked tokens. nil is as usual.
  public var weighting: HybridObjective.Weighting?
  /// Eso-LM: how clean tokens stand in training's diffusion term, and so in writing. nil is as usual.
  public var cleanOrder: DiffusionOrders.Order?
  /// Eso-LM: how masked ones stand. nil is as usual.
  public var maskOrder: DiffusionOrders.Order?
  /// AR: what its texts start from. nil is the usual one.
  public var prepend: Prepend?
  /// BD3-LM: tokens of a block.
  public var blockSize: Int?
  /// BD3-LM: the times that training draws from. nil is all, 0 to 1.
  public var noiseRange: NoiseRange?
  /// BD3-LM: whether masks of a block are drawn again until their share of it lies in `noiseRange`, as in the published
  /// training. nil is no.
  public var resamplesMasks: Bool?
  /// BD3-LM: whether the first token of a sequence is always clean, given and not predicted. nil is no.
  public var keepsFirstToken: Bool?
  /// AR and BD3-LM: the token that `bos`, and a first token that is given, mean. nil is `end`: runs from before this
  /// could be said go on as they were trained.
  public var startToken: StartToken?
  /// Tokens of a sequence.
  public var length: Int

  /// A configuration by its parts. Texts of methods with a start token start from the one before texts.
  public init(
    algorithm: Algorithm = .esolmB, alpha0: Double? = nil, objective: Objective? = nil,
    leftToRightShare: Double? = nil, weighting: HybridObjective.Weighting? = nil,
    cleanOrder: DiffusionOrders.Order? = nil, maskOrder: DiffusionOrders.Order? = nil, prepend: Prepend? = nil,
    blockSize: Int? = nil, noiseRange: NoiseRange? = nil, resamplesMasks: Bool? = nil,
    keepsFirstToken: Bool? = nil, length: Int
  ) {
    self.algorithm = algorithm
    self.alpha0 = alpha0
    self.objective = objective
    self.leftToRightShare = leftToRightShare
    self.weighting = weighting
    self.cleanOrder = cleanOrder
    self.maskOrder = maskOrder
    self.prepend = prepend
    self.blockSize = blockSize
    self.noiseRange = noiseRange
    self.resamplesMasks = resamplesMasks
    self.keepsFirstToken = keepsFirstToken
    self.length = length
    startToken = algorithm.options.contains(.startToken) ? .beginning : nil
  }

  /// The same with what is usual for training where nothing is said.
  public func filledWithUsual() -> MethodConfiguration {
    var configuration = self
    algorithm.fillUsual(&configuration)
    return configuration
  }

  /// The method itself.
  ///
  /// - Throws: ``ConfigurationError``, as ``validate()`` does.
  public func method(for tokens: TextTokens) throws -> any GenerationMethod {
    try ConfigurationError.require((2...(1 << 20)).contains(length), "length", length, expected: "2 to \(1 << 20)")
    for option in Option.allCases where !algorithm.options.contains(option) {
      guard let value = text(of: option) else { continue }
      throw ConfigurationError(
        field: option.rawValue, found: value,
        expected: "none with \(algorithm.rawValue): it belongs to \(Algorithm.owners(of: option))")
    }
    return try algorithm.make(self, tokens)
  }

  /// Throws a ``ConfigurationError`` naming the first field that does not fit or belongs to another method.
  public func validate() throws { _ = try method(for: TextTokens(mask: 0, beginning: 0, end: 0)) }

  /// The token that `bos`, and a first token that is given, mean.
  func start(of tokens: TextTokens) -> Int32 { startToken == .beginning ? tokens.beginning : tokens.end }

  private func text(of option: Option) -> String? {
    switch option {
    case .alpha0: alpha0.map { "\($0)" }
    case .objective: objective?.rawValue
    case .leftToRightShare: leftToRightShare.map { "\($0)" }
    case .weighting: weighting?.rawValue
    case .cleanOrder: cleanOrder?.rawValue
    case .maskOrder: maskOrder?.rawValue
    case .prepend: prepend?.rawValue
    case .blockSize: blockSize.map { "\($0)" }
    case .noiseRange: noiseRange?.description
    case .resamplesMasks: resamplesMasks.map { "\($0)" }
    case .keepsFirstToken: keepsFirstToken.map { "\($0)" }
    case .startToken: startToken?.rawValue
    }
  }
}

/// The times that a BD3-LM trains on.
public enum NoiseRange: Codable, Sendable, Equatable, CustomStringConvertible {
  /// Times between two bounds, 0 ≤ low < high ≤ 1.
  case fixed(low: Double, high: Double)
  /// At each validation the range of half the times is chosen in which the loss varies least.
  case search

  package var initial: ClosedRange<Double> {
    switch self {
    case .fixed(let low, let high): low...high
    case .search: 0...1
    }
  }

  public var description: String {
    switch self {
    case .fixed(let low, let high): "\(low),\(high)"
    case .search: "search"
    }
  }

  /// From text as `description` gives it.
  public init?(_ text: String) {
    guard text != "search" else {
      self = .search
      return
    }
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard numbers.count == 2, let low = numbers[0], let high = numbers[1] else { return nil }
    self = .fixed(low: low, high: high)
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let range = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected 'low,high' or 'search'")
    }
    self = range
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  func validate() throws {
    guard case .fixed(let low, let high) = self else { return }
    try ConfigurationError.require(
      low >= 0 && low < high && high <= 1, "noiseRange", description,
      expected: "two times with 0 <= low < high <= 1, or 'search'")
  }
}
