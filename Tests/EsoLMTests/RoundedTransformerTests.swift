import EsoLM
import TestSupport
import Testing
import Torch

/// Networks whose matrices are rounded.
@Suite("Rounded transformers")
struct RoundedTransformerTests {
  static let configurations: [TransformerConfiguration] = [
    .small(hidden: 32, heads: 2), .small(hidden: 24, heads: 3, conditioning: nil), .small(hidden: 64, heads: 1),
  ]

  /// A text of which every second token is written, one a call.
  private func logits(_ network: CachedTransformer) throws -> [Double] {
    let vocabulary = network.configuration.vocabularySize
    let text = (0..<24).map { Int32($0 * 7 % (vocabulary - 1)) }
    let generation = try EsotericMethod(alpha0: 0.5).generation(
      GenerationRequest(template: text.enumerated().map { $0 % 2 == 0 ? $1 : nil }, steps: 8),
      for: network.configuration)
    return try forcedLogits([generation], [text], by: network)[0].flatMap { $0.array(of: Float.self).map(Double.init) }
  }

  /// One operation gives what the single ones give, of which the other devices' calls are made.
  @Test(arguments: configurations, Precision.allCases) func fusedCallsAreThoseOfSingleOperations(
    configuration: TransformerConfiguration, precision: Precision
  ) throws {
    let network = TransformerWeights.random(configuration).transformer()
    for cachePrecision in [Precision.float32, .bfloat16] {
      let made = try [true, false].map { fuses in
        try logits(
          CachedTransformer(network, precision: precision, cachePrecision: cachePrecision, fuses: fuses))
      }
      // A number next to the border between two others may be rounded to either one.
      #expect(distance(made[0], made[1]) < (precision == .int8 ? 0.05 : cachePrecision == .bfloat16 ? 1e-3 : 1e-4))
      #expect(made[0].contains { $0 != made[0][0] })
    }
  }

  /// Rounded weights give about the same distribution.
  @Test(arguments: [(Precision.bfloat16, 0.02), (.int8, 0.1)]) func roundingMovesLogitsLittle(
    precision: Precision, tolerance: Double
  ) throws {
    let network = TransformerWeights.random(Self.configurations[0]).transformer()
    let (exact, rounded) = (
      try logits(CachedTransformer(network)), try logits(CachedTransformer(network, precision: precision))
    )
    let size = exact.map(abs).max()!
    #expect(distance(exact, rounded) < tolerance * size)
    #expect(distance(exact, rounded) > 0)
  }

  @Test(arguments: configurations, Precision.allCases) func tensorsMakeTheSameNetwork(
    configuration: TransformerConfiguration, precision: Precision
  ) throws {
    let network = try TransformerWeights.random(configuration).transformer().packed(in: precision)
    let tensors = Dictionary(uniqueKeysWithValues: network.tensors.map { ($0.name, $0.tensor) })
    let descriptions = Transformer.descriptions(configuration, precision: precision)
    #expect(network.tensors.map(\.name) == descriptions.map(\.name))
    let found = tensors.mapValues { (dtype: $0.dtype, shape: $0.shape) }
    let again = try Transformer(configuration, precision: precision, found: found) { tensors[$0]! }
    #expect(again.precision == precision)
    #expect(try logits(CachedTransformer(again)) == logits(CachedTransformer(network)))

    var damaged = found
    damaged["blocks.0.attn_out.weight"] = nil
    damaged["output_layer.linear.bias"] = (.float32, [1])
    damaged["another"] = (.float32, [1])
    let error = #expect(throws: ParameterMismatch.self) {
      try Transformer(configuration, precision: precision, found: damaged) { tensors[$0]! }
    }
    #expect(error?.problems.count == 3)
  }

  /// Parameters that are read one after another make the same network as those of a training.
  @Test(arguments: configurations, Precision.allCases) func parametersReadOneByOne(
    configuration: TransformerConfiguration, precision: Precision
  ) throws {
    let weights = TransformerWeights.random(configuration)
    let shapes = Dictionary(uniqueKeysWithValues: weights.namedParameters.map { ($0.name, $0.tensor.shape) })
    let network = try Transformer(configuration, precision: precision, shapes: shapes) { weights[$0] }
    let expected = try weights.transformer().packed(in: precision)
    // What is folded in is computed with autograd in a training and without it here.
    let difference = try distance(logits(CachedTransformer(network)), logits(CachedTransformer(expected)))
    #expect(difference < (precision == .float32 ? 1e-5 : 0.05))
    #expect(throws: ParameterMismatch.self) {
      try Transformer(configuration, precision: precision, shapes: [:]) { weights[$0] }
    }
  }

  @Test func whatCannotBeRoundedIsRefused() throws {
    let network = try TransformerWeights.random().transformer().packed(in: .int8)
    #expect(throws: ConfigurationError.self) { try network.packed(in: .bfloat16) }
    #expect(throws: ConfigurationError.self) { try CachedTransformer(network, cachePrecision: .int8) }
  }

  @Test func memoryFollowsThePrecision() throws {
    let network = TransformerWeights.random(.small(hidden: 256, heads: 4)).transformer()
    let bytes = try Precision.allCases.map { try CachedTransformer(network, precision: $0).readByteCount }
    #expect(Double(bytes[1]) < 0.52 * Double(bytes[0]) && Double(bytes[2]) < 0.28 * Double(bytes[0]))
    let slots = try [Precision.float32, .bfloat16].map {
      try CachedTransformer(network, cachePrecision: $0).bytesPerCachedSlot
    }
    #expect(slots[0] == 2 * slots[1])
  }
}
