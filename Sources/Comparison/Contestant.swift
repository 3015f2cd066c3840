import EsoLM
import Runs

/// A method with its options, as comparisons name it: `esolm-b:0.5`, `esolm-a:1`, `ar`, `ar+adaln`, `mdlm`, `bd3lm:16`.
///
/// The number is α₀ of an Eso-LM and the block size of a BD3-LM.
public struct Contestant: Sendable, Hashable, CustomStringConvertible {
  public let algorithm: MethodConfiguration.Algorithm
  public let alpha0: Double?
  public let blockSize: Int?
  /// Whether an autoregressive network has adaptive norms; all others always have.
  public let isModulated: Bool

  /// - Parameter name: as `description` gives it; an Eso-LM without number has α₀ = 1, a BD3-LM blocks of 4.
  public init?(_ name: String) {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let base = parts[0] == "ar+adaln" ? "ar" : parts[0]
    guard parts.count <= 2, let algorithm = MethodConfiguration.Algorithm(rawValue: base) else { return nil }
    let number = parts.count == 2 ? parts[1] : nil
    switch algorithm {
    case .esolmA, .esolmB:
      guard let alpha0 = Double(number ?? "1"), (0...1).contains(alpha0) else { return nil }
      (self.alpha0, blockSize) = (alpha0, nil)
    case .blockDiffusion:
      guard let size = Int(number ?? "4"), size >= 1 else { return nil }
      (alpha0, blockSize) = (nil, size)
    case .autoregressive, .maskedDiffusion:
      guard number == nil else { return nil }
      (alpha0, blockSize) = (nil, nil)
    }
    self.algorithm = algorithm
    isModulated = parts[0] != "ar"
  }

  public var description: String {
    switch algorithm {
    case .esolmA, .esolmB: "\(algorithm.rawValue):\(Self.short(alpha0!))"
    case .blockDiffusion: "\(algorithm.rawValue):\(blockSize!)"
    case .autoregressive: isModulated ? "ar+adaln" : "ar"
    case .maskedDiffusion: "mdlm"
    }
  }

  /// As the paper writes it.
  public var title: String {
    switch algorithm {
    case .esolmA: "Eso-LM (A), α₀ = \(Self.short(alpha0!))"
    case .esolmB: "Eso-LM (B), α₀ = \(Self.short(alpha0!))"
    case .blockDiffusion: "BD3-LM, L′ = \(blockSize!)"
    case .autoregressive: isModulated ? "AR + AdaLN" : "AR"
    case .maskedDiffusion: "MDLM"
    }
  }

  private static func short(_ number: Double) -> String {
    number == number.rounded() ? "\(Int(number))" : "\(number)"
  }

  /// - Throws: ``ConfigurationError`` if the method does not fit sequences of this length.
  public func configuration(length: Int) throws -> MethodConfiguration {
    let configuration = MethodConfiguration(
      algorithm: algorithm, alpha0: alpha0, blockSize: blockSize, length: length)
    try configuration.validate()
    return configuration
  }

  /// What to ask for so that a text takes about so many network calls; nil where the method has no such plan.
  ///
  /// Of Eso-LM and MDLM, steps of positions far apart, exactly so many. AR has one plan. A BD3-LM writes a token a call,
  /// or each block in equally many stretches of time.
  func request(length: Int, calls: Int) -> GenerationRequest? {
    switch algorithm {
    case .esolmA, .esolmB, .maskedDiffusion:
      return GenerationRequest(length: length, steps: calls, schedule: .blockShuffled)
    case .autoregressive:
      return calls == length ? GenerationRequest(length: length) : nil
    case .blockDiffusion:
      guard calls < length else { return GenerationRequest(length: length) }
      let steps = calls * blockSize! / length
      return steps == 0 ? nil : GenerationRequest(length: length, steps: steps, schedule: .ancestral)
    }
  }
}
