import Foundation
import Runs
import TestSupport
import Testing
import Training

@Suite("Learning rates")
struct LearningRateTests {
  private func rates(_ steps: Int, _ change: (inout LearningRateSchedule) -> Void) -> [Double] {
    var schedule = LearningRateSchedule(peak: 2)
    change(&schedule)
    return (0..<steps).map { schedule.rate(step: $0, of: steps) }
  }

  @Test func aWarmUpRisesFromZero() {
    #expect(rates(6) { $0.warmupSteps = 4 } == [0, 0.5, 1, 1.5, 2, 2])
  }

  @Test func aLineFallsToItsShareAtTheLastUpdate() {
    let found = rates(7) { ($0.warmupSteps, $0.decay, $0.finalShare) = (2, .linear, 0.2) }
    #expect(zip(found, [0, 1, 2, 1.6, 1.2, 0.8, 0.4]).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func aCosineFallsSlowlyAtBothEnds() {
    let found = rates(5) { $0.decay = .cosine }
    let expected = [2, 1 + cos(Double.pi / 4), 1, 1 - cos(Double.pi / 4), 0]
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func stepsMultiplyAgainAndAgain() {
    #expect(
      rates(7) { ($0.warmupSteps, $0.decay, $0.interval, $0.factor) = (1, .step, 2, 0.5) } == [0, 2, 2, 1, 1, 0.5, 0.5])
  }

  @Test func everyDecayIsNeverAboveItsPeakNorBelowZero() {
    for decay in LearningRateSchedule.Decay.allCases {
      for steps in [1, 2, 3, 50] {
        let found = rates(steps) { ($0.warmupSteps, $0.decay) = (3, decay) }
        #expect(found.allSatisfy { (0...2).contains($0) })
      }
    }
  }

  @Test func badValuesAreRefusedByName() {
    for (field, change) in [
      ("learningRate", { $0.peak = 0 }), ("learningRate", { $0.peak = .nan }), ("warmupSteps", { $0.warmupSteps = -1 }),
      ("finalShare", { $0.finalShare = 1.5 }), ("decayInterval", { $0.interval = 0 }),
      ("decayFactor", { $0.factor = 0 }),
    ] as [(String, (inout LearningRateSchedule) -> Void)] {
      var schedule = LearningRateSchedule(peak: 1)
      change(&schedule)
      #expect(refusedField { try schedule.validate() } == field)
    }
  }
}
