import CTorch
import TestSupport
import Testing
import Torch

/// What goes wrong in C++ ends as a status with words.
@Suite("C boundary")
struct BoundaryTests {
  private let matrix: OpaquePointer

  init() {
    var out: OpaquePointer?
    #expect(ct_full([2, 2048], 2, 1, CTFloat32, CTCPU, &out) == CTOK)
    matrix = out!
  }

  private func expectFailure(
    _ status: CTStatus, _ words: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(status == CTFailed, sourceLocation: sourceLocation)
    #expect(String(cString: ct_last_error()).contains(words), sourceLocation: sourceLocation)
  }

  @Test func exceptionsEndAtTheBoundary() {
    defer { ct_free(matrix) }
    var size: Int64 = 0
    expectFailure(ct_size(matrix, 2, &size), "Dimension out of range")
    expectFailure(ct_set_num_threads(0), "positive number of threads")
    var before = false
    expectFailure(ct_set_bfloat16_autocast(CTDevice(rawValue: 9), true, &before), "unknown device 9")
    expectFailure(ct_synchronize(CTDevice(rawValue: 9)), "unknown device 9")
    var out: OpaquePointer?
    expectFailure(ct_full([1], 1, 0, CTDType(rawValue: 99), CTCPU, &out), "unknown dtype 99")
    #expect(ct_clear_grad(matrix) == CTOK)
  }
}

@Suite("Second backward")
struct SecondBackwardTests {
  /// The operations with a backward of their own.
  enum Operation: String, CaseIterable, Codable {
    case linear, gelu, dropout, rotary, attention, likelihood

    func loss(_ x: Tensor) -> Tensor {
      let rows = x.size(0)
      switch self {
      case .linear: return x.linear(.full([2048, 512], 0.5)).sum()
      case .gelu: return x.gelu().sum()
      case .dropout: return x.dropout(0.5).sum()
      case .rotary:
        let angles = Tensor.full([rows, 8], 0.5)
        let positions = Tensor((0..<rows).map(Int64.init))
        return x.narrowed(dim: 1, to: 0..<96)
          .splitRotary(cosine: angles, sine: angles, positions: positions, heads: 2).query.sum()
      case .attention:
        let heads = x.reshaped([rows, 64, 8])
        return heads.attention(
          key: heads, value: heads,
          parts: [
            AttentionPart(rows: 0..<rows, keys: 0..<1),
            AttentionPart(rows: 1..<rows, keys: 1..<rows, reach: .ownBlock(of: 1)),
          ]
        ).sum()
      case .likelihood:
        let weight = Tensor.random([5, 512], seed: 1)
        return x.negativeLogLikelihood(
          weight: weight, bias: .zeros([5]), targets: .zeros([rows], dtype: .int64), lossWeights: .full([rows], 1),
          excluding: nil
        ).loss
      }
    }

    static func parameter() -> Tensor { .parameter([4, 512], seed: 7) }
  }

  /// Gradients would be wrong, or made of memory that holds something else by then.
  @Test(arguments: Operation.allCases.filter { $0 != .dropout }) func whatKeptSomethingRefusesIt(_ operation: Operation)
    async throws
  {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [operation] in
      let loss = operation.loss(Operation.parameter())
      loss.backward()
      loss.backward()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("libtorch: Trying to backward through the graph a second time"))
  }

  /// The second of two losses with a part in common.
  @Test func aSharedPartRefusesIt() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let x = Tensor.parameter([4, 8], seed: 7)
      let shared = x * x
      shared.sum().backward()
      (shared * 2).sum().backward()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("a second time"))
  }

  /// Each graph of its own gives the same again.
  @Test(arguments: Operation.allCases.filter { $0 != .dropout }) func anotherGraphGivesTheSame(_ operation: Operation) {
    let x = Operation.parameter()
    let first = gradients(of: { operation.loss(x) }, for: [x])[0]
    #expect(distance(gradients(of: { operation.loss(x) }, for: [x])[0], first) < 1e-6)
    #expect(first.maxAbs().item > 1e-4)
  }

  /// A sum keeps nothing, so its gradient is right again.
  @Test func whatKeptNothingAddsUp() throws {
    let x = Tensor.parameter([3], seed: 7)
    let loss = x.sum()
    loss.backward()
    loss.backward()
    #expect(try #require(x.gradient).array(of: Float.self) == [2, 2, 2])
  }

  /// Nor does dropout, which finds again what it dropped.
  @Test func dropoutAddsUp() throws {
    let x = Tensor.parameter([1000], seed: 7)
    let loss = x.dropout(0.5).sum()
    loss.backward()
    let once = try #require(x.gradient).array(of: Float.self)
    #expect(Set(once) == [0, 2])
    loss.backward()
    #expect(try #require(x.gradient).array(of: Float.self) == once.map { 2 * $0 })
  }

  @Test func weightsOfALossHaveNoGradient() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor.parameter([1, 2], seed: 1).negativeLogLikelihood(
        weight: .zeros([3, 2]), bias: .zeros([3]), targets: .zeros([1], dtype: .int64),
        lossWeights: Tensor.full([1], 1).requiringGradient(), excluding: nil)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("the weights of a negative log-likelihood have no gradient"))
  }
}
