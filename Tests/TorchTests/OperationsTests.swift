import Foundation
import TestSupport
import Testing
import Torch

@Suite("Operations")
struct OperationsTests {
  private let matrix = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
  private let row = Tensor([1, 0.5, -2] as [Float])

  private func expect(
    _ tensor: Tensor, _ elements: [Double], shape: [Int], within tolerance: Double = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(tensor.shape == shape, sourceLocation: sourceLocation)
    #expect(distance(tensor.array(), elements) <= tolerance, sourceLocation: sourceLocation)
  }

  @Test func arithmeticBroadcasts() {
    expect(matrix + row, [2, 2.5, 1, 5, 5.5, 4], shape: [2, 3])
    expect(matrix - row, [0, 1.5, 5, 3, 4.5, 8], shape: [2, 3])
    expect(matrix * row, [1, 1, -6, 4, 2.5, -12], shape: [2, 3])
    expect(matrix / row, [1, 4, -1.5, 4, 10, -3], shape: [2, 3])
    expect(matrix + 0.5, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5], shape: [2, 3])
    expect(matrix * -2, [-2, -4, -6, -8, -10, -12], shape: [2, 3])
  }

  @Test func elementwiseFunctions() {
    let xs = [-3, -0.5, 0, 0.25, 4] as [Double]
    let tensor = Tensor(xs)
    expect(tensor.exp(), xs.map { Foundation.exp($0) }, shape: [5], within: 1e-12)
    expect(tensor.silu(), xs.map { $0 / (1 + Foundation.exp(-$0)) }, shape: [5], within: 1e-12)
    let gelu = xs.map { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
    expect(tensor.gelu(), gelu, shape: [5], within: 1e-12)
  }

  @Test func reductions() {
    expect(matrix.sum(), [21], shape: [])
    expect(matrix.sum(dim: 0), [5, 7, 9], shape: [3])
    expect(matrix.sum(dim: -1), [6, 15], shape: [2])
    expect(row.maxAbs(), [2], shape: [])
    expect(Tensor.zeros([0]).sum(), [0], shape: [])
  }

  @Test func softmaxOfLogarithmsAreShares() {
    let logs = Tensor([1, 2, 5, 1, 1, 2].map { log($0) } as [Double], shape: [2, 3])
    let shares = [0.125, 0.25, 0.625, 0.25, 0.25, 0.5]
    expect(logs.softmax(dim: 1), shares, shape: [2, 3], within: 1e-12)
    expect(logs.logSoftmax(dim: -1), shares.map { log($0) }, shape: [2, 3], within: 1e-12)
    expect(logs.softmax(dim: 0), [0.5, 2 / 3.0, 5 / 7.0, 0.5, 1 / 3.0, 2 / 7.0], shape: [2, 3], within: 1e-12)
  }

  @Test func shapes() {
    expect(matrix.reshaped([3, -1]), [1, 2, 3, 4, 5, 6], shape: [3, 2])
    expect(matrix.transposed(0, 1), [1, 4, 2, 5, 3, 6], shape: [3, 2])
    expect(matrix.narrowed(dim: 1, to: 1..<3), [2, 3, 5, 6], shape: [2, 2])
    expect(matrix.narrowed(dim: 0, to: 2..<2), [], shape: [0, 3])
    expect(.concatenated([matrix, matrix], dim: 1), [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6], shape: [2, 6])
    expect(.concatenated([matrix, row.reshaped([1, 3])]), [1, 2, 3, 4, 5, 6, 1, 0.5, -2], shape: [3, 3])
    expect(.concatenated([row]), [1, 0.5, -2], shape: [3])
  }

  @Test func indexing() {
    let index = Tensor([1, 0, 1] as [Int64])
    expect(matrix.selecting(index), [4, 5, 6, 1, 2, 3, 4, 5, 6], shape: [3, 3])
    expect(matrix.selecting(index, dim: 1), [2, 1, 2, 5, 4, 5], shape: [2, 3])
    expect(matrix.embedding(index), [4, 5, 6, 1, 2, 3, 4, 5, 6], shape: [3, 3])
    expect(matrix.gathering(Tensor([2, 0] as [Int64], shape: [2, 1]), dim: 1), [3, 4], shape: [2, 1])
    expect(matrix.selecting(Tensor([Int64]())), [], shape: [0, 3])
  }

  @Test func linearLayers() {
    let weight = Tensor([1, 0, 1, 0, 1, 0] as [Float], shape: [2, 3])
    expect(matrix.linear(weight), [4, 2, 10, 5], shape: [2, 2])
    expect(matrix.linear(weight, bias: Tensor([10, -1] as [Float])), [14, 1, 20, 4], shape: [2, 2])
  }

  @Test func layerNormHasMeanZeroAndVarianceOne() {
    let unit = 1 / (2.0 / 3 + 1e-5).squareRoot()
    let ones = Tensor.full([3], 1)
    expect(matrix.layerNorm(weight: ones), [-unit, 0, unit, -unit, 0, unit], shape: [2, 3], within: 1e-6)
    expect(
      matrix.layerNorm(weight: row, bias: ones), [1 - unit, 1, 1 - 2 * unit, 1 - unit, 1, 1 - 2 * unit],
      shape: [2, 3], within: 1e-6)
  }

  // MARK: Autograd

  @Test func gradientsAddUpUntilTheyAreCleared() throws {
    let x = Tensor([3, -1] as [Float]).requiringGradient()
    #expect(x.gradient == nil)
    (x * x).sum().backward()
    #expect(try #require(x.gradient).array(of: Float.self) == [6, -2])
    x.sum().backward()
    #expect(try #require(x.gradient).array(of: Float.self) == [7, -1])
    x.clearGradient()
    #expect(x.gradient == nil)
  }

  @Test func detachedPartsHaveNoGradient() throws {
    let x = Tensor([3, -1] as [Float]).requiringGradient()
    (x * x.detached()).sum().backward()
    #expect(try #require(x.gradient).array(of: Float.self) == [3, -1])
  }

  @Test func nothingIsRecordedWithoutGradients() throws {
    let x = Tensor([3] as [Float]).requiringGradient()
    let square = withoutGradients { x * x }
    (x + square).backward()
    #expect(try #require(x.gradient).item == 1)
    struct Failure: Error {}
    #expect(throws: Failure.self) { try withoutGradients { throw Failure() } }
    (x * x).backward()
    #expect(try #require(x.gradient).item == 7)
  }

  @Test func matrixProductsComputeInBFloat16OnRequest() {
    let (x, weight) = (Tensor.random([4, 8], seed: 1), Tensor.random([5, 8], seed: 2))
    let exact = x.linear(weight)
    let rounded = withBFloat16(true, on: .cpu) { x.linear(weight) }
    #expect(rounded.dtype == .bfloat16)
    #expect((1e-4...0.05).contains(distance(rounded.to(.float32), exact)))
    #expect(withBFloat16(false, on: .cpu) { x.linear(weight) }.dtype == .float32)
    #expect(x.linear(weight).dtype == .float32)
  }

  @Test func dropoutKeepsTheMean() {
    Torch.seed(1)
    let kept: [Double] = Tensor.full([100_000], 1).dropout(0.2).array()
    #expect(Set(kept) == [0, 1.25])
    #expect(abs(kept.mean - 1) < 4 * kept.standardError)
    #expect(matrix.dropout(0) === matrix)
  }

  /// An element says nothing about its neighbours, near or far, nor about the same place in the next dropout. With
  /// n pairs, the share of those dropped together is p² within 4 √(p²(1 − p²) / n), but once in 16,000.
  @Test(arguments: [1, 2, 64, 1 << 14], [0.1, 0.5])
  func dropoutIsIndependent(distance: Int, probability: Double) {
    Torch.seed(2)
    let ones = Tensor.full([200_000], 1)
    func draw() -> [Bool] { ones.dropout(probability).array(of: Float.self).map { $0 == 0 } }
    let (first, second) = (draw(), draw())
    let both = probability * probability
    func expectIndependence(_ pairs: some Collection<(Bool, Bool)>) {
      let share = Double(pairs.count { $0 && $1 }) / Double(pairs.count)
      #expect(abs(share - both) < 4 * (both * (1 - both) / Double(pairs.count)).squareRoot())
    }
    expectIndependence(Array(zip(first, first.dropFirst(distance))))
    expectIndependence(Array(zip(first, second)))
    expectIndependence(Array(zip(first.dropFirst(distance), second)))
  }

  @Test func dropoutDependsOnTheSeedAlone() {
    let ones = Tensor.full([100_000], 1)
    func draw(_ seed: UInt64) -> [Float] {
      Torch.seed(seed)
      return ones.dropout(0.3).array()
    }
    let drawn = draw(1)
    #expect(draw(1) == drawn)
    #expect(draw(2) != drawn)
    for threads in 1...3 { #expect(withThreads(threads) { draw(1) } == drawn) }
  }

  @Test(arguments: [0, 0.3]) func whatIsDroppedBeforeItIsAddedIsWhatDropoutDrops(probability: Double) {
    let (x, y) = (Tensor.parameter([50, 401], seed: 1), Tensor.parameter([50, 401], seed: 2))
    let slope = Tensor.random([50, 401], seed: 3)
    func results(_ body: () -> Tensor) -> [Tensor] {
      Torch.seed(4)
      let result = body()
      return [result] + gradients(of: { (result * slope).sum() }, for: [x, y])
    }
    let found = results { x.adding(y, dropout: probability) }
    for (found, expected) in zip(found, results { x + y.dropout(probability) }) {
      #expect(distance(found, expected) < 1e-6)
    }
    #expect(found[2].array(of: Float.self).contains(0) == (probability > 0))
  }

  /// Eigenvectors are turned by the matrix into multiples of themselves, and stand at right angles.
  @Test func eigenvectorsOfASymmetricMatrix() {
    let half = Tensor.random([5, 5], seed: 3).to(.float64)
    let matrix = half.linear(half)
    let (values, vectors) = matrix.symmetricEigen()
    let numbers: [Double] = values.array()
    #expect(numbers == numbers.sorted() && numbers[0] > 0)
    #expect(distance(matrix.linear(vectors.transposed(0, 1)), vectors * values) < 1e-12)
    let unit = Tensor((0..<25).map { $0 % 6 == 0 ? 1.0 : 0 }, shape: [5, 5])
    #expect(distance(vectors.linear(vectors), unit) < 1e-12)
  }
}
