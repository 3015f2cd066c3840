import Evaluation
import Foundation
import TestSupport
import Testing
import Torch

@Suite("MAUVE")
struct MauveTests {
  private func recorded(_ name: String, _ file: String = "inputs") throws -> Tensor {
    try SafetensorsFile(contentsOf: "\(Fixtures.path(of: "mauve"))/\(file).safetensors").tensor(name)
  }

  private func options(buckets: Int? = nil, seed: UInt32 = 25) -> Mauve.Options {
    var options = Mauve.Options()
    options.buckets = buckets
    options.seed = seed
    return options
  }

  /// The clusters follow the reference's random numbers, so not only the range of scores is the same.
  @Test func eachSeedGivesItsRecordedScore() throws {
    let (p, q) = (try recorded("p_features"), try recorded("q_features"))
    let expected: [Double] = try recorded("scores_by_seed", "expected").array()
    for (seed, score) in expected.enumerated() {
      #expect(abs(try Mauve(p, q, options: options(buckets: 12, seed: UInt32(seed))).score - score) < 1e-6)
    }
  }

  /// Two clouds of texts, `apart` times as far from each other as each is wide.
  private func clouds(apart: Double, count: Int = 150) -> (Tensor, Tensor) {
    let p = Tensor.random([count, 12], seed: 1) + 0
    let shift = Tensor((0..<12).map { Float($0 % 3 == 0 ? apart : 0) }, shape: [1, 12])
    return (p, Tensor.random([count, 12], seed: 2) + shift)
  }

  @Test func scoresFallAsTextsMoveApart() throws {
    let scores = try [0, 0.5, 1, 4].map { apart in
      let (p, q) = clouds(apart: apart)
      return try Mauve(p, q, options: options(buckets: 6)).score
    }
    #expect(scores == scores.sorted(by: >))
    #expect(scores[0] > 0.9 && scores[3] < 0.1)
  }

  @Test func theSameTextsScoreOne() throws {
    let (p, _) = clouds(apart: 0)
    #expect(abs(try Mauve(p, p).score - 1) < 1e-9)
  }

  @Test func histogramsAreLawsOverTheBuckets() throws {
    let (p, q) = clouds(apart: 1)
    let mauve = try Mauve(p, q, options: options(buckets: 9))
    #expect(mauve.p.count == 9 && mauve.q.count == 9)
    for distribution in [mauve.p, mauve.q] {
      #expect(abs(distribution.reduce(0, +) - 1) < 1e-12 && distribution.allSatisfy { $0 >= 0 })
    }
    #expect((1...12).contains(mauve.components))
  }

  @Test func aTenthOfTheTextsMakesTheBuckets() throws {
    for (count, buckets) in [(4, 2), (25, 2), (35, 4), (150, 15)] {
      let (p, q) = clouds(apart: 1, count: count)
      #expect(try Mauve(p, q).p.count == buckets)
    }
  }

  /// Far more texts than a clustering learns from, clusters that run empty, as many clusters as texts, and texts that
  /// are all the same.
  @Test func extremesHaveAScore() throws {
    let (p, q) = clouds(apart: 4, count: 700)
    #expect((0...0.2).contains(try Mauve(p, q, options: options(buckets: 2)).score))
    let (few, other) = clouds(apart: 1, count: 3)
    #expect(abs(try Mauve(few, other, options: options(buckets: 6)).score - 0) < 0.02)
    let same = Tensor.full([20, 4], 0.5)
    #expect(abs(try Mauve(same, same, options: options(buckets: 5)).score - 1) < 1e-9)
    #expect(abs(try Mauve(.zeros([5, 4]), .zeros([5, 4])).score - 1) < 1e-9)
  }

  @Test func whatCannotBeComparedIsRefused() {
    let p = Tensor.zeros([3, 4])
    #expect(message { try Mauve(p, .zeros([0, 4])) } == "MAUVE needs texts on both sides, found 3, 0")
    #expect(message { try Mauve(p, .zeros([3, 5])) } == "MAUVE needs features of one size, found 4, 5")
    #expect(
      message { try Mauve(p, p, options: options(buckets: 7)) }
        == "MAUVE's buckets are 7, expected 2 to the number of texts 6")
    #expect(message { try Mauve(p, .full([3, 4], .nan)) } == "MAUVE's features hold a number that is none")
  }

  // MARK: The curve

  @Test func aCurveRunsBetweenItsExtremes() {
    let curve = DivergenceCurve([0.5, 0.3, 0.2, 0], [0, 0.1, 0.4, 0.5])
    #expect(curve.points.count == 27)
    #expect(
      curve.points.first == DivergenceCurve.Point(x: 1, y: 0) && curve.points.last == DivergenceCurve.Point(x: 0, y: 1))
    let (xs, ys) = (curve.points.map(\.x), curve.points.map(\.y))
    #expect(xs == xs.sorted(by: >) && ys == ys.sorted())
    #expect((0...1).contains(curve.area))
  }

  @Test func theAreaIsOneForEqualLawsAndSmallForDisjointOnes() {
    #expect(abs(DivergenceCurve([0.25, 0.75], [0.25, 0.75]).area - 1) < 1e-12)
    // By hand: the coordinates are wᶜ and (1 − w)ᶜ, whose area in the limit is c·B(c, c + 1) = 1/252 for c = 5.
    #expect(abs(DivergenceCurve([1, 0], [0, 1], mixtures: 2000).area - 1 / 252.0) < 1e-5)
  }

  @Test func theCurveIsTheSameFromBothSides() {
    let (p, q) = ([0.5, 0.3, 0.2], [0.1, 0.1, 0.8])
    #expect(abs(DivergenceCurve(p, q).area - DivergenceCurve(q, p).area) < 1e-12)
  }
}
