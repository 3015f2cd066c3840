import Evaluation
import Foundation
import TestSupport
import Testing

@Suite("Sample statistics")
struct SampleStatisticsTests {
  /// Probabilities by hand, entropies from them.
  @Test(
    arguments: [
      ([7, 7, 7, 7], [1]), ([1, 2, 3, 4], [0.25, 0.25, 0.25, 0.25]), ([1, 1, 2, 2], [0.5, 0.5]),
      ([1, 1, 1, 2], [0.75, 0.25]), ([], []),
    ] as [([Int32], [Double])])
  func entropyIsThatOfTheHistogram(sample: [Int32], distribution: [Double]) {
    let entropy = distribution.reduce(0.0) { $0 - $1 * log($1) }
    #expect(abs(SampleStatistics.entropy(of: sample) - entropy) < 1e-12)
  }

  @Test func distinctGramsAreCountedOverAllSamples() throws {
    let samples: [[Int32]] = [[1, 2, 1, 2], [1, 2, 3], [9]]
    #expect(SampleStatistics.distinct(1, of: samples) == 4.0 / 8)
    #expect(SampleStatistics.distinct(2, of: samples) == 3.0 / 5)
    #expect(SampleStatistics.distinct(3, of: samples) == 1)
    #expect(SampleStatistics.distinct(4, of: samples) == 1)
    #expect(SampleStatistics.distinct(5, of: samples) == nil)
  }

  @Test func repetitionIsWithinASample() {
    #expect(SampleStatistics.repetition(1, of: [5, 5, 5, 5]) == 0.75)
    #expect(SampleStatistics.repetition(2, of: [1, 2, 1, 2, 1]) == 0.5)
    #expect(SampleStatistics.repetition(2, of: [1, 2, 3, 4]) == 0)
    #expect(SampleStatistics.repetition(3, of: [1, 2]) == nil)
  }

  @Test func aSummaryAveragesOverSamples() throws {
    let summary = SampleSummary([[1, 1, 1, 1, 1], [1, 2, 3, 4, 5], [1, 2, 3]])
    #expect(summary.samples == 3)
    #expect(abs(summary.entropy - (log(5) + log(3)) / 3) < 1e-12)
    let deviations: [Double] = [0, log(5), log(3)]
    #expect(abs(try #require(summary.entropyError) - deviations.standardError) < 1e-12)
    #expect(summary.distinct.map { $0.map { ($0 * 1000).rounded() } } == [385, 500, 571, 750])
    // The third is too short for 4-grams.
    #expect(summary.selfRepetition == 0.25)
  }

  @Test func whatIsTooShortIsUnknown() {
    let summary = SampleSummary([[1], [2]])
    #expect(summary.distinct == [1, nil, nil, nil])
    #expect(summary.selfRepetition == nil)
    #expect(SampleSummary([[1, 2]]).entropyError == nil)
  }
}
