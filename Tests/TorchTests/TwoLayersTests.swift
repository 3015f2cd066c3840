import Testing
import Torch

@Suite("Two layers in one")
struct TwoLayersTests {
  /// Small products are libtorch's, large ones oneDNN's.
  @Test(arguments: [(3, 5), (65, 96), (200, 64)]) func areTwoLayers(rows: Int, width: Int) {
    func tensors() -> [Tensor] {
      [[rows, width], [4 * width, width], [4 * width], [width, 4 * width], [width]].enumerated().map {
        Tensor.uniform($1, in: -0.5..<0.5, seed: UInt64($0)).requiringGradient()
      }
    }
    let (own, plain) = (tensors(), tensors())
    let found = own[0].twoLayers(own[1], bias: own[2], own[3], bias2: own[4])
    let expected = plain[0].linear(plain[1], bias: plain[2], gelu: true).linear(plain[3], bias: plain[4])
    #expect((found - expected).maxAbs().item < 1e-5)
    let weights = Tensor.uniform([rows, width], in: -1..<1, seed: 9)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for (own, plain) in zip(own, plain) {
      #expect((own.gradient! - plain.gradient!).maxAbs().item < 1e-4)
      #expect(own.gradient!.maxAbs().item > 0.01)
    }
    let alone = withoutGradients { own[0].twoLayers(own[1], bias: own[2], own[3], bias2: own[4]) }
    #expect((alone - found).maxAbs().item < 1e-5)
  }

  /// What is computed again is the same, with the same tokens dropped.
  @Test(arguments: [0, 0.4]) func whatIsRecomputedHasTheGradientsOfWhatIsKept(dropout: Double) {
    func gradients(_ body: (Tensor, Tensor) -> Tensor) -> [[Float]] {
      let x = Tensor.uniform([40, 8], in: -1..<1, seed: 1).requiringGradient()
      let weight = Tensor.uniform([8, 8], in: -1..<1, seed: 2).requiringGradient()
      Torch.seed(5)
      // The same weight is used outside too, and drawing goes on afterwards.
      let y = body(x.linear(weight), weight).dropout(dropout)
      (y * y).sum().backward()
      return [x, weight].map { $0.gradient!.array(of: Float.self) }
    }
    func part(_ x: Tensor, _ weight: Tensor) -> Tensor { x.linear(weight).gelu().dropout(dropout) + x }
    let kept = gradients { part(part($0, $1), $1) }
    let recomputed = gradients { x, weight in
      (0..<2).reduce(x) { x, _ in Tensor.recomputed([x, weight]) { part($0[0], $0[1]) } }
    }
    for (kept, recomputed) in zip(kept, recomputed) {
      #expect(zip(kept, recomputed).allSatisfy { abs($0 - $1) <= 1e-4 * (1 + abs($1)) })
    }
  }
}
