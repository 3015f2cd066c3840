import EsoLM
import Settings

/// What is trained, as it is asked for.
public struct MethodSettings: SettingGroup {
  /// The method and its options.
  public var configuration = MethodConfiguration(length: usualLength)
  /// AR: whether its norms are modulated as those of the other algorithms are.
  public var isModulatedAR = false

  static let usualLength = 128

  /// The usual method.
  public init() {}

  /// All that can be said of the method.
  public static let settings: [Setting<MethodSettings>] =
    MethodConfiguration.settings.under(nil, \.configuration) + [
      Setting(\.isModulatedAR, "adaln", help: "AR: modulate norms as the other algorithms do (AR + AdaLN).")
    ]

  /// Whether the network has adaptive norms.
  public var isModulated: Bool { configuration.algorithm.isModulated || isModulatedAR }

  /// The method of what was said; what was not is as usual, or as in the method that the weights to start from were
  /// trained on, if it is the same.
  ///
  /// - Parameters:
  ///   - given: what was said.
  ///   - length: tokens of a sequence.
  ///   - start: the method of the weights to start from.
  /// - Throws: `SettingError` naming the first setting that does not fit.
  public init(_ given: GivenSettings, length: Int, startingFrom start: MethodConfiguration? = nil) throws {
    var said = MethodSettings()
    if let start { said.configuration.algorithm = start.algorithm }
    try given.apply(to: &said, under: "method")
    let algorithm = said.configuration.algorithm
    var method = MethodConfiguration(algorithm: algorithm, length: length)
    if let start, start.algorithm == algorithm {
      method = start
      // These belong to α₀ = 1 alone.
      if given["method.alpha0"] != nil, said.configuration.alpha0 != 1 {
        (method.weighting, method.cleanOrder) = (nil, nil)
      }
      // These belong to one of the objectives.
      if given["method.objective"] != nil {
        if said.configuration.objective == .anyOrder {
          (method.weighting, method.cleanOrder, method.maskOrder) = (nil, nil, nil)
        } else {
          method.leftToRightShare = nil
        }
      }
    }
    self.init()
    configuration = method
    try given.apply(to: &self, under: "method")
    if given["method.noiseRange"] != nil, given["method.resamplesMasks"] == nil, configuration.noiseRange != nil {
      configuration.resamplesMasks = true
    }
    configuration.length = length
    if start?.algorithm != algorithm { configuration = configuration.filledWithUsual() }
    let plain = Algorithm.all.filter { !$0.isModulated }.map(\.rawValue).joined(separator: " or ")
    if isModulatedAR, algorithm.isModulated {
      try given.locating(RunSettings.self) {
        throw ConfigurationError(
          field: "adaln", found: "true",
          expected: "none with \(algorithm.rawValue), which always has it: it is for \(plain)")
      }
    }
  }
}

extension MethodConfiguration {
  /// What is usual for an algorithm.
  private static func usual(_ algorithm: Algorithm) -> MethodConfiguration {
    MethodConfiguration(algorithm: algorithm, length: MethodSettings.usualLength).filledWithUsual()
  }

  /// All that can be said of a method alone.
  static let settings: [Setting<MethodConfiguration>] = [
    Setting(\.algorithm, "algorithm", flag: "algo", help: "\(Algorithm.names(" or "))."),
    Setting(
      \.length, "length", help: "Tokens of a sequence.",
      usual: "\(MethodSettings.usualLength), or the data set's"),
    Setting(
      \.alpha0, "alpha0", flag: "alpha0", help: "Eso-LM: share of tokens that diffusion writes, 0 to 1.",
      usual: usual(.esolmB).alpha0.map { "\($0)" }),
    Setting(
      \.objective, "objective",
      help: """
        Eso-LM (B): what training minimises: paper, the bound; or any-order, the exact negative log-likelihood in orders \
        as generation draws them.
        """, usual: MethodConfiguration.Objective.usual.rawValue),
    Setting(
      \.leftToRightShare, "leftToRightShare", valueName: "share",
      help: "With --objective any-order: share of sequences that are trained from left to right, 0 to 1.", usual: "0"),
    Setting(
      \.weighting, "weighting", flag: "loss",
      help: "Eso-LM with --alpha0 1, MDLM: weights of masked tokens, elbo or low_var.",
      usual: "\(HybridObjective.Weighting.usual.rawValue); esolm-a2: \(usual(.esolmA2).weighting!.rawValue)"),
    Setting(
      \.cleanOrder, "cleanOrder", flag: "clean-order",
      help: """
        Eso-LM (B) with --alpha0 1: how clean tokens stand in the diffusion term, random or left-to-right (as those of \
        esolm-a2 do).
        """, usual: DiffusionOrders.Order.usual.rawValue),
    Setting(
      \.maskOrder, "maskOrder", flag: "mask-order",
      help: "Eso-LM: how masked tokens stand in the diffusion term, random or left-to-right.",
      usual: DiffusionOrders.Order.usual.rawValue),
    Setting(
      \.prepend, "prepend", help: "AR: what a text starts from: mask, bos (the token before texts) or none.",
      usual: MethodConfiguration.Prepend.usual.rawValue),
    Setting(
      \.blockSize, "blockSize", valueName: "count", help: "BD3-LM: tokens of a block, a divisor of the length.",
      usual: usual(.blockDiffusion).blockSize.map { "\($0)" }),
    Setting(
      \.noiseRange, "noiseRange", valueName: "low,high | search",
      help: "BD3-LM: train on these times alone, or on those in which the loss varies least.", usual: "0,1"),
    Setting(
      \.resamplesMasks, "resamplesMasks", flag: "resample",
      help: """
        BD3-LM: draw the masks of a block again until their share of it lies in --noise-range, as in the published \
        training.
        """, usual: "--resample where --noise-range is given"),
    Setting(
      \.keepsFirstToken, "keepsFirstToken", flag: "keep-first-token",
      help: "BD3-LM: the first token of a sequence is given, never predicted."),
    Setting(
      \.startToken, "startToken", flag: "",
      help: "AR and BD3-LM: the token that bos, and a first token that is given, mean: beginning or end.",
      usual: usual(.blockDiffusion).startToken!.rawValue),
  ]
}

extension Algorithm: SettingChoice {}
extension HybridObjective.Weighting: SettingChoice {}
extension MethodConfiguration.Objective: SettingChoice {}
extension DiffusionOrders.Order: SettingChoice {}
extension MethodConfiguration.Prepend: SettingChoice {}
extension MethodConfiguration.StartToken: SettingChoice {}

extension NoiseRange: SettingConvertible {
  public init?(setting value: SettingValue) {
    switch value {
    case .text(let text): self.init(text)
    case .list(let values): self.init(values.map(\.plainText).joined(separator: ","))
    default: return nil
    }
  }
  public var setting: SettingValue { .text(description) }
  public static var settingForm: String { "low,high or search" }
  public static var settingInput: SettingInput { .text }
}
