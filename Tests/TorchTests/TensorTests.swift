import TestSupport
import Testing
import Torch

@Suite("Tensors")
struct TensorTests {
  private func roundTrip<Scalar: TensorScalar & Equatable>(_ elements: [Scalar]) {
    for shape in [[elements.count], [2, elements.count / 2], [1, elements.count, 1]] {
      let tensor = Tensor(elements, shape: shape)
      #expect(tensor.dtype == Scalar.dtype)
      #expect(tensor.shape == shape)
      #expect(tensor.rank == shape.count)
      #expect(tensor.count == elements.count)
      #expect(tensor.array() == elements)
    }
    let empty = Tensor([Scalar](), shape: [3, 0])
    #expect(empty.shape == [3, 0])
    #expect(empty.array(of: Scalar.self) == [])
  }

  @Test func elementsOfEveryTypeComeBack() {
    roundTrip([1.5, -.infinity, .leastNonzeroMagnitude, -0.0] as [Float])
    roundTrip([.pi, .greatestFiniteMagnitude, -.leastNonzeroMagnitude, -1] as [Double])
    roundTrip([.min, .max, 0, -1] as [Int64])
    roundTrip([.min, .max, 0, -1] as [Int32])
    roundTrip([0, 1, 127, 255] as [UInt8])
    roundTrip([true, false, false, true])
  }

  @Test(arguments: DType.allCases)
  func everyTypeConvertsThereAndBack(dtype: DType) {
    let numbers = Tensor([0, 1, 1, 0] as [Double], shape: [2, 2])
    let converted = numbers.to(dtype)
    #expect(converted.dtype == dtype)
    #expect(converted.array(of: Double.self) == [0, 1, 1, 0])
    #expect(Tensor.zeros([2, 0, 3], dtype: dtype).to(.float32).shape == [2, 0, 3])
    #expect(Tensor.full([2], 1, dtype: dtype).array(of: Double.self) == [1, 1])
    var bytes = [UInt8](repeating: 9, count: 4 * dtype.byteCount)
    bytes.withUnsafeMutableBytes { converted.copyBytes(to: $0) }
    let copy = bytes.withUnsafeBytes { Tensor(bytes: $0, shape: [2, 2], dtype: dtype) }
    #expect(copy.array(of: Double.self) == [0, 1, 1, 0])
  }

  @Test func halfPrecisionRoundsToNearest() {
    let thirds = Tensor([1.0 / 3, 1e5] as [Float])
    #expect(thirds.to(.bfloat16).array(of: Float.self) == [0.333984375, 99840])
    #expect(thirds.to(.float16).array(of: Float.self) == [0.333251953125, .infinity])
  }

  @Test func aNumberHasNoDimensions() {
    let number = Tensor([7] as [Int64], shape: [])
    #expect(number.shape == [])
    #expect(number.item == 7)
    #expect(Tensor([2.5] as [Float], shape: [1, 1]).item == 2.5)
  }

  @Test func sizesCountFromTheEndToo() {
    let tensor = Tensor.zeros([2, 3, 5])
    #expect([0, 1, 2, -1, -3].map(tensor.size) == [2, 3, 5, 5, 2])
  }

  @Test func uniformNumbersFollowTheSeed() {
    let first: [Float] = Tensor.uniform([1000], in: -2..<3, seed: 1).array()
    #expect(first == Tensor.uniform([1000], in: -2..<3, seed: 1).array())
    #expect(first != Tensor.uniform([1000], in: -2..<3, seed: 2).array())
    #expect(first.allSatisfy { (-2..<3).contains($0) })
    #expect(abs(first.map(Double.init).mean - 0.5) < 4 * 5 / 12000.0.squareRoot())
  }

  @Test func elementsCanBeChangedInPlace() {
    let tensor = Tensor([1, 2, 3] as [Int32])
    tensor.withUnsafeElements(of: Int32.self) { $0[1] = 7 }
    #expect(tensor.array(of: Int32.self) == [1, 7, 3])
  }

  @Test func partsShareMemory() {
    let tensor = Tensor.zeros([2, 3])
    tensor.narrowed(dim: 1, to: 1..<2).fill(4)
    tensor.narrowed(dim: 0, to: 1..<2).narrowed(dim: 1, to: 2..<3).copy(from: Tensor([9] as [Int64]))
    #expect(tensor.array(of: Float.self) == [0, 4, 0, 0, 4, 9])
  }

  // MARK: Devices and errors

  @Test func theProcessorIsAlwaysAvailable() throws {
    try Device.cpu.requireAvailable()
    Device.cpu.synchronize()
    #expect(Tensor.zeros([1]).to(.cpu).device == .cpu)
    #expect(Torch.version.hasPrefix("2."))
    #expect(Torch.threadCount >= 1)
  }

  @Test(arguments: Device.allCases.filter { !$0.isAvailable })
  func aMissingDeviceIsNamedBesideTheUsableOnes(device: Device) {
    let usable = Device.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
    #expect(
      message { try device.requireAvailable() }
        == "device '\(device.rawValue)' is not available with libtorch \(Torch.version) on this machine "
        + "(available: \(usable))")
  }

  @Test func shapesThatDoNotFitStopTheProgramWithLibtorchsMessage() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor.zeros([2, 3]) + Tensor.zeros([2, 4])
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("libtorch: The size of tensor a (3) must match the size of tensor b (4)"))
  }
}
