import Foundation
import TestSupport
import Testing
import Torch

/// Products with weights of each precision, in each form that the machine can run.
@Suite("Linear weights")
struct LinearWeightTests {
  struct Size: Sendable {
    let rows: Int
    let inputs: Int
    let outputs: Int
  }

  /// One to 17 rows, sizes with and without rests, longer than a strip.
  static let sizes =
    (1...17).map { Size(rows: $0, inputs: [64, 768, 48, 100, 7][$0 % 5], outputs: [4, 33, 130, 1, 300][$0 % 5]) }
    + [Size(rows: 70, inputs: 129, outputs: 515), Size(rows: 5, inputs: 3072, outputs: 70)]

  private let forms = Instructions.allCases.filter { $0 <= .best }

  private func layer(_ size: Size) -> (x: Tensor, weight: Tensor, bias: Tensor) {
    (
      .random([size.rows, size.inputs], seed: 1), .random([size.outputs, size.inputs], seed: 2),
      .random([size.outputs], seed: 3)
    )
  }

  @Test(arguments: sizes, [Precision.float32, .bfloat16]) func numbersAreThoseOfFloat64(
    size: Size, precision: Precision
  ) {
    let (x, weight, bias) = layer(size)
    let rounded = LinearWeight(weight).packed(in: precision)
    let wide = x.to(.float64).linear(rounded.dense.to(.float64), bias: bias.to(.float64))
    // Sums of so many products, each up to 1.
    let tolerance = 1e-7 * Double(size.inputs)
    for instructions in forms {
      #expect(
        distance(x.multiplied(by: rounded, bias: bias, instructions: instructions), wide) < tolerance, "\(instructions)"
      )
      #expect(
        distance(x.multiplied(by: rounded, bias: bias, gelu: true, instructions: instructions), wide.gelu())
          < tolerance, "\(instructions)")
    }
  }

  /// Rounded to the nearest integer of 127 steps, each row with a scale of its own.
  private func quantised(_ row: [Float]) -> (integers: [Int], scale: Float) {
    let range = row.map(abs).max()!
    guard range > 0 else { return (row.map { _ in 0 }, 0) }
    return (row.map { Int(($0 * (127 / range)).rounded(.toNearestOrEven)) }, range / 127)
  }

  @Test(arguments: sizes) func int8SumsAreExact(size: Size) {
    let (x, weight, bias) = layer(size)
    let rounded = LinearWeight(weight).packed(in: .int8)
    func rows(_ x: Tensor) -> [(integers: [Int], scale: Float)] {
      let all = x.array(of: Float.self)
      return (0..<x.size(0)).map { quantised(Array(all[$0 * x.size(1)..<($0 + 1) * x.size(1)])) }
    }
    let (inputs, weights, biases) = (rows(x), rows(weight), bias.array(of: Float.self))
    let dense = zip(rounded.dense.array(of: Float.self), 0...).map { number, place in
      let scale = weights[place / size.inputs].scale
      return scale == 0 ? 0 : Int((number / scale).rounded())
    }
    #expect(dense == weights.flatMap(\.integers))
    #expect(rounded.packed!.scales!.array(of: Float.self) == weights.map(\.scale))
    let expected = inputs.flatMap { input in
      zip(weights, biases).map { weight, bias in
        let sum = zip(input.integers, weight.integers).reduce(0) { $0 + $1.0 * $1.1 }
        return Float(sum) * (weight.scale * input.scale) + bias
      }
    }
    var before: [Float]?
    for instructions in forms {
      let found = x.multiplied(by: rounded, bias: bias, instructions: instructions).array(of: Float.self)
      #expect(distance(found.map(Double.init), expected.map(Double.init)) < 1e-6, "\(instructions)")
      // Sums are exact, and what follows them differs by a rounding at most.
      if let before { #expect(zip(found, before).allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($0)) }) }
      before = found
    }
  }

  /// The same bits alone, among others, and on more threads.
  @Test(arguments: sizes, Precision.allCases) func aRowDoesNotDependOnOthers(size: Size, precision: Precision) {
    let (x, weight, bias) = layer(size)
    let rounded = LinearWeight(weight).packed(in: precision)
    for instructions in forms {
      let all = x.multiplied(by: rounded, bias: bias, gelu: true, instructions: instructions).array(of: Float.self)
      for threads in [1, 2, 3] {
        withThreads(threads) {
          for count in Set([1, 2, 3, size.rows / 2 + 1]) where count <= size.rows {
            let part = x.narrowed(dim: 0, to: size.rows - count..<size.rows).multiplied(
              by: rounded, bias: bias, gelu: true, instructions: instructions)
            #expect(part.array(of: Float.self) == all.suffix(count * size.outputs), "\(instructions), \(count) rows")
          }
        }
      }
    }
  }

  /// Rows of zeros, of huge and of tiny numbers, and of none: a row's damage stays its own.
  @Test(arguments: Precision.allCases) func extremes(precision: Precision) {
    let (inputs, outputs) = (70, 9)
    var x = Tensor.random([6, inputs], seed: 1).array(of: Float.self)
    for i in 0..<inputs {
      x[i] = 0
      x[inputs + i] *= 1e30
      x[2 * inputs + i] *= 1e-30
    }
    x[3 * inputs + 40] = .nan
    x[4 * inputs + 69] = .infinity
    let weight = LinearWeight(.random([outputs, inputs], seed: 2)).packed(in: precision)
    for instructions in forms {
      let found = Tensor(x, shape: [6, inputs]).multiplied(by: weight, instructions: instructions).array(of: Float.self)
      let rows = (0..<6).map { Array(found[$0 * outputs..<($0 + 1) * outputs]) }
      #expect(rows[0].allSatisfy { $0 == 0 }, "\(instructions)")
      #expect(rows[1].allSatisfy { $0.isFinite && abs($0) > 1e26 }, "\(instructions)")
      #expect(rows[2].allSatisfy { $0.isFinite && abs($0) < 1e-28 }, "\(instructions)")
      #expect(rows[3].allSatisfy { $0.isNaN }, "\(instructions)")
      #expect(rows[4].allSatisfy { !$0.isFinite }, "\(instructions)")
      #expect(rows[5].allSatisfy { $0.isFinite && abs($0) < 100 }, "\(instructions)")
    }
  }

  @Test func partsThatDoNotFitAreRefused() throws {
    let packed = LinearWeight(.random([70, 3], seed: 1)).packed(in: .int8).packed!
    _ = try LinearWeight(panels: packed.panels, scales: packed.scales, outputs: 70, inputs: 3)
    func refused(_ panels: Tensor, _ scales: Tensor?, _ outputs: Int, _ inputs: Int) {
      #expect(throws: TorchError.self) {
        try LinearWeight(panels: panels, scales: scales, outputs: outputs, inputs: inputs)
      }
    }
    refused(packed.panels, packed.scales, 71, 3)
    refused(packed.panels, packed.scales, 90, 3)
    refused(packed.panels, packed.scales, 70, 5)
    refused(packed.panels, nil, 70, 3)
    refused(packed.panels, packed.scales, 0, 3)
    refused(packed.panels, packed.scales, 70, -1)
    refused(packed.panels, packed.scales, 70, LinearWeight.maximumInt8Inputs + 1)
    refused(.zeros([80 * 3]), packed.scales, 70, 3)
    refused(.zeros([80, 3]), nil, 70, 3)
    refused(.zeros([80 * 3], dtype: .int64), nil, 70, 3)
    #expect(throws: TorchError.self) { try Precision.int8.requireAvailable(on: .cuda) }
  }

  /// The order that the documentation of the panels states.
  @Test(arguments: Precision.allCases) func numbersLieAsDocumented(precision: Precision) {
    let (outputs, inputs, group) = (70, 5, 4 / precision.dtype.byteCount)
    let weight = LinearWeight(.random([outputs, inputs], seed: 1)).packed(in: precision)
    let (numbers, dense) = (
      weight.packed!.panels.to(.float32).array(of: Float.self), weight.dense.array(of: Float.self)
    )
    let groups = (inputs + group - 1) / group
    #expect(numbers.count == 80 * groups * group)
    for output in 0..<outputs {
      let (panel, place) = (output / 64, output % 64)
      let width = panel == 0 ? 64 : 16
      for input in 0..<inputs {
        let at = panel * 64 * groups * group + (input / group * width + place) * group + input % group
        let scale = weight.packed!.scales?.array(of: Float.self)[output] ?? 1
        #expect(numbers[at] * scale == dense[output * inputs + input])
      }
    }
  }

  /// The likelihood under an output layer that is rounded is that of what it was rounded to.
  @Test(arguments: [Precision.bfloat16, .int8]) func likelihoodOfARoundedLayer(precision: Precision) {
    let hidden = Tensor.random([200, 64], seed: 1)
    let (weight, bias) = (
      LinearWeight(.random([30, 64], seed: 2)).packed(in: precision), Tensor.random([30], seed: 3)
    )
    let targets = Tensor((0..<200).map { Int64($0 % 29) })
    let weights = Tensor((0..<200).map { Float($0 % 3) })
    let found = hidden.negativeLogLikelihood(
      weight: weight, bias: bias, targets: targets, lossWeights: weights, excluding: 29)
    let expected = hidden.negativeLogLikelihood(
      weight: weight.dense, bias: bias, targets: targets, lossWeights: weights, excluding: 29)
    #expect(distance(found.nll, expected.nll) < (precision == .int8 ? 0.2 : 1e-5))
    #expect(distance(found.nll, expected.nll) > 0 || precision == .bfloat16)
    let sum = zip(found.nll.array(of: Float.self), weights.array(of: Float.self)).reduce(0.0) {
      $0 + Double($1.0) * Double($1.1)
    }
    #expect(abs(found.loss.array(of: Double.self)[0] - sum) < 1e-6 * sum)
  }
}
