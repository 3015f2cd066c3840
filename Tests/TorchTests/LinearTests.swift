import Foundation
import TestSupport
import Testing
import Torch

/// Sizes on both sides of where products change from one library to another, which must not show.
@Suite("Linear layers")
struct LinearTests {
  static let sizes: [(rows: Int, inputs: Int, outputs: Int)] = [
    (1, 5, 3), (2, 64, 64), (1, 512, 384), (3, 512, 384), (16, 1024, 128), (700, 96, 50), (699, 50, 97), (2, 768, 1100),
  ]

  private func layer(_ size: (rows: Int, inputs: Int, outputs: Int)) -> (x: Tensor, weight: Tensor, bias: Tensor) {
    (
      .parameter([size.rows, size.inputs], seed: 1), .parameter([size.outputs, size.inputs], seed: 2),
      .parameter([size.outputs], seed: 3)
    )
  }

  @Test(arguments: sizes) func productsAreThoseOfFloat64(size: (rows: Int, inputs: Int, outputs: Int)) {
    let (x, weight, bias) = layer(size)
    let (wide, wideWeight) = (x.to(.float64), weight.to(.float64))
    withoutGradients {
      #expect(distance(x.linear(weight), wide.linear(wideWeight)) < 1e-4)
      #expect(distance(x.linear(weight, bias: bias), wide.linear(wideWeight, bias: bias.to(.float64))) < 1e-4)
      let activated = wide.linear(wideWeight, bias: bias.to(.float64)).gelu()
      #expect(distance(x.linear(weight, bias: bias, gelu: true), activated) < 1e-4)
      // Rows may have any shape, and be no contiguous memory.
      let pairs = Tensor.concatenated([x, x]).reshaped([2, size.rows, size.inputs]).transposed(0, 1)
      let both = pairs.linear(weight, bias: bias)
      #expect(both.shape == [size.rows, 2, size.outputs])
      #expect(
        distance(both.narrowed(dim: 1, to: 1..<2).reshaped([size.rows, size.outputs]), x.linear(weight, bias: bias))
          < 1e-4)
    }
  }

  @Test(arguments: sizes) func gradientsAreThoseOfFloat64(size: (rows: Int, inputs: Int, outputs: Int)) {
    let (x, weight, bias) = layer(size)
    let slope = Tensor.random([size.rows, size.outputs], bound: 1, seed: 4)
    for (bias, gelu) in [(bias, false), (nil, false), (bias, true)] {
      let parameters = [x, weight] + (bias.map { [$0] } ?? [])
      let found = gradients(of: { (x.linear(weight, bias: bias, gelu: gelu) * slope).sum() }, for: parameters)
      let expected = gradients(
        of: {
          let y = x.to(.float64).linear(weight.to(.float64), bias: bias?.to(.float64))
          return ((gelu ? y.gelu() : y) * slope.to(.float64)).sum()
        }, for: parameters)
      for (found, expected) in zip(found, expected) { #expect(distance(found, expected) < 1e-4) }
    }
  }

  /// What needs no gradient, such as a frozen weight, is not asked for one.
  @Test func gradientsOfOneSideAlone() {
    let (x, weight, bias) = layer((64, 256, 256))
    let alone = gradients(of: { x.linear(weight.detached(), bias: bias.detached()).sum() }, for: [x])
    let all = gradients(of: { x.linear(weight, bias: bias).sum() }, for: [x, weight, bias])
    #expect(distance(alone[0], all[0]) < 1e-4)
    let other = gradients(of: { x.detached().linear(weight, bias: bias).sum() }, for: [weight, bias])
    #expect(distance(other[0], all[1]) < 1e-4)
    #expect(distance(other[1], all[2]) < 1e-4)
  }

  #if os(Linux)
    /// Both are looked up at run time: without them everything works, several times slower.
    @Test func whatLibtorchBringsAlongIsFound() {
      #expect(Torch.hasFastLinear, "oneDNN's linear layers")
      #expect(Torch.sharesThreads, "GOMP_parallel")
    }
  #endif

  /// Each of two elements waits for the other, which one thread alone would do in vain.
  @Test(.enabled(if: isLinux, "libtorch has GCC's OpenMP on Linux"))
  func elementsOfAParallelMapMeet() {
    let arrivals = DispatchSemaphore(value: 0)
    let departures = DispatchSemaphore(value: 0)
    let met = withThreads(2) {
      Torch.parallelMap(2) { element in
        let (mine, other) = element == 0 ? (arrivals, departures) : (departures, arrivals)
        mine.signal()
        return other.wait(timeout: .now() + 30) == .success
      }
    }
    #expect(met == [true, true])
  }

  private static var isLinux: Bool {
    #if os(Linux)
      true
    #else
      false
    #endif
  }

  @Test func resultsOfAParallelMapStandInOrder() {
    #expect(Torch.parallelMap(0) { $0 } == [])
    #expect(Torch.parallelMap(1000) { "\($0)" } == (0..<1000).map { "\($0)" })
  }
}
