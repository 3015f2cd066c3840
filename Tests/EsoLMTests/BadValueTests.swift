import EsoLM
import TestSupport
import Testing
import Torch

/// What no value makes sense of is refused with the field's name, and nothing traps.
@Suite("Bad values")
struct BadValueTests {
  private let configuration = TransformerConfiguration.small()

  @Test(arguments: badShares) func alpha0(share: Double) throws {
    let network = TransformerWeights.random(configuration).transformer()
    #expect(refusedField { try NoiseSchedule(alpha0: share) } == "alpha0")
    #expect(refusedField { try HybridObjective(alpha0: share) } == "alpha0")
    #expect(refusedField { try EsotericMethod(alpha0: share) } == "alpha0")
    #expect(refusedField { try Likelihood(network, alpha0: share) } == "alpha0")
    #expect(refusedField { try MethodConfiguration(alpha0: share, length: 8).validate() } == "alpha0")
    let request = GenerationRequest(length: 8, alpha0: share)
    #expect(refusedField { try EsotericMethod(alpha0: 1).generation(request, for: configuration) } == "alpha0")
  }

  @Test(arguments: [-1, .nan, Double.infinity, -Double.infinity]) func temperature(value: Double) {
    #expect(refusedField { try TokenPicker(temperature: value) } == "temperature")
  }

  @Test(arguments: badShares + [0]) func topP(share: Double) {
    #expect(refusedField { try TokenPicker(topP: share) } == "top-p")
  }

  @Test(arguments: badCounts) func counts(count: Int) {
    #expect(refusedField { try TokenPicker(topK: count) } == "top-k")
    #expect(refusedField { try BlockDiffusionMethod(blockSize: count) } == "blockSize")
    let configuration = MethodConfiguration(algorithm: Algorithm(rawValue: "bd3lm")!, blockSize: count, length: 8)
    #expect(refusedField { try configuration.validate() } == "blockSize")
  }

  @Test(arguments: badCounts + [1, .max]) func methodLength(length: Int) {
    for algorithm in Algorithm.all {
      let configuration = MethodConfiguration(algorithm: algorithm, length: length).filledWithUsual()
      #expect(refusedField { try configuration.validate() } == "length")
    }
  }

  @Test(arguments: [(0.5, 0.5), (1, 0), (-0.1, 1), (0, 1.1), (.nan, 1), (0, .nan), (0, .infinity)])
  func noiseRange(low: Double, high: Double) {
    var configuration = MethodConfiguration(algorithm: Algorithm(rawValue: "bd3lm")!, blockSize: 4, length: 8)
    configuration.noiseRange = .fixed(low: low, high: high)
    #expect(refusedField { try configuration.validate() } == "noiseRange")
    guard low < high else { return }
    #expect(refusedField { try BlockDiffusionMethod(blockSize: 4, noiseRange: low...high) } == "noiseRange")
  }

  @Test func sizesOfANetwork() {
    let fields: [(String, WritableKeyPath<TransformerConfiguration, Int>, [Int])] = [
      ("vocabularySize", \.vocabularySize, [0, 1, -1, .min, .max]), ("maskToken", \.maskToken, [-1, 13, .min, .max]),
      ("hiddenSize", \.hiddenSize, [0, 1, -1, .min, .max]), ("numBlocks", \.numBlocks, [0, -1, .min, .max]),
      ("numHeads", \.numHeads, [0, -1, 3, 16, .min, .max]),
    ]
    for (name, field, values) in fields {
      for value in values {
        var configuration = configuration
        configuration[keyPath: field] = value
        #expect(refusedField { try configuration.validate() } == name, "\(value)")
        #expect(refusedField { try TransformerWeights(configuration, seed: 1) } == name)
        #expect(refusedField { try TransformerWeights(configuration, parameters: [:]) } == name)
      }
    }
    for size in [0, -1, .min, .max] {
      var configuration = configuration
      configuration.conditioningSize = size
      #expect(refusedField { try configuration.validate() } == "conditioningSize")
      #expect(refusedField { try TransformerConfiguration(.tiny, vocabularySize: size).validate() } == "vocabularySize")
    }
    for dropout in badShares + [1] {
      var configuration = configuration
      configuration.dropout = dropout
      #expect(refusedField { try configuration.validate() } == "dropout")
    }
  }

  /// Each with every method.
  @Test func requests() throws {
    typealias Change = (inout GenerationRequest) -> Void
    let changes: [(String, Change)] = [
      ("template", { $0.template[0] = -1 }), ("template", { $0.template[0] = 13 }),
      ("template", { $0.template[0] = 12 }),
      ("template", { $0.template[0] = .max }), ("template", { $0.template = [1, 1, 1, 1] }),
      ("length", { $0.template = [] }), ("number", { $0.number = -1 }), ("number", { $0.number = .min }),
      ("alternativeCount", { $0.alternativeCount = -1 }), ("alternativeCount", { $0.alternativeCount = .max }),
      ("steps", { $0.steps = 0 }), ("steps", { $0.steps = -1 }), ("steps", { $0.steps = .min }),
      ("steps", { $0.steps = .max }),
    ]
    for algorithm in Algorithm.all {
      let method = try MethodConfiguration(algorithm: algorithm, length: 4).filledWithUsual()
        .method(for: TextTokens(mask: 12, beginning: 0, end: 0))
      for (field, change) in changes {
        var request = GenerationRequest(length: 4)
        change(&request)
        #expect(refusedField { try method.generation(request, for: configuration) } == field, "\(method.title)")
      }
      for length in badCounts + [.max] {
        let request = GenerationRequest(length: length)
        #expect(
          message { try method.generation(request, for: configuration) }?.hasPrefix("length is \(length), ") == true)
      }
    }
  }

  @Test func plans() {
    for steps in [[[]], [[0], []], [[0, 0]], [[0], [0]], [[-1]], [[.min]]] as [[[Int]]] {
      #expect(refusedField { try UnmaskingPlan(steps: steps) } == "steps")
    }
    for count in [-1, 3, .min, .max] {
      #expect(refusedField { try UnmaskingPlan(steps: [[0], [1]], diffusionStepCount: count) } == "diffusionStepCount")
    }
  }

  /// Clamped, as their comments say.
  @Test(arguments: badCounts) func placesAndMemory(count: Int) throws {
    let network = CachedTransformer(TransformerWeights.random(configuration).transformer())
    let sampler = Sampler(network, places: count, prefixMemory: count)
    for number in 0..<2 {
      // As many given tokens as are kept for later sequences.
      let request = GenerationRequest(template: Array(repeating: 1, count: 12) + [nil, nil], number: number)
      sampler.add(try EsotericMethod(alpha0: 1).generation(request, for: configuration))
    }
    #expect(try sampler.finish().count == 2)
  }
}
