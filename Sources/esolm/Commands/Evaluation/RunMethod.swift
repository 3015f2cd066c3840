import ArgumentParser
import EsoLM
import Runs
import Tool
import Torch

extension RunFolder {
  /// The likelihood of the run's network, by a method that an option may change.
  func likelihood(_ weights: WeightOptions, method: any GenerationMethod, device: Device) throws -> Likelihood {
    Likelihood(try weights.network(of: self, device: device), method: method)
  }

  /// Throws a usage error if an option asks for exact likelihoods that the run's method does not have.
  func requireExact(_ likelihood: Likelihood, for option: String) throws {
    guard !likelihood.isExact else { return }
    throw ValidationError("--\(option): \(configuration.method.algorithm.rawValue) has no exact likelihood")
  }

  /// What tells methods apart in a heading: α₀, or the algorithm where there is none.
  func methodText(_ method: any GenerationMethod) -> String {
    method.diffusedShare.map { "α₀ = \($0)" } ?? configuration.method.algorithm.rawValue
  }
}
