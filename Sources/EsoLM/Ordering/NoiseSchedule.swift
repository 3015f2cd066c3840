/// The log-linear noise schedule of masked diffusion (Sahoo et al. 2024), scaled by α₀ (Eso-LMs, section 3).
///
/// At time t a token is still clean with chance `α_t = α₀ (1 − (1 − ε) t)`, independently of the others. `α₀ = 1` masks
/// nothing at t = 0 (a pure diffusion model); `α₀ = 0` masks everything always (a pure autoregressive model).
public struct NoiseSchedule: Sendable, Equatable {
  /// The share of tokens that diffusion writes, in [0, 1].
  public let alpha0: Double

  static let epsilon = 1e-3

  /// - Throws: ``ConfigurationError`` unless α₀ is in [0, 1].
  public init(alpha0: Double) throws {
    try ConfigurationError.require(
      (0...1).contains(alpha0), "alpha0", alpha0, expected: "a number from 0 (autoregressive) to 1 (diffusion)")
    self.alpha0 = alpha0
  }

  /// Pure diffusion.
  static let diffusion = try! NoiseSchedule(alpha0: 1)

  /// α_t, the chance that a token is clean at time t ∈ [0, 1].
  public func alpha(at t: Double) -> Double { alpha0 * (1 - (1 - Self.epsilon) * t) }

  /// dα_t/dt, which does not depend on t.
  public var alphaDerivative: Double { -alpha0 * (1 - Self.epsilon) }

  /// The weight −α'_t/(1 − α_t) > 0 of the diffusion term of the NELBO.
  public func lossWeight(at t: Double) -> Double { -alphaDerivative / (1 - alpha(at: t)) }

  /// Times in [ε, 1], spread so that a batch covers the interval evenly: element i of n falls into the i-th of n equal
  /// parts, which lowers the variance of the loss.
  ///
  /// - Parameter uniforms: one number in [0, 1) per element of the *global* diffusion batch.
  public static func antitheticTimes(uniforms: [Double]) -> [Double] {
    uniforms.enumerated().map { antitheticTime(uniform: $1, index: $0, count: uniforms.count) }
  }

  /// One of these times: of the element `index` of `count`.
  static func antitheticTime(uniform: Double, index: Int, count: Int) -> Double {
    let u = ((uniform + Double(index)) / Double(count)).truncatingRemainder(dividingBy: 1)
    return (1 - epsilon) * u + epsilon
  }

  /// The chance (α_s − α_t)/(1 − α_t) with which a token that is masked at time t is written until time s < t.
  public func unmaskingChance(from t: Double, to s: Double) -> Double {
    (alpha(at: s) - alpha(at: t)) / (1 - alpha(at: t))
  }
}
