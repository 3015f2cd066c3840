import EsoLM
import TestSupport
import Testing
import Torch

@Suite("Suffix attention")
struct SuffixAttentionTests {
  /// How many of the last slots of each sequence have a row, and whether rows bring a key and value of their own.
  struct Case: CustomTestStringConvertible, Sendable {
    let counts: [Int]
    let hasOwn: Bool
    let length = 6
    let heads = 2
    let size = 8

    var rows: Int { counts.reduce(0, +) }
    var testDescription: String { "\(counts)\(hasOwn ? " with own keys" : "")" }

    static let all = [[0], [1], [6], [3], [6, 6], [0, 1, 6, 2], [2, 2, 5, 5, 5, 0], [0, 0]].flatMap { counts in
      [false, true].map { Case(counts: counts, hasOwn: $0) }
    }

    /// Query, key and value, then own key and value.
    func parameters() -> [Tensor] {
      let (rowShape, slotShape) = ([rows, heads, size], [counts.count, length, heads, size])
      let shapes = [rowShape, slotShape, slotShape] + (hasOwn ? [rowShape, rowShape] : [])
      return shapes.enumerated().map { .parameter($1, bound: 2, seed: UInt64($0)) }
    }

    func result(of parameters: [Tensor], fused: Bool?) -> Tensor {
      parameters[0].suffixAttention(
        key: parameters[1], value: parameters[2], own: hasOwn ? (parameters[3], parameters[4]) : nil, counts: counts,
        fused: fused)
    }

    /// The same with the dense mask that defines the pattern: plainly causal, or the second of two streams.
    func denseResult(of parameters: [Tensor]) -> Tensor {
      let pattern: AttentionPattern = hasOwn ? .twoStream : .causal
      var row = 0
      let sequences = counts.indices.filter { counts[$0] > 0 }.map { sequence in
        defer { row += counts[sequence] }
        let count = counts[sequence]
        func rows(_ tensor: Tensor) -> Tensor {
          tensor.narrowed(dim: 0, to: row..<row + count).reshaped([1, count, heads, size])
        }
        func slots(_ tensor: Tensor, own: Tensor?) -> Tensor {
          let slots = tensor.narrowed(dim: 0, to: sequence..<sequence + 1)
          return Tensor.concatenated([slots] + (own.map { [rows($0)] } ?? []), dim: 1).transposed(1, 2)
        }
        return rows(parameters[0]).transposed(1, 2)
          .attention(
            key: slots(parameters[1], own: hasOwn ? parameters[3] : nil),
            value: slots(parameters[2], own: hasOwn ? parameters[4] : nil)
          ) { row, column in
            // The own keys stand for the last rows of the second stream.
            let slot = length - count + row
            return pattern.allows(
              query: hasOwn ? length + slot : slot, key: column < length ? column : column + length - count,
              length: length)
          }
          .transposed(1, 2).reshaped([count, heads, size])
      }
      return sequences.isEmpty ? parameters[0] : .concatenated(sequences)
    }

    /// A number that depends on every element of the result.
    func loss(_ result: Tensor) -> Tensor { (result * .random([rows, heads, size], seed: 9)).sum() }
  }

  @Test(arguments: Case.all)
  func fusedAndDenseComputeWhatThePatternAllows(_ sizes: Case) {
    let parameters = sizes.parameters()
    let expected = sizes.denseResult(of: parameters)
    for fused in [true, false, nil] {
      #expect(distance(sizes.result(of: parameters, fused: fused), expected) < 2e-6)
    }
  }

  @Test(arguments: Case.all)
  func gradientsAreThoseOfTheDenseMask(_ sizes: Case) {
    let parameters = sizes.parameters()
    let expected = gradients(of: { sizes.loss(sizes.denseResult(of: parameters)) }, for: parameters)
    for fused in [true, false] {
      let found = gradients(of: { sizes.loss(sizes.result(of: parameters, fused: fused)) }, for: parameters)
      for (found, expected) in zip(found, expected) { #expect(distance(found, expected) < 5e-6) }
    }
  }

  @Test(arguments: [false, true])
  func gradientsAreThoseOfFiniteDifferences(hasOwn: Bool) {
    let sizes = Case(counts: [1, 0, 4], hasOwn: hasOwn)
    let parameters = sizes.parameters()
    let loss = { sizes.loss(sizes.result(of: parameters, fused: true)) }
    for (found, expected) in zip(
      gradients(of: loss, for: parameters), numericalGradients(of: loss, for: parameters))
    {
      #expect(distance(found, expected) < 3e-3)
    }
  }

  @Test func aRowOfTheSecondStreamDoesNotSeeTheTokenOfItsSlot() {
    let sizes = Case(counts: [6], hasOwn: true)
    let parameters = sizes.parameters()
    let before = sizes.result(of: parameters, fused: true)
    withoutGradients { for slots in parameters[1...2] { slots.narrowed(dim: 1, to: 3..<4).fill(5) } }
    let after = sizes.result(of: parameters, fused: true)
    let changed = (0..<6).filter {
      distance(before.narrowed(dim: 0, to: $0..<$0 + 1), after.narrowed(dim: 0, to: $0..<$0 + 1)) > 0
    }
    #expect(changed == [4, 5])
  }

  @Test func largeScoresStayFinite() {
    let sizes = Case(counts: [6, 2], hasOwn: true)
    let parameters = sizes.parameters().map { $0.detached() * 100 }
    #expect(distance(sizes.result(of: parameters, fused: true), sizes.denseResult(of: parameters)) < 1e-2)
  }
}
