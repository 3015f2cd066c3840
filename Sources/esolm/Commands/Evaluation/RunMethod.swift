import ArgumentParser
import Checkpoints
import EsoLM
import Torch

extension RunFolder {
  /// The likelihood of the run's network.
  ///
  /// - Parameter alpha0: another α₀ than the run's; for an Eso-LM only.
  func likelihood(_ weights: WeightOptions, alpha0: Double? = nil, device: Device) throws -> Likelihood {
    let network = try model(weights.rawWeights ? .model : .average, device: device).network()
    guard let alpha0 else { return Likelihood(network, method: method) }
    guard let esoteric = method as? EsotericMethod else {
      throw ValidationError("--alpha0 is \(alpha0), expected none for \(configuration.method.algorithm.rawValue)")
    }
    return Likelihood(network, method: EsotericMethod(esoteric.variant, alpha0: alpha0))
  }

  /// What tells methods apart in a heading: α₀, or the algorithm where there is none.
  func methodText(_ method: any GenerationMethod) -> String {
    (method as? EsotericMethod).map { "α₀ = \($0.alpha0)" } ?? configuration.method.algorithm.rawValue
  }
}

extension GenerationMethod {
  /// nil for a method without.
  var esotericAlpha0: Double? { (self as? EsotericMethod)?.alpha0 }
}
