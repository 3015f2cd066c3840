/// A method of the family by its name: what is known of it before it has options.
///
/// A new method is a file of this folder, with its ``GenerationMethod`` and its `Algorithm`, and a line in ``all``.
public struct Algorithm: Sendable, RawRepresentable {
  /// All methods, the usual one first.
  public static let all: [Algorithm] = [
    .esolmB, .esolmA, .esolmA2, .autoregressive, .maskedDiffusion, .blockDiffusion,
  ]

  /// As configurations and commands name it.
  public let rawValue: String
  /// The name of its kin in sentences: methods that share what an option means.
  public let family: String
  /// What it is, in a few words, for help.
  public let summary: String
  /// The options that belong to it; a configuration of it leaves all others nil.
  public let options: Set<MethodConfiguration.Option>
  /// Of these, the ones that decide about its numbers and so must be said.
  public let required: [MethodConfiguration.Option]
  /// Whether its network always has adaptive norms.
  public let isModulated: Bool
  /// What the number behind its name means, as in `bd3lm:16`; nil if it takes none.
  public let number: Number?
  /// Fills in what is usual for training where nothing is said.
  let fillUsual: @Sendable (inout MethodConfiguration) -> Void
  /// The method with its options, which are checked here alone.
  let make: @Sendable (MethodConfiguration, TextTokens) throws -> any GenerationMethod

  /// An option that a number behind an algorithm's name fills.
  public enum Number: Sendable, Equatable {
    /// The share that diffusion writes, and what it is where no number stands.
    case alpha0(usual: Double)
    /// Tokens of a block, and how many they are where no number stands.
    case blockSize(usual: Int)
  }

  package init(
    _ name: String, family: String, summary: String, options: Set<MethodConfiguration.Option>,
    required: [MethodConfiguration.Option] = [], isModulated: Bool = true, number: Number? = nil,
    fillUsual: @escaping @Sendable (inout MethodConfiguration) -> Void = { _ in },
    make: @escaping @Sendable (MethodConfiguration, TextTokens) throws -> any GenerationMethod
  ) {
    rawValue = name
    self.family = family
    self.summary = summary
    self.options = options
    self.required = required
    self.isModulated = isModulated
    self.number = number
    self.fillUsual = fillUsual
    self.make = make
  }

  public init?(rawValue: String) {
    guard let algorithm = Self.all.first(where: { $0.rawValue == rawValue }) else { return nil }
    self = algorithm
  }

  /// The names of all, as in "a, b or c".
  public static func names(_ conjunction: String = " or ") -> String {
    all.dropLast().map(\.rawValue).joined(separator: ", ") + conjunction + all.last!.rawValue
  }

  /// The methods that an option belongs to, in words: a family, or the one of its methods that has the option.
  static func owners(of option: MethodConfiguration.Option) -> String {
    let owners = all.filter { $0.options.contains(option) }
    var names: [String] = []
    for owner in owners {
      func kin(_ algorithms: [Algorithm]) -> Int { algorithms.count { $0.family == owner.family } }
      let name = kin(owners) == 1 && kin(all) > 1 ? owner.rawValue : owner.family
      if !names.contains(name) { names.append(name) }
    }
    return names.joined(separator: " and ")
  }
}

extension Algorithm: Hashable, CaseIterable, Codable {
  public static var allCases: [Algorithm] { all }
  public static func == (a: Algorithm, b: Algorithm) -> Bool { a.rawValue == b.rawValue }
  public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
}

/// The tokens that stand around texts, which a method may start from or mask with.
public struct TextTokens: Sendable, Equatable {
  /// The network's mask token.
  public let mask: Int32
  /// The tokenizer's token before a text.
  public let beginning: Int32
  /// The tokenizer's token after a text.
  public let end: Int32

  /// Tokens by what they mean.
  public init(mask: Int32, beginning: Int32, end: Int32) {
    self.mask = mask
    self.beginning = beginning
    self.end = end
  }
}
