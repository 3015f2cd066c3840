import EsoLM
import TestSupport
import Testing

@Suite("Noise schedule")
struct NoiseScheduleTests {
  @Test(arguments: [0, 0.0625, 0.5, 1])
  func alphaFallsInAStraightLine(alpha0: Double) {
    let schedule = try! NoiseSchedule(alpha0: alpha0)
    #expect(schedule.alpha(at: 0) == alpha0)
    #expect(abs(schedule.alpha(at: 1) - alpha0 * 1e-3) < 1e-15)
    for t in stride(from: 0, through: 0.9, by: 0.1) {
      let slope = (schedule.alpha(at: t + 0.1) - schedule.alpha(at: t)) / 0.1
      #expect(abs(slope - schedule.alphaDerivative) < 1e-12)
    }
  }

  @Test func theWeightIsTheDerivativeOverTheMaskedShare() {
    let schedule = try! NoiseSchedule(alpha0: 0.5)
    for t in [1e-3, 0.3, 1] {
      #expect(abs(schedule.lossWeight(at: t) * (1 - schedule.alpha(at: t)) + schedule.alphaDerivative) < 1e-12)
      #expect(schedule.lossWeight(at: t) > 0)
    }
    #expect(try! NoiseSchedule(alpha0: 0).lossWeight(at: 0.5) == 0)
    // For α₀ = 1 the masked share is (1 − ε) t.
    #expect(abs(try! NoiseSchedule(alpha0: 1).lossWeight(at: 0.25) - 4) < 1e-12)
  }

  @Test(arguments: [1, 2, 7, 64])
  func timesCoverTheIntervalEvenly(count: Int) {
    for uniform in [0, 0.3, 0.999] {
      let times = NoiseSchedule.antitheticTimes(uniforms: Array(repeating: uniform, count: count))
      for (index, time) in times.enumerated() {
        let part = (time - 1e-3) / (1 - 1e-3) * Double(count)
        #expect((Double(index) - 1e-9...Double(index + 1) + 1e-9).contains(part))
      }
    }
    #expect(NoiseSchedule.antitheticTimes(uniforms: []) == [])
  }
}
