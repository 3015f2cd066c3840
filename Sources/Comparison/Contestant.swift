import EsoLM

/// A method with its options, as comparisons name it: `esolm-b:0.5`, `esolm-a:1`, `ar`, `ar+adaln`, `mdlm`, `bd3lm:16`,
/// `esolm-b:1:any-order`, `esolm-b:1:any-order:0.25`.
///
/// The number is α₀ of an Eso-LM and the block size of a BD3-LM. Behind α₀ stands what is trained on in place of the
/// paper's objective, and in which share from left to right.
public struct Contestant: Sendable, Hashable, CustomStringConvertible {
  /// Which method it is.
  public let algorithm: Algorithm
  /// The share that diffusion writes, of an Eso-LM.
  public let alpha0: Double?
  /// What training minimises, of an Eso-LM (B); nil is the paper's objective.
  public let objective: MethodConfiguration.Objective?
  /// The share of sequences that are trained from left to right, where any order is trained.
  public let leftToRightShare: Double?
  /// Tokens of a block, of a BD3-LM.
  public let blockSize: Int?
  /// Whether the network has adaptive norms.
  public let isModulated: Bool

  private static let modulatedMark = "+adaln"
  private static let anyOrder = MethodConfiguration.Objective.anyOrder

  /// - Parameter name: as `description` gives it; an Eso-LM without number has α₀ = 1, a BD3-LM blocks of 4.
  public init?(_ name: String) {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let marked = parts[0].hasSuffix(Self.modulatedMark)
    let base = marked ? String(parts[0].dropLast(Self.modulatedMark.count)) : parts[0]
    guard parts.count <= 4, let algorithm = Algorithm(rawValue: base), !(marked && algorithm.isModulated) else {
      return nil
    }
    if parts.count > 2 {
      guard algorithm.options.contains(.objective), parts[2] == Self.anyOrder.rawValue else { return nil }
      objective = Self.anyOrder
    } else {
      objective = nil
    }
    leftToRightShare = parts.count > 3 ? Double(parts[3]) : nil
    guard parts.count < 4 || leftToRightShare.map((0...1).contains) == true else { return nil }
    let number = parts.count > 1 ? parts[1] : nil
    var (alpha0, blockSize): (Double?, Int?)
    switch algorithm.number {
    case .alpha0(let usual)?:
      alpha0 = number.map { Double($0) } ?? usual
      guard let alpha0, (0...1).contains(alpha0) else { return nil }
    case .blockSize(let usual)?:
      blockSize = number.map { Int($0) } ?? usual
      guard let blockSize, blockSize >= 1 else { return nil }
    case nil: guard number == nil else { return nil }
    }
    (self.algorithm, self.alpha0, self.blockSize) = (algorithm, alpha0, blockSize)
    isModulated = marked || algorithm.isModulated
  }

  /// What a name may look like, for help.
  public static let forms: [String] = Algorithm.all.flatMap { algorithm in
    let number =
      switch algorithm.number {
      case .alpha0?: ":ALPHA0"
      case .blockSize?: ":SIZE"
      case nil: ""
      }
    let name = algorithm.rawValue + number
    return [name] + (algorithm.options.contains(.objective) ? ["\(name):\(anyOrder.rawValue)[:SHARE]"] : [])
      + (algorithm.isModulated ? [] : [algorithm.rawValue + modulatedMark])
  }

  private var mark: String { isModulated && !algorithm.isModulated ? Self.modulatedMark : "" }

  public var description: String {
    let number = alpha0?.shortText ?? blockSize.map { "\($0)" }
    return ([algorithm.rawValue + mark, number, objective?.rawValue, leftToRightShare?.shortText] as [String?])
      .compactMap { $0 }.joined(separator: ":")
  }

  /// As the paper writes it.
  public var title: String {
    // A length that every block divides: any method can be made for it, to be asked its name.
    let method = try? method(length: 2 * (blockSize ?? 1))
    return (method?.title ?? description) + (mark.isEmpty ? "" : " + AdaLN")
  }

  /// Of a title what stands before its number.
  static func family(ofTitle title: String) -> String { String(title.prefix { $0 != "," }) }

  /// The families of all methods, always in the same order.
  static let families: [String] = {
    let plain = Algorithm.all.compactMap { Contestant($0.rawValue) }
    let modulated = Algorithm.all.compactMap { Contestant($0.rawValue + modulatedMark) }
    return (plain + modulated).map { family(ofTitle: $0.title) }
  }()

  /// The method as it is trained, with what is usual for it where the name says nothing: (A2)'s weights of masked tokens.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` if the method does not fit sequences of this length.
  public func configuration(length: Int) throws -> MethodConfiguration {
    let configuration = MethodConfiguration(
      algorithm: algorithm, alpha0: alpha0, objective: objective, leftToRightShare: leftToRightShare,
      blockSize: blockSize, length: length
    ).filledWithUsual()
    try configuration.validate()
    return configuration
  }

  /// The method by itself, without a tokenizer: its texts start from token 0 where they start from one.
  func method(length: Int, maskToken: Int = 0) throws -> any GenerationMethod {
    try configuration(length: length).method(for: TextTokens(mask: Int32(maskToken), beginning: 0, end: 0))
  }
}
