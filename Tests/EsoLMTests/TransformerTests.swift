import EsoLM
import Foundation
import TestSupport
import Testing
import Torch

@Suite("TransformerWeights")
struct TransformerTests {
  private let configuration = TransformerConfiguration.small()

  private func parameters(_ configuration: TransformerConfiguration) -> [String: Tensor] {
    Dictionary(
      uniqueKeysWithValues: TransformerWeights.random(configuration).namedParameters.map { ($0.name, $0.tensor) })
  }

  // MARK: Sizes

  @Test func theSmallNetworkHas170MillionParameters() {
    let (vocabulary, hidden, conditioning) = (50258, 768, 128)
    let noise = (256 * conditioning + conditioning) + (conditioning * conditioning + conditioning)
    let attention = hidden + 3 * hidden * hidden + hidden * hidden
    let mlp = hidden + (4 * hidden * hidden + 4 * hidden) + (4 * hidden * hidden + hidden)
    let modulation = 6 * hidden * conditioning + 6 * hidden
    let output = hidden + (vocabulary * hidden + vocabulary) + (2 * hidden * conditioning + 2 * hidden)
    let count = vocabulary * hidden + noise + 12 * (attention + mlp + modulation) + output
    #expect(count == 169_627_218)
    #expect(ParameterLayout(TransformerConfiguration(.small, vocabularySize: vocabulary)).count == count)
  }

  @Test func namedSizesAreValid() throws {
    for size in TransformerConfiguration.Size.allCases {
      let configuration = TransformerConfiguration(size, vocabularySize: 100)
      try configuration.validate()
      #expect(configuration.maskToken == 99)
      #expect([32, 64].contains(configuration.headSize))
    }
  }

