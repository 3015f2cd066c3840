import EsoLM
import Files
import Torch

/// Runs recorded cases through the code that trains and samples, and compares number by number.
///
/// It is how a user checks a new device or another libtorch, and how this package's own tests hold it to the published
/// networks.
public enum Parity {
  /// What a kind of case computes: numbers by the names of the expected tensors, in row-major order.
  typealias Computation = @Sendable (ParityCase) throws -> [String: [Double]]

  static let computations: [String: Computation] = [
    "esolm_b_diffusion": diffusion,
    "esolm_b_sequential": sequential,
    "esolm_b_hybrid_loss": hybridLoss,
    "esolm_b_sampling_trace": samplingTrace,
    "esolm_any_order_logp": anyOrderLikelihood,
    "noise_schedule": noiseSchedule,
    "nucleus": nucleus,
    "train_trace": trainTrace,
  ]

  /// The kinds of cases that can be run.
  public static var kinds: [String] { computations.keys.sorted() }

  /// Runs the case in a folder: one result per expected tensor, by name.
  ///
  /// - Throws: an error naming the file if the folder is no case of a known kind or cannot be read.
  public static func verify(folder: String) throws -> [ParityResult] {
    let parityCase = try ParityCase(folder: folder)
    guard let compute = computations[parityCase.kind] else {
      throw FileError(
        "\(folder) is a case of kind '\(parityCase.kind)', expected one of \(kinds.joined(separator: ", "))")
    }
    let found = try compute(parityCase)
    return try parityCase.expected.entries.keys.sorted().map { name in
      ParityResult(
        parityCase, tensor: name, expected: try parityCase.expected.tensor(name).array(),
        found: found[name] ?? [])
    }
  }

  /// Gradients after `backward`, named as the cases name them.
  static func gradients(of model: Transformer) -> [String: [Double]] {
    Dictionary(uniqueKeysWithValues: zip(model.names, model.gradients).map { ("grad.\($0)", $1.array()) })
  }
}
