import TestSupport
import Testing
import Torch

/// libtorch's own gelu and silu take the numbers that are left over behind whole vectors of a thread's share another way.
@Suite("Activations", .enabled(if: Torch.sharesThreads))
struct ActivationTests {
  private static let functions: [@Sendable (Tensor) -> Tensor] = [{ $0.gelu() }, { $0.silu() }]

  /// Sizes on both sides of what one thread does alone, with and without a rest.
  ///
  /// In a process of its own: the number of threads is the whole program's.
  @Test func aRowIsTheSameAloneAndAmongOthers() async {
    await #expect(processExitsWith: .success) {
      for threads in [1, 3, 5] {
        Torch.threadCount = threads
        for (rows, width) in [(5, 7), (37, 1000), (64, 3072)] {
          for dtype in [DType.float32, .bfloat16, .float64] {
            let x = Tensor.random([rows, width], bound: 6, seed: 1).to(dtype)
            for function in Self.functions {
              let together: [Double] = function(x).array()
              for row in [0, 1, rows / 2, rows - 1] {
                let alone: [Double] = function(x.narrowed(dim: 0, to: row..<row + 1)).array()
                #expect(
                  Array(together[row * width..<(row + 1) * width]) == alone, "\(rows)×\(width), \(threads) threads")
              }
            }
          }
        }
      }
    }
  }

  @Test func aNumberIsTheSameInEveryPlace() {
    let x = Tensor.random([2003], bound: 6, seed: 2)
    for function in Self.functions {
      let together: [Float] = function(x).array()
      #expect(together == (0..<2003).map { Float(function(x.narrowed(dim: 0, to: $0..<$0 + 1)).item) })
    }
  }

  /// Where a gradient is recorded it is libtorch's own.
  @Test(arguments: [[], [0], [3, 0], [1], [40_000], [70, 1001]]) func valuesAreThoseOfTheRecordedFunction(shape: [Int])
  {
    let x = Tensor.parameter(shape, bound: 6, seed: 3)
    for function in Self.functions {
      let found = function(x.detached())
      #expect(found.shape == shape)
      #expect(distance(found, function(x)) < 1e-6)
      let wide = Tensor.concatenated([x.detached().reshaped([-1, 1]), x.detached().reshaped([-1, 1])], dim: 1)
      #expect(distance(function(wide.narrowed(dim: 1, to: 1..<2)).reshaped(shape), found) == 0)
    }
  }
}
