import Corpora
import EsoLM
import Runs
import TestSupport
import Testing
import Tokenizers

@Suite("Bad values")
struct BadValueTests {
  private typealias Change = (inout RunConfiguration) -> Void

  private let changes: [(String, Change)] = [
    ("formatVersion", { $0.formatVersion = 0 }), ("formatVersion", { $0.formatVersion = .max }),
    ("validationFraction", { $0.data.validationFraction = 0 }),
    ("validationFraction", { $0.data.validationFraction = 1 }),
    ("validationFraction", { $0.data.validationFraction = .nan }),
    ("sequences", { $0.data.source = .toyLanguage(sequences: 0, seed: 0) }),
    ("sequences", { $0.data.source = .toyLanguage(sequences: .min, seed: 0) }),
    ("sequences", { $0.data.source = .toyLanguage(sequences: .max, seed: 0) }),
    ("conditioningSize", { $0.model.conditioningSize = nil }), ("batchSize", { $0.training.batchSize = 1 }),
    ("batchSize", { $0.training.batchSize = 0 }), ("batchSize", { $0.training.batchSize = .max }),
    ("steps", { $0.training.steps = 0 }), ("steps", { $0.training.steps = .min }),
    ("learningRate", { $0.training.learningRate = 0 }), ("learningRate", { $0.training.learningRate = .nan }),
    ("learningRate", { $0.training.learningRate = .infinity }), ("warmupSteps", { $0.training.warmupSteps = -1 }),
    ("weightDecay", { $0.training.weightDecay = -1 }), ("weightDecay", { $0.training.weightDecay = .nan }),
    ("weightDecay", { $0.training.weightDecay = .infinity }), ("gradientClip", { $0.training.gradientClip = 0 }),
    ("gradientClip", { $0.training.gradientClip = .nan }), ("emaDecay", { $0.training.emaDecay = 1 }),
    ("emaDecay", { $0.training.emaDecay = -1 }), ("emaDecay", { $0.training.emaDecay = .nan }),
    ("validationInterval", { $0.training.validationInterval = 0 }),
    ("validationSequences", { $0.training.validationSequences = 0 }),
    ("saveInterval", { $0.training.saveInterval = 0 }),
    ("keepLast", { $0.training.keepLast = 0 }), ("keepLast", { $0.training.keepLast = .min }),
  ]

  private let good = RunConfiguration(
    method: MethodConfiguration(alpha0: 0.5, length: 8), model: .small(),
    data: DataConfiguration(source: .toyLanguage(sequences: 4, seed: 0)), training: TrainingConfiguration())

  @Test func everyFieldOfARun() throws {
    try good.validate()
    for (field, change) in changes {
      var configuration = good
      change(&configuration)
      #expect(refusedField { try configuration.validate() } == field)
    }
  }

  @Test func dataThatCannotBeMade() {
    func corpus(_ data: DataConfiguration, length: Int = 8) -> String? {
      refusedField { try Corpus(data, length: length, tokenizer: ToyLanguage.tokenizer) }
    }
    for sequences in badCounts + [1, .max] {
      #expect(corpus(DataConfiguration(source: .toyLanguage(sequences: sequences, seed: 0))) == "sequences")
    }
    for share in badShares + [0, 1] {
      #expect(corpus(DataConfiguration(source: good.data.source, validationFraction: share)) == "validationFraction")
    }
    for length in badCounts + [.max] {
      #expect(corpus(good.data, length: length)?.hasPrefix("length is \(length); ") == true)
    }
  }
}
