import TestSupport
import Testing
import Torch

@Suite("Attention in parts")
struct PartAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let rows: Int
    let keys: Int
    let parts: [AttentionPart]
    let heads = 2
    let size = 8

    private init(_ description: String, rows: Int, keys: Int, _ parts: AttentionPart...) {
      (testDescription, self.rows, self.keys, self.parts) = (description, rows, keys, parts)
    }

    private static func part(
      _ rows: Range<Int>, _ keys: Range<Int>, _ reach: AttentionPart.Reach = .all
    ) -> AttentionPart {
      AttentionPart(rows: rows, keys: keys, reach: reach)
    }

    static let all: [Case] = simple + sequences

    private static let simple: [Case] = [
      Case("all", rows: 3, keys: 5, part(0..<3, 0..<5)),
      Case("causal", rows: 4, keys: 4, part(0..<4, 0..<4, .upToBlock(of: 1))),
      Case("own", rows: 3, keys: 5, part(0..<3, 2..<5, .ownBlock(of: 1))),
      Case("blocks", rows: 6, keys: 6, part(0..<6, 0..<6, .upToBlock(of: 2))),
      Case("own blocks", rows: 6, keys: 6, part(0..<6, 0..<6, .ownBlock(of: 3))),
      Case("prefix and causal", rows: 3, keys: 7, part(0..<3, 0..<4), part(0..<3, 4..<7, .upToBlock(of: 1))),
      Case(
        "second stream", rows: 4, keys: 10, part(1..<4, 2..<5, .upToBlock(of: 1)), part(0..<4, 0..<2),
        part(0..<4, 6..<10, .ownBlock(of: 1))),
      Case(
        "pieces", rows: 6, keys: 6, part(0..<4, 0..<4, .upToBlock(of: 2)), part(4..<6, 0..<4),
        part(4..<6, 4..<6, .upToBlock(of: 2))),
    ]

    /// Sequences that are alike are computed together.
    private static let sequences: [Case] = [
      Case(
        "two causal", rows: 8, keys: 9, part(0..<4, 0..<4, .upToBlock(of: 1)), part(4..<8, 5..<9, .upToBlock(of: 1))),
      Case(
        "two second streams", rows: 6, keys: 14, part(0..<3, 8..<11, .ownBlock(of: 1)), part(0..<3, 0..<1),
        part(1..<3, 1..<3, .upToBlock(of: 1)), part(3..<6, 11..<14, .ownBlock(of: 1)), part(3..<6, 4..<5),
        part(4..<6, 5..<7, .upToBlock(of: 1))),
      Case(
        "two of noised blocks", rows: 8, keys: 16, part(0..<4, 8..<12, .ownBlock(of: 2)),
        part(4..<8, 12..<16, .ownBlock(of: 2)), part(2..<4, 0..<2), part(6..<8, 4..<6)),
      Case(
        "unequal", rows: 6, keys: 9, part(0..<1, 0..<3), part(1..<3, 3..<5), part(1..<3, 5..<7, .upToBlock(of: 1)),
        part(3..<6, 7..<9)),
      Case(
        "three at unequal distances", rows: 6, keys: 12, part(0..<2, 0..<2), part(2..<4, 4..<6), part(4..<6, 9..<11)),
    ]

    func allows(_ row: Int, _ key: Int) -> Bool {
      parts.contains { part in
        guard part.rows.contains(row), part.keys.contains(key) else { return false }
        let (row, key) = (row - part.rows.lowerBound, key - part.keys.lowerBound)
        return switch part.reach {
        case .all: true
        case .upToBlock(let size): key / size <= row / size
        case .ownBlock(let size): key / size == row / size
        }
      }
    }

    /// Query, key and value.
    func parameters() -> [Tensor] {
      [rows, keys, keys].enumerated().map { .parameter([$1, heads, size], bound: 2, seed: UInt64($0)) }
    }

    func result(of parameters: [Tensor], fused: Bool? = nil) -> Tensor {
      parameters[0].attention(key: parameters[1], value: parameters[2], parts: parts, fused: fused)
    }

    /// The same with a dense mask.
    func denseResult(of parameters: [Tensor]) -> Tensor {
      let heads = parameters.map { $0.transposed(0, 1).reshaped([1, self.heads, $0.size(0), size]) }
      return heads[0].attention(key: heads[1], value: heads[2], allows: allows)
        .reshaped([self.heads, rows, size]).transposed(0, 1)
    }

    /// A number that depends on every element of the result.
    func loss(_ result: Tensor) -> Tensor { (result * .random([rows, heads, size], seed: 9)).sum() }
  }

  @Test(arguments: Case.all)
  func partsAddUpToTheDenseMask(_ sizes: Case) {
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

  @Test(arguments: Case.all)
  func gradientsAreThoseOfFiniteDifferences(_ sizes: Case) {
    let parameters = sizes.parameters()
    let loss = { sizes.loss(sizes.result(of: parameters)) }
    for (found, expected) in zip(
      gradients(of: loss, for: parameters), numericalGradients(of: loss, for: parameters))
    {
      #expect(distance(found, expected) < 3e-3)
    }
  }

  @Test(arguments: Case.all)
  func bfloat16IsCloseToFloat32(_ sizes: Case) {
    let parameters = sizes.parameters()
    let narrow = sizes.result(of: parameters.map { $0.detached().to(.bfloat16).requiringGradient() })
    #expect(narrow.dtype == .bfloat16)
    #expect(distance(narrow.to(.float32), sizes.denseResult(of: parameters)) < 5e-2)
    let inputs = parameters.map { $0.detached().to(.bfloat16).requiringGradient() }
    let found = gradients(of: { sizes.loss(sizes.result(of: inputs).to(.float32)) }, for: inputs)
    let expected = gradients(of: { sizes.loss(sizes.denseResult(of: parameters)) }, for: parameters)
    for (found, expected) in zip(found, expected) { #expect(distance(found.to(.float32), expected) < 0.2) }
  }

  @Test func largeScoresStayFinite() {
    for sizes in Case.all {
      let parameters = sizes.parameters().map { $0.detached() * 100 }
      #expect(distance(sizes.result(of: parameters), sizes.denseResult(of: parameters)) < 1e-2)
    }
  }

  @Test func nothingComesOfNoRows() {
    let keys = Tensor.random([3, 2, 8], seed: 1)
    let result = Tensor.zeros([0, 2, 8]).attention(key: keys, value: keys, parts: [])
    #expect(result.shape == [0, 2, 8])
  }
}
