/// Which method a run trains, with the options that belong to it. An option of another method must be nil.
public struct MethodConfiguration: Codable, Sendable, Equatable {
  public enum Algorithm: String, Codable, CaseIterable, Sendable {
    case esolmB = "esolm-b"
    case esolmA = "esolm-a"
    case autoregressive = "ar"
    case maskedDiffusion = "mdlm"
    case blockDiffusion = "bd3lm"

    public var isEsoteric: Bool { self == .esolmA || self == .esolmB }

    /// Whether a sequence may start from a token that is given.
    package var startsFromToken: Bool { self == .autoregressive || self == .blockDiffusion }
  }

  /// What stands before a text for an autoregressive model to start from.
  public enum Prepend: String, Codable, CaseIterable, Sendable {
    /// Nothing: the first token is given, not predicted.
    case none
    /// The start token.
    case bos
    case mask
  }

  /// Which of a tokenizer's tokens a sequence starts from, where it starts from one.
  public enum StartToken: String, Codable, CaseIterable, Sendable {
    /// The one that stands before texts, such as BERT's `[CLS]`.
    case beginning
    /// The one that stands after texts, such as BERT's `[SEP]`.
    case end
  }

  public var algorithm: Algorithm
  /// Eso-LM: the share of tokens that diffusion writes.
  public var alpha0: Double?
  /// Eso-LM with α₀ = 1, MDLM: how training weighs masked tokens. nil is `elbo`.
  public var weighting: HybridObjective.Weighting?
  /// AR: what its texts start from. nil is `mask`.
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

  public init(
    algorithm: Algorithm = .esolmB, alpha0: Double? = nil, weighting: HybridObjective.Weighting? = nil,
    prepend: Prepend? = nil, blockSize: Int? = nil, noiseRange: NoiseRange? = nil, resamplesMasks: Bool? = nil,
    keepsFirstToken: Bool? = nil, length: Int
  ) {
    self.algorithm = algorithm
    self.alpha0 = alpha0
    self.weighting = weighting
    self.prepend = prepend
    self.blockSize = blockSize
    self.noiseRange = noiseRange
    self.resamplesMasks = resamplesMasks
    self.keepsFirstToken = keepsFirstToken
    self.length = length
    startToken = algorithm.startsFromToken ? .beginning : nil
  }

  /// The method itself.
  ///
  /// - Parameters:
  ///   - maskToken: the network's.
  ///   - beginningOfText: the tokenizer's token before a text.
  ///   - endOfText: the tokenizer's token after a text.
  public func method(maskToken: Int, beginningOfText: Int32, endOfText: Int32) -> any GenerationMethod {
    let startToken = startToken == .beginning ? beginningOfText : endOfText
    switch algorithm {
    case .esolmA, .esolmB:
      return EsotericMethod(algorithm == .esolmA ? .a : .b, alpha0: alpha0 ?? 1, weighting: weighting ?? .elbo)
    case .autoregressive:
      let token = prepend ?? .mask == .mask ? Int32(maskToken) : startToken
      return AutoregressiveMethod(start: .init(token: token, isText: prepend == Prepend.none))
    case .maskedDiffusion:
      return MaskedDiffusionMethod(weighting: weighting ?? .elbo)
    case .blockDiffusion:
      return BlockDiffusionMethod(
        blockSize: blockSize ?? length, noiseRange: noiseRange?.initial ?? 0...1,
        resamplesMasks: resamplesMasks ?? false, firstToken: keepsFirstToken == true ? startToken : nil)
    }
  }

  /// Throws a ``ConfigurationError`` naming the first field that does not fit or belongs to another method.
  public func validate() throws {
    try ConfigurationError.require((2...(1 << 20)).contains(length), "length", length, expected: "2 to \(1 << 20)")
    try requireOwner("alpha0", alpha0, algorithm.isEsoteric, of: "Eso-LM")
    try requireOwner(
      "weighting", weighting?.rawValue, algorithm.isEsoteric || algorithm == .maskedDiffusion, of: "Eso-LM and MDLM")
    try requireOwner("prepend", prepend?.rawValue, algorithm == .autoregressive, of: "AR")
    try requireOwner("blockSize", blockSize, algorithm == .blockDiffusion, of: "BD3-LM")
    try requireOwner("noiseRange", noiseRange?.description, algorithm == .blockDiffusion, of: "BD3-LM")
    try requireOwner("resamplesMasks", resamplesMasks, algorithm == .blockDiffusion, of: "BD3-LM")
    try requireOwner("keepsFirstToken", keepsFirstToken, algorithm == .blockDiffusion, of: "BD3-LM")
    try requireOwner("startToken", startToken?.rawValue, algorithm.startsFromToken, of: "AR and BD3-LM")
    if algorithm.isEsoteric {
      try ConfigurationError.require(
        alpha0.map { (0...1).contains($0) } ?? false, "alpha0", alpha0.map { "\($0)" } ?? "missing",
        expected: "a number from 0 (autoregressive) to 1 (diffusion)")
      try ConfigurationError.require(
        weighting ?? .elbo == .elbo || alpha0 == 1, "weighting", weighting?.rawValue ?? "",
        expected: "elbo where alpha0 is below 1")
    }
    if algorithm == .blockDiffusion {
      try ConfigurationError.require(
        blockSize.map { $0 >= 1 && length % $0 == 0 } ?? false, "blockSize", blockSize.map { "\($0)" } ?? "missing",
        expected: "a number that divides the length \(length)")
      try noiseRange?.validate()
      if resamplesMasks == true, let blockSize, let noiseRange { try noiseRange.requireShares(ofBlock: blockSize) }
    }
  }

  private func requireOwner(
    _ field: String, _ value: (some CustomStringConvertible)?, _ belongs: Bool, of owner: String
  ) throws {
    guard let value, !belongs else { return }
    throw ConfigurationError(
      field: field, found: value.description, expected: "none with \(algorithm.rawValue): it belongs to \(owner)")
  }
}

/// The times that a BD3-LM trains on.
public enum NoiseRange: Codable, Sendable, Equatable, CustomStringConvertible {
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

  /// The ranges that training may be on.
  private var ranges: [ClosedRange<Double>] {
    if case .search = self { BlockDiffusionMethod.searchedRanges } else { [initial] }
  }

  /// Throws if a block can have no share of masks within the range, so that drawing again would never end.
  func requireShares(ofBlock size: Int) throws {
    try ConfigurationError.require(
      ranges.allSatisfy { BlockDiffusionMethod.maskCounts(blockSize: size, within: $0) != nil }, "noiseRange",
      description,
      expected: "a range that holds a share of masks of a block of \(size), or --no-resample")
  }

  func validate() throws {
    guard case .fixed(let low, let high) = self else { return }
    try ConfigurationError.require(
      low >= 0 && low < high && high <= 1, "noiseRange", description,
      expected: "two times with 0 <= low < high <= 1, or 'search'")
  }
}
