import Faults
import Foundation

/// What samples say of themselves, without a judge: whether they are varied or repeat.
///
/// Tokens are those of the run that wrote the samples.
public enum SampleStatistics {
  /// The entropy, in nats, of the histogram of a sample's tokens; 0 for an empty sample.
  ///
  /// A sample of one repeated token has 0, one of L different tokens log L. Low values together with a good Gen. PPL
  /// are the mark of text that a judge likes because it repeats.
  public static func entropy(of sample: [Int32]) -> Double {
    let total = Double(sample.count)
    // In a fixed order: a sum depends on it in its last digits, and a dictionary's order is another in every process.
    return histogram(sample.map { $0 }).values.sorted().reduce(0) { sum, count in
      let share = Double(count) / total
      return sum - share * log(share)
    }
  }

  /// distinct-n (Li et al. 2016): how many different n-grams all samples together hold, over how many they hold; nil if
  /// no sample is n tokens long.
  ///
  /// - Precondition: n is at least 1.
  public static func distinct(_ n: Int, of samples: [[Int32]]) -> Double? {
    let all = samples.flatMap { grams($0, n) }
    return all.isEmpty ? nil : Double(Set(all).count) / Double(all.count)
  }

  /// Self-repetition of a sample (seq-rep-n of Welleck et al. 2020): the share of its n-grams that occurred in it
  /// before; nil if it is shorter than n tokens.
  ///
  /// - Precondition: n is at least 1.
  public static func repetition(_ n: Int, of sample: [Int32]) -> Double? {
    let all = grams(sample, n)
    return all.isEmpty ? nil : 1 - Double(Set(all).count) / Double(all.count)
  }

  private static func histogram<Element: Hashable>(_ elements: [Element]) -> [Element: Int] {
    elements.reduce(into: [:]) { $0[$1, default: 0] += 1 }
  }

  private static func grams(_ sample: [Int32], _ n: Int) -> [ArraySlice<Int32>] {
    trap(unless: n >= 1, "n-grams of \(n) tokens")
    return sample.count < n ? [] : (0...sample.count - n).map { sample[$0..<$0 + n] }
  }
}

/// The statistics of a set of samples, as a report shows them.
public struct SampleSummary: Codable, Sendable, Equatable {
  /// How many samples there are.
  public let samples: Int
  /// The entropy of a sample's tokens, in nats, averaged over samples.
  public let entropy: Double
  /// The standard error of `entropy`; of one sample it is unknown.
  public let entropyError: Double?
  /// distinct-n for n = 1, 2, 3, 4; nil where samples are too short.
  public let distinct: [Double?]
  /// The share of a sample's 4-grams that occurred in it before, averaged over samples; nil where all are too short.
  public let selfRepetition: Double?

  /// The n of `selfRepetition`.
  public static let repetitionLength = 4

  /// - Precondition: there is a sample.
  public init(_ samples: [[Int32]]) {
    self.samples = samples.count
    let estimate = PerplexityEvaluation.Estimate(
      sums: samples.map(SampleStatistics.entropy), counts: samples.map { _ in 1 })
    (entropy, entropyError) = (estimate.nats, estimate.standardError)
    distinct = (1...4).map { SampleStatistics.distinct($0, of: samples) }
    let repetitions = samples.compactMap { SampleStatistics.repetition(Self.repetitionLength, of: $0) }
    selfRepetition = repetitions.isEmpty ? nil : repetitions.reduce(0, +) / Double(repetitions.count)
  }
}
