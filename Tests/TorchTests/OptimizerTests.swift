import Foundation
import TestSupport
import Testing
import Torch

@Suite("Optimiser")
struct OptimizerTests {
  /// AdamW as Loshchilov & Hutter's paper writes it, for one number.
  private struct ScalarAdamW {
    var weight: Double
    var first = 0.0
    var second = 0.0

    mutating func update(_ gradient: Double, _ adam: AdamW, step: Int, learningRate: Double) {
      weight *= 1 - learningRate * adam.weightDecay
      first = adam.beta1 * first + (1 - adam.beta1) * gradient
      second = adam.beta2 * second + (1 - adam.beta2) * gradient * gradient
      let mean = first / (1 - pow(adam.beta1, Double(step)))
      let square = second / (1 - pow(adam.beta2, Double(step)))
      weight -= learningRate * mean / (square.squareRoot() + adam.epsilon)
    }
  }

  @Test(arguments: [(0.9, 0.999, 1e-8, 0.0), (0.9, 0.999, 1e-8, 0.1), (0.5, 0.8, 1e-2, 0.02)])
  func updatesAreThoseOfThePaper(beta1: Double, beta2: Double, epsilon: Double, decay: Double) {
    var adam = AdamW()
    (adam.beta1, adam.beta2, adam.epsilon, adam.weightDecay) = (beta1, beta2, epsilon, decay)
    let shapes = [[3], [2, 2], []]
    let parameters = shapes.enumerated().map { Tensor.parameter($1, seed: UInt64($0)) }
    let moments = (0..<2).map { _ in shapes.map { Tensor.zeros($0) } }
    var reference = parameters.flatMap { $0.array(of: Double.self).map { ScalarAdamW(weight: $0) } }

    for step in 1...6 {
      let slopes = shapes.enumerated().map { Tensor.random($1, seed: UInt64(100 * step + $0)) }
      let learningRate = 0.02 / Double(step)
      adam.update(
        parameters, gradients: slopes, firstMoments: moments[0], secondMoments: moments[1], step: step,
        learningRate: learningRate)
      for (index, slope) in slopes.flatMap({ $0.array(of: Double.self) }).enumerated() {
        reference[index].update(slope, adam, step: step, learningRate: learningRate)
      }
      #expect(distance(parameters.flatMap { $0.array() }, reference.map(\.weight)) < 1e-6)
      #expect(distance(moments[0].flatMap { $0.array() }, reference.map(\.first)) < 1e-6)
      #expect(distance(moments[1].flatMap { $0.array() }, reference.map(\.second)) < 1e-6)
    }
  }

  @Test func theFirstUpdateIsTheLearningRateInSize() {
    let weight = Tensor([1, 1, 1] as [Float])
    let moments = [Tensor.zeros([3]), Tensor.zeros([3])]
    AdamW().update(
      [weight], gradients: [Tensor([3, -1e-3, 0] as [Float])], firstMoments: [moments[0]], secondMoments: [moments[1]],
      step: 1, learningRate: 0.25)
    #expect(distance(weight.array(), [0.75, 1.25, 1]) < 1e-5)
  }

  @Test func theNormIsThatOfAllTensorsTogether() {
    let tensors = [
      Tensor([3, 0] as [Float]), Tensor([4] as [Float], shape: [1, 1]), Tensor([12] as [Float], shape: []),
    ]
    #expect(abs(tensors.norm - 13) < 1e-5)
    #expect(AdamW.clipping(13, to: 26) == 1)
    #expect(abs(AdamW.clipping(13, to: 1.3) - 0.1) < 1e-6)
  }

  @Test func aNormThatIsNoNumberIsReported() {
    #expect([Tensor([.nan, 1] as [Float])].norm.isNaN)
    #expect([Tensor([.infinity] as [Float])].norm == .infinity)
  }

  /// More numbers than one piece of the work, and some behind the last vector.
  @Test func scaledGradientsAndAveragesAreThoseOfSingleOperations() {
    let count = 40_003
    func copy(_ tensor: Tensor) -> Tensor { tensor + 0 }
    let (start, slope) = (Tensor.random([count], seed: 1), Tensor.random([count], seed: 2))
    let (whole, scaled, average) = (copy(start), copy(start), Tensor.random([count], seed: 3))
    let (old, adam) = (copy(average), AdamW())
    func moments() -> [Tensor] { [Tensor.zeros([count]), Tensor.zeros([count])] }
    let (some, others) = (moments(), moments())
    adam.update(
      [whole], gradients: [slope * 0.25], firstMoments: [some[0]], secondMoments: [some[1]], step: 3,
      learningRate: 0.1)
    adam.update(
      [scaled], gradients: [slope], scaledBy: 0.25, firstMoments: [others[0]], secondMoments: [others[1]],
      averages: [average], movingBy: 0.25, step: 3, learningRate: 0.1)
    #expect(distance(scaled.array(), whole.array()) < 1e-6)
    #expect(distance(others[1].array(), some[1].array()) < 1e-6)
    #expect(distance(average.array(), (old * 0.75 + whole * 0.25).array()) < 1e-6)
    #expect(distance(whole.array(), start.array()) > 0.01)
  }

  @Test func settingsSurviveTheirFile() throws {
    var adam = AdamW()
    adam.weightDecay = 0.1
    #expect(try JSONDecoder().decode(AdamW.self, from: JSONEncoder().encode(adam)) == adam)
  }
}
