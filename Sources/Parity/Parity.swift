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
    "ar": autoregressive,
    "mdlm": maskedDiffusion,
    "bd3lm": blockDiffusion,
    "esolm_b_diffusion": { try diffusion($0, passes: EsotericMethod.Variant.b.passes) },
    "esolm_b_sequential": { try sequential($0, passes: EsotericMethod.Variant.b.passes) },
    "esolm_b_hybrid_loss": { try hybridLoss($0, passes: EsotericMethod.Variant.b.passes) },
    "esolm_a_diffusion": { try diffusion($0, passes: EsotericMethod.Variant.a.passes) },
    "esolm_a_sequential": { try sequential($0, passes: EsotericMethod.Variant.a.passes) },
    "esolm_a_hybrid_loss": { try hybridLoss($0, passes: EsotericMethod.Variant.a.passes) },
    "esolm_mixed": { try diffusion($0, passes: diffusionPasses(.causalThenWhole)) },
    "esolm_bidirectional": { try diffusion($0, passes: diffusionPasses(.bidirectional)) },
    "esolm_b_sampling_trace": samplingTrace,
    "esolm_any_order_logp": anyOrderLikelihood,
    "lightning_checkpoint": lightningCheckpoint,
    "mauve": mauve,
    "metrics": metrics,
    "noise_schedule": noiseSchedule,
    "nucleus": nucleus,
    "train_trace": trainTrace,
    "training_orders": trainingOrders,
  ]

  /// An objective of which only the diffusion term is used.
  private static func diffusionPasses(_ pattern: AttentionPattern) -> HybridObjective.Passes {
    HybridObjective.Passes(diffusion: pattern, sequential: pattern, shufflesClean: true)
  }

  /// What a kind of case about text computes: a result for each of its sets.
  typealias TextComputation = @Sendable (TextCase, _ vocabularies: String?) throws -> [ParityResult]

  static let textComputations: [String: TextComputation] = [
    "tokenizers": { try $0.tokenizers(vocabularies: $1) },
    "detokenizers": { textCase, _ in try textCase.detokenizers() },
  ]

  /// The kinds of cases that can be run.
  public static var kinds: [String] { (Array(computations.keys) + textComputations.keys).sorted() }

  /// Runs the case in a folder: one result per expected tensor or set of texts, by name.
  ///
  /// - Parameters:
  ///   - folder: the case.
  ///   - vocabularies: the folder that holds published vocabularies in `gpt2` and `bert-base-uncased`. Sets that need
  ///     one that is not there are skipped.
  ///   - device: where the networks compute.
  /// - Throws: an error naming the file if the folder is no case of a known kind or cannot be read.
  public static func verify(
    folder: String, vocabularies: String? = nil, device: Device = .cpu
  ) throws -> [ParityResult] {
    if let compute = textComputations[ParityCase.kind(of: folder)] {
      return try compute(try TextCase(folder: folder), vocabularies)
    }
    let parityCase = try ParityCase(folder: folder, device: device)
    guard let compute = computations[parityCase.kind] else {
      throw FileError(
        "\(folder) is a case of kind '\(parityCase.kind)', expected one of \(kinds.joined(separator: ", "))")
    }
    let found = try compute(parityCase)
    return try parityCase.expected.entries.keys.sorted().map { name in
      let (expected, found) = (try parityCase.expected.tensor(name).array(of: Double.self), found[name] ?? [])
      return name == scoresBySeed
        ? ParityResult(parityCase, tensor: name, range: expected, margin: 0.02, found: found)
        : ParityResult(parityCase, tensor: name, expected: expected, found: found)
    }
  }

  /// Gradients after `backward`, named as the cases name them.
  static func gradients(of model: TransformerWeights) -> [String: [Double]] {
    Dictionary(uniqueKeysWithValues: zip(model.names, model.gradients).map { ("grad.\($0)", $1.array()) })
  }
}
