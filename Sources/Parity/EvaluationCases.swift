import Evaluation
import Files
import Torch

// Judging generated text: GPT-2, Gen. PPL, entropy, MAUVE.
extension Parity {
  /// The expected tensor that holds MAUVE's score for several seeds.
  static let scoresBySeed = "scores_by_seed"

  static func metrics(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let path = "\(parityCase.folder)/config.json"
    let settings: MetricsSettings = try JSONFile.read(from: path)
    let judge = try GPT2(folder: "\(parityCase.folder)/judge", device: parityCase.device)
    guard judge.contextLength == settings.window, judge.endOfText == settings.eos else {
      throw FileError(
        "\(path): fields 'window' and 'eos' are \(settings.window) and \(settings.eos), "
          + "the judge has \(judge.contextLength) and \(judge.endOfText)")
    }
    let samples = try parityCase.tokens("ids", vocabularySize: judge.vocabularySize)
    guard let length = samples.first?.count, length > settings.window, length <= 2 * settings.window else {
      throw FileError("\(parityCase.inputs.path): 'ids' does not make two windows of \(settings.window)")
    }
    var perplexity = GenerativePerplexity()
    try perplexity.add(samples, judge: judge)
    return [
      "logits_first_window": judge.logits(samples.map { Array($0[..<settings.window]) }).array(),
      "logits_second_window": judge.logits(samples.map { Array($0[settings.window...]) }).array(),
      "nll_sum": [perplexity.nllSum],
      "count": [Double(perplexity.count)],
      "perplexity": perplexity.perplexity.map { [$0] } ?? [],
      "sample_entropy": samples.map(SampleStatistics.entropy),
    ]
  }

  private struct MetricsSettings: Decodable {
    var eos: Int32
    var window: Int
  }

  static func mauve(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let settings: MauveSettings = try JSONFile.read(from: "\(parityCase.folder)/config.json")
    func features(_ name: String) throws -> Tensor {
      let tensor = try parityCase.inputs.tensor(name)
      guard tensor.rank == 2 else {
        throw FileError("\(parityCase.inputs.path): '\(name)' has shape \(tensor.shape), expected two dimensions")
      }
      return tensor
    }
    let (p, q) = (try features("p_features"), try features("q_features"))
    func score(_ other: Tensor, seed: Int) throws -> Double {
      var options = Mauve.Options()
      options.buckets = settings.buckets
      options.seed = UInt32(seed)
      return try Mauve(p, other, options: options).score
    }
    let (pLaw, qLaw) = (try parityCase.numbers("p_histogram"), try parityCase.numbers("q_histogram"))
    guard pLaw.count == qLaw.count, (pLaw + qLaw).allSatisfy({ $0 >= 0 }) else {
      throw FileError(
        "\(parityCase.inputs.path): 'p_histogram' and 'q_histogram' are no distributions over the same buckets")
    }
    let curve = DivergenceCurve(pLaw, qLaw)
    return [
      "curve": curve.points.flatMap { [$0.x, $0.y] },
      "area_of_curve": [curve.area],
      "score_of_identical": [try score(p, seed: 0)],
      scoresBySeed: try (0..<8).map { try score(q, seed: $0) },
    ]
  }

  private struct MauveSettings: Decodable {
    var buckets: Int

    enum CodingKeys: String, CodingKey { case buckets = "num_buckets" }
  }
}
