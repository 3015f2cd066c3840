import Foundation
import TestSupport
import Testing
import Torch

@Suite("Rotary split")
struct SplitRotaryTests {
  private let heads = 3
  private let size = 8
  private let positions = Tensor([4, 0, 7, 7, 2] as [Int64])

  /// Tables of 9 positions, no two angles alike.
  private func table(_ function: (Double) -> Double) -> Tensor {
    Tensor((0..<36).map { Float(function(Double($0) * 0.37 - 3)) }, shape: [9, 4])
  }

  private var cosine: Tensor { table { cos($0) } }
  private var sine: Tensor { table { sin($0) } }

  private typealias Parts = (query: Tensor, key: Tensor, value: Tensor)

  private func fused(_ qkv: Tensor) -> Parts {
    qkv.splitRotary(cosine: cosine.to(qkv.dtype), sine: sine.to(qkv.dtype), positions: positions, heads: heads)
  }

  /// The same from plain operations.
  private func composed(_ qkv: Tensor) -> Parts {
    let angles = [cosine, sine].map { $0.to(qkv.dtype).selecting(positions).reshaped([5, 1, 4]) }
    let parts = qkv.reshaped([5, 3, heads, size])
    func part(_ number: Int) -> Tensor {
      parts.narrowed(dim: 1, to: number..<number + 1).reshaped([5, heads, size])
    }
    func turned(_ x: Tensor) -> Tensor {
      let (first, second) = (x.narrowed(dim: 2, to: 0..<4), x.narrowed(dim: 2, to: 4..<8))
      return .concatenated(
        [first * angles[0] - second * angles[1], second * angles[0] + first * angles[1]], dim: 2)
    }
    return (turned(part(0)), turned(part(1)), part(2))
  }

  /// A number that depends on every element of all three parts.
  private func loss(_ parts: Parts) -> Tensor {
    let weights = (0..<3).map { Tensor.random([5, heads, size], seed: UInt64(10 + $0)) }
    return (parts.query * weights[0]).sum() + (parts.key * weights[1]).sum() + (parts.value * weights[2]).sum()
  }

  @Test func aHeadIsTurnedByItsPositionsAngles() {
    // One row, one head of two pairs (1, 3) and (2, 4), turned by 90° and by 0°.
    let qkv = Tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as [Float], shape: [1, 12])
    let parts = qkv.splitRotary(
      cosine: Tensor([0, 1] as [Float], shape: [1, 2]), sine: Tensor([1, 0] as [Float], shape: [1, 2]),
      positions: Tensor([0] as [Int64]), heads: 1)
    #expect(parts.query.array(of: Float.self) == [-3, 2, 1, 4])
    #expect(parts.key.array(of: Float.self) == [-7, 6, 5, 8])
    #expect(parts.value.array(of: Float.self) == [9, 10, 11, 12])
    #expect(parts.value.shape == [1, 1, 4])
  }

  @Test(arguments: [DType.float32, .float64])
  func partsAndGradientsAreThoseOfPlainOperations(dtype: DType) {
    let qkv = Tensor.random([5, 3 * heads * size], seed: 1).to(dtype).requiringGradient()
    let (found, expected) = (fused(qkv), composed(qkv))
    #expect(distance(found.query, expected.query) < 1e-6)
    #expect(distance(found.key, expected.key) < 1e-6)
    #expect(distance(found.value, expected.value) == 0)
    let slopes = [fused, composed].map { split in gradients(of: { loss(split(qkv)) }, for: [qkv])[0] }
    #expect(distance(slopes[0], slopes[1]) < 1e-6)
  }

  @Test func theGradientIsThatOfFiniteDifferences() {
    let qkv = Tensor.parameter([5, 3 * heads * size], seed: 1)
    let numerical = numericalGradients(of: { loss(fused(qkv)) }, for: [qkv])[0]
    #expect(distance(gradients(of: { loss(fused(qkv)) }, for: [qkv])[0], numerical) < 2e-3)
  }

  @Test func partsThatNothingUsesHaveNoShareInTheGradient() {
    let qkv = Tensor.parameter([5, 3 * heads * size], seed: 1)
    for part in [{ $0.query }, { $0.key }, { $0.value }] as [(Parts) -> Tensor] {
      let slopes = [fused, composed].map { split in
        gradients(of: { (part(split(qkv)) * part(split(qkv))).sum() }, for: [qkv])[0]
      }
      #expect(distance(slopes[0], slopes[1]) < 1e-5)
    }
  }

  @Test func rowsThatAreNotContiguousAreReadRight() {
    let wide = Tensor.random([5, 2 * 3 * heads * size], seed: 1)
    let part = wide.narrowed(dim: 1, to: 5..<5 + 3 * heads * size)
    #expect(distance(fused(part).query, composed(part).query) < 1e-6)
  }

  @Test func manyRowsAreTurnedInParallelAlike() {
    let rows = 4000
    let positions = Tensor((0..<rows).map { Int64($0 * 7 % 9) })
    let qkv = Tensor.random([rows, 3 * heads * size], seed: 1)
    let parts = qkv.splitRotary(cosine: cosine, sine: sine, positions: positions, heads: heads)
    // Turning keeps lengths, and turning back keeps everything.
    let back = Tensor.concatenated([parts.query, parts.key, parts.value], dim: 1)
      .reshaped([rows, 3 * heads * size])
      .splitRotary(cosine: cosine, sine: sine * -1, positions: positions, heads: heads)
    let query = qkv.narrowed(dim: 1, to: 0..<heads * size).reshaped([rows, heads, size])
    #expect(distance(back.query, query) < 1e-5)
    #expect(distance((parts.query * parts.query).sum(dim: 2), (query * query).sum(dim: 2)) < 1e-4)
  }

  /// On whichever thread it is found.
  @Test func aPositionBeyondTheTableStopsTheProgramWithWords() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let positions = Tensor((0..<4000).map { Int64($0 == 3999 ? 9 : 0) })
      let table = Tensor.full([9, 4], 0.5)
      _ = Tensor.zeros([4000, 72]).splitRotary(cosine: table, sine: table, positions: positions, heads: 3)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("libtorch: position 9 in a table of 9"))
  }
}