  @Test func parametersAreNamedAsInPublishedCheckpoints() {
    let names = ParameterLayout(.small(blocks: 1)).entries.map(\.name)
    #expect(
      names == [
        "vocab_embed.embedding", "sigma_map.mlp.0.weight", "sigma_map.mlp.0.bias", "sigma_map.mlp.2.weight",
        "sigma_map.mlp.2.bias", "blocks.0.norm1.weight", "blocks.0.attn_qkv.weight", "blocks.0.attn_out.weight",
        "blocks.0.norm2.weight", "blocks.0.mlp.0.weight", "blocks.0.mlp.0.bias", "blocks.0.mlp.2.weight",
        "blocks.0.mlp.2.bias", "blocks.0.adaLN_modulation.weight", "blocks.0.adaLN_modulation.bias",
        "output_layer.norm_final.weight", "output_layer.linear.weight", "output_layer.linear.bias",
        "output_layer.adaLN_modulation.weight", "output_layer.adaLN_modulation.bias",
      ])
    let plain = ParameterLayout(.small(blocks: 1, conditioning: nil)).entries.map(\.name)
    #expect(plain == names.filter { !$0.contains("sigma_map") && !$0.contains("adaLN") })
  }

  @Test(
    arguments: [
      (\.vocabularySize, 1, "vocabularySize is 1, expected 2 to 16777216"),
      (\.vocabularySize, 1 << 40, "vocabularySize is 1099511627776, expected 2 to 16777216"),
      (\.maskToken, 13, "maskToken is 13, expected 0 to 12"),
      (\.maskToken, -1, "maskToken is -1, expected 0 to 12"),
      (\.hiddenSize, 0, "hiddenSize is 0, expected 2 to 65536"),
      (\.numBlocks, 0, "numBlocks is 0, expected 1 to 1024"),
      (\.numHeads, 0, "numHeads is 0, expected 1 to 16"),
      (\.numHeads, 17, "numHeads is 17, expected 1 to 16"),
      (
        \.numHeads, 3, "numHeads is 3, expected heads of one even size, so that 2 · numHeads divides hiddenSize 16"
      ),
      (
        \.numHeads, 16, "numHeads is 16, expected heads of one even size, so that 2 · numHeads divides hiddenSize 16"
      ),
    ] as [(WritableKeyPath<TransformerConfiguration, Int> & Sendable, Int, String)])
  func aSizeThatDoesNotFitIsNamed(
    field: WritableKeyPath<TransformerConfiguration, Int> & Sendable, value: Int, text: String
  ) {
    var wrong = configuration
    wrong[keyPath: field] = value
    #expect(message { try wrong.validate() } == text)
    #expect(message { try TransformerWeights(wrong, seed: 0) } == text)
    #expect(message { try TransformerWeights(wrong, parameters: [:]) } == text)
  }

  @Test func otherFieldsThatDoNotFitAreNamed() {
    #expect(
      message { try TransformerConfiguration.small(conditioning: 0).validate() }
        == "conditioningSize is 0, expected 1 to 65536")
    for (dropout, text) in [(1, "1.0"), (-0.1, "-0.1"), (.nan, "nan")] as [(Double, String)] {
      #expect(
        message { try TransformerConfiguration.small(dropout: dropout).validate() }
          == "dropout is \(text), expected a number from 0 up to, not including, 1")
    }
  }

  @Test func configurationsSurviveTheirFile() throws {
    for conditioning in [nil, 8] {
      let configuration = TransformerConfiguration.small(conditioning: conditioning, dropout: 0.1)
      let data = try JSONEncoder().encode(configuration)
      #expect(try JSONDecoder().decode(TransformerConfiguration.self, from: data) == configuration)
    }
  }

  // MARK: Weights

  @Test func whatDoesNotFitIsListedAllAtOnce() {
    var weights = parameters(configuration)
    weights["blocks.0.norm1.weight"] = nil
    weights["blocks.1.mlp.0.bias"] = nil
    weights["output_layer.linear.bias"] = .zeros([12])
    weights["rotary_emb.inv_freq"] = .zeros([4])
    #expect(
      message { try TransformerWeights(configuration, parameters: weights) }
        == "the weights do not fit the configuration: 'blocks.0.norm1.weight' [16] is missing; "
        + "'blocks.1.mlp.0.bias' [64] is missing; 'output_layer.linear.bias' has shape [12], expected [13]; "
        + "'rotary_emb.inv_freq' is not expected")
  }

  @Test func longListsAreCut() throws {
    let error = try #require(throws: ParameterMismatch.self) { try TransformerWeights(configuration, parameters: [:]) }
    #expect(error.problems.count == ParameterLayout(configuration).entries.count)
    #expect(error.description.hasSuffix("; 'blocks.0.attn_out.weight' [16, 16] is missing; and 22 more"))
  }

  @Test func trainingStartsAsTheLayoutSays() throws {
    let model = try TransformerWeights(configuration, seed: 5)
    for (entry, tensor) in zip(ParameterLayout(configuration).entries, model.parameters) {
      let numbers: [Double] = tensor.array()
      switch entry.start {
      case .zeros: #expect(numbers.allSatisfy { $0 == 0 })
      case .ones: #expect(numbers.allSatisfy { $0 == 1 })
      case .uniform(let bound):
        #expect(numbers.allSatisfy { abs($0) <= bound })
        #expect(numbers.contains { abs($0) > bound / 2 })
        #expect(numbers.count < 8 || abs(numbers.mean) < 4 * bound / (3 * Double(numbers.count)).squareRoot())
      }
    }
    let again = try TransformerWeights(configuration, seed: 5)
    let other = try TransformerWeights(configuration, seed: 6)
    #expect(model["blocks.0.mlp.0.bias"].array(of: Float.self) == again["blocks.0.mlp.0.bias"].array())
    #expect(model["blocks.0.mlp.0.bias"].array(of: Float.self) != other["blocks.0.mlp.0.bias"].array())
    #expect(model["blocks.0.mlp.0.bias"].array(of: Float.self) != model["blocks.1.mlp.0.bias"].array())
  }

  @Test func aNetworkAtTheStartFindsEveryTokenEquallyLikely() throws {
    let network = try TransformerWeights(configuration, seed: 5).transformer()
    var batch = ScoredBatch()
    batch.append([([1, 5], .leftToRight(length: 2))], pattern: .causal, weights: [1], maskToken: 12)
    #expect(distance(network.loss(of: batch).nll.array(), [log(12), log(12)]) < 1e-6)
  }

  @Test func copiesHaveMemoryOfTheirOwn() throws {
    let model = TransformerWeights.random(configuration)
    let copy = try model.copy()
    withoutGradients { model["output_layer.linear.bias"].fill(0) }
    #expect(copy["output_layer.linear.bias"].maxAbs().item > 0)
    #expect(copy.names == model.names)
    #expect(copy["vocab_embed.embedding"].array(of: Float.self) == model["vocab_embed.embedding"].array())
  }

  @Test func weightsOfOtherTypesBecomeFloat32() throws {
    let wide = parameters(configuration).mapValues { $0.detached().to(.float64) }
    let model = try TransformerWeights(configuration, parameters: wide)
    #expect(model.parameters.allSatisfy { $0.dtype == .float32 })
  }

  // MARK: One pass for all

  /// Logits of some groups of sequences in one pass.
  private func logits(_ model: TransformerWeights, _ groups: [(AttentionPattern, [([Int32], GenerationOrder)])])
    -> Tensor
  {
    var input = NetworkInput()
    for (pattern, sequences) in groups { input.append(sequences, pattern: pattern, maskToken: 12) }
    return withoutGradients { model.transformer().logits(input) }
  }

  /// Sequences of which different numbers of slots are masked.
  private func sequences(length: Int, seed: UInt64) -> [([Int32], GenerationOrder)] {
    let positions = (0..<length).map { ($0 * 5 + 3) % length }
    return [0, 1, length, 3, 3].enumerated().map { index, cleanCount in
      (
        randomSequences(1, length: length, tokens: 12, seed: seed + UInt64(index))[0],
        GenerationOrder(positions: positions, cleanCount: cleanCount)
      )
    }
  }

  @Test(arguments: [AttentionPattern.causal, .twoStream])
  func aBatchEqualsItsSequencesOneByOne(pattern: AttentionPattern) {
    let model = TransformerWeights.random(configuration)
    let batch = sequences(length: 7, seed: 1)
    let together = logits(model, [(pattern, batch)])
    let alone = batch.filter { $0.1.maskedCount > 0 }.map { logits(model, [(pattern, [$0])]) }
    #expect(distance(together, .concatenated(alone)) < 1e-5)
  }

  @Test func groupsInOnePassEqualPassesOfTheirOwn() {
    let model = TransformerWeights.random(configuration)
    let groups: [(AttentionPattern, [([Int32], GenerationOrder)])] = [
      (.causal, sequences(length: 7, seed: 1)), (.twoStream, sequences(length: 4, seed: 11)),
      (.causal, sequences(length: 4, seed: 21)),
    ]
    let together = logits(model, groups)
    #expect(distance(together, .concatenated(groups.map { logits(model, [$0]) })) < 1e-5)
  }

  @Test func gradientsOfGroupsInOnePassAddUp() {
    let model = TransformerWeights.random(configuration)
    let groups: [(AttentionPattern, [([Int32], GenerationOrder)])] = [
      (.causal, sequences(length: 7, seed: 1)), (.twoStream, sequences(length: 7, seed: 11)),
    ]
    func loss(_ groups: [(AttentionPattern, [([Int32], GenerationOrder)])]) -> Tensor {
      var batch = ScoredBatch()
      for (pattern, sequences) in groups {
        batch.append(sequences, pattern: pattern, weights: sequences.map { _ in 0.1 }, maskToken: 12)
      }
      return model.transformer().loss(of: batch).loss
    }
    let together = gradients(of: { loss(groups) }, for: model.parameters)
    let parts = groups.map { group in gradients(of: { loss([group]) }, for: model.parameters) }
    for (whole, (first, second)) in zip(together, zip(parts[0], parts[1])) {
      #expect(distance(whole, first + second) < 1e-4)
    }
  }

  @Test func dropoutActsInTrainingOnly() {
    let model = TransformerWeights.random(.small(dropout: 0.5))
    var input = NetworkInput()
    input.append([([1, 2, 3], .leftToRight(length: 3))], pattern: .causal, maskToken: 12)
    withoutGradients {
      let still = model.transformer().logits(input)
      #expect(distance(still, model.transformer().logits(input)) == 0)
      #expect(distance(still, model.transformer(training: true).logits(input)) > 0.01)
    }
  }

  @Test func gradientsAreThoseOfFiniteDifferences() {
    let model = TransformerWeights.random(.small(vocabulary: 4, hidden: 4, blocks: 1, heads: 1, conditioning: 2))
    var batch = ScoredBatch()
    let order = GenerationOrder(positions: [2, 0, 1], cleanCount: 1)
    for pattern in [AttentionPattern.causal, .twoStream] {
      batch.append([([1, 0, 2], order)], pattern: pattern, weights: [0.5], maskToken: 3)
    }
    let loss = { model.transformer().loss(of: batch).loss }
    for (name, (found, expected)) in zip(
      model.names,
      zip(gradients(of: loss, for: model.parameters), numericalGradients(of: loss, for: model.parameters)))
    {
      #expect(distance(found, expected) < 5e-3, "\(name)")
    }
  }
}
