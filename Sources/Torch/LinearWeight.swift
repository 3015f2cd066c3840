import CTorch
import Faults

/// How the numbers of a network's matrices are kept.
public enum Precision: String, CaseIterable, Sendable, Codable {
  /// 32 bits, as they are trained.
  case float32
  /// 16 bits with the exponent of float32: rounded to 8 significant bits, computed with in float32.
  case bfloat16 = "bf16"
  /// 8 bits with a scale for each row. What is multiplied with it is rounded to 8 bits as well, with a scale of its own
  /// row, and products are summed exactly.
  case int8

  /// Throws unless products in this precision can be computed there.
  public func requireAvailable(on device: Device) throws {
    guard self != .float32, device != .cpu else { return }
    throw TorchError("precision \(rawValue) computes on the CPU alone, not on '\(device.rawValue)'; use float32 there")
  }

  var code: CTPrecision {
    switch self {
    case .float32: CTFloat32Weights
    case .bfloat16: CTBFloat16Weights
    case .int8: CTInt8Weights
    }
  }
}

/// A weight of a linear layer, [outputs, inputs], in one of three precisions.
public struct LinearWeight {
  /// The numbers, or for int8 integers, [outputs, inputs].
  public let rows: Tensor
  /// What the integers of each row are multiplied with, [outputs]; nil unless int8.
  public let scales: Tensor?
  /// The sum of each row's integers, which their products need.
  private let sums: Tensor?

  /// More inputs could overflow the 32 bits of a sum of products of bytes.
  public static let maximumInt8Inputs = 1 << 16

  /// A weight in float32, which may be trained.
  public init(_ tensor: Tensor) {
    rows = tensor
    scales = nil
    sums = nil
  }

  /// Integers with a scale for each row, or numbers without.
  ///
  /// - Throws: ``TorchError`` where they don't fit each other.
  public init(rows: Tensor, scales: Tensor?) throws {
    func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
      guard !condition else { return }
      throw TorchError(problem())
    }
    try require(rows.rank == 2, "a weight has shape \(rows.shape), expected [outputs, inputs]")
    if let scales {
      try require(
        rows.dtype == .int8 && scales.dtype == .float32 && scales.shape == [rows.size(0)],
        "scales of type \(scales.dtype.rawValue) and shape \(scales.shape) do not fit a weight of type "
          + "\(rows.dtype.rawValue) and shape \(rows.shape), expected I8 and an F32 for each row")
      try require(
        rows.size(1) <= Self.maximumInt8Inputs, "\(rows.size(1)) inputs, int8 takes \(Self.maximumInt8Inputs) at most")
    } else {
      try require(
        [.float32, .bfloat16].contains(rows.dtype), "a weight has type \(rows.dtype.rawValue), expected F32 or BF16")
    }
    self.init(unchecked: rows, scales: scales)
  }

  private init(unchecked rows: Tensor, scales: Tensor?) {
    self.rows = rows
    self.scales = scales
    sums = scales.map { _ in produce(rows, ct_row_sums) }
  }

  /// How its numbers are kept.
  public var precision: Precision { scales != nil ? .int8 : rows.dtype == .bfloat16 ? .bfloat16 : .float32 }

  /// The same weight, rounded to another precision, from float32.
  ///
  /// - Precondition: it is float32, and no wider than ``maximumInt8Inputs`` for int8.
  public func converted(to precision: Precision) -> LinearWeight {
    guard precision != self.precision else { return self }
    trap(unless: self.precision == .float32, "a weight is rounded once")
    return withoutGradients {
      guard precision == .int8 else { return LinearWeight(unchecked: rows.to(.bfloat16), scales: nil) }
      trap(unless: rows.size(1) <= Self.maximumInt8Inputs, "too many inputs for int8")
      return withExtendedLifetime(rows) {
        var integers: OpaquePointer?
        var scales: OpaquePointer?
        must(ct_quantise(rows.handle, &integers, &scales))
        return LinearWeight(unchecked: Tensor(owning: integers!), scales: Tensor(owning: scales!))
      }
    }
  }

  /// What the numbers stand for, in float32.
  public var dense: Tensor {
    withoutGradients {
      guard let scales else { return rows.to(.float32) }
      return rows.to(.float32) * scales.reshaped([scales.count, 1])
    }
  }

  /// The weight as C functions read it, with a bias; valid as long as both live.
  func matrix(bias: Tensor?) -> CTMatrix {
    CTMatrix(
      precision: precision.code, rows: rows.address,
      scales: scales.map { $0.address.assumingMemoryBound(to: Float.self) },
      sums: sums.map { $0.address.assumingMemoryBound(to: Int32.self) },
      bias: bias.map { $0.address.assumingMemoryBound(to: Float.self) }, outputs: Int64(rows.size(0)),
      inputs: Int64(rows.size(1)))
  }
}

extension Tensor {
  /// `self · weightᵀ + bias`: [..., inputs] to [..., outputs]. In float32 it can be differentiated.
  ///
  /// - Parameters:
  ///   - weight: [outputs, inputs].
  ///   - bias: [outputs].
  ///   - gelu: whether ``gelu()`` is applied to it, at less cost than afterwards.
  public func linear(_ weight: LinearWeight, bias: Tensor? = nil, gelu: Bool = false) -> Tensor {
    weight.precision == .float32
      ? linear(weight.rows, bias: bias, gelu: gelu) : multiplied(by: weight, bias: bias, gelu: gelu)
  }

  /// The same by the operation that decoding uses, on the CPU, in every precision, without autograd: a row comes out the
  /// same bit for bit among any others.
  ///
  /// - Parameters:
  ///   - weight: [outputs, inputs].
  ///   - bias: [outputs].
  ///   - gelu: whether ``gelu()`` is applied to it.
  ///   - instructions: to use, or the machine's best if that has less; for checking.
  public func multiplied(
    by weight: LinearWeight, bias: Tensor? = nil, gelu: Bool = false, instructions: Instructions = .avx512
  ) -> Tensor {
    var matrix = weight.matrix(bias: bias)
    return withExtendedLifetime((weight, bias)) {
      produce(self) { ct_multiply($0, &matrix, gelu, CTInstructions(rawValue: instructions.rawValue), $1) }
    }
  }

  /// The weighted negative log-likelihood of targets under an output layer of any precision, as under one in float32, for
  /// which alone the loss can be differentiated.
  public func negativeLogLikelihood(
    weight: LinearWeight, bias: Tensor, targets: Tensor, lossWeights: Tensor, excluding excluded: Int?
  ) -> (loss: Tensor, nll: Tensor) {
    guard weight.precision != .float32 else {
      return negativeLogLikelihood(
        weight: weight.rows, bias: bias, targets: targets, lossWeights: lossWeights, excluding: excluded)
    }
    // Never all logits at a time.
    let rowsAtOnce = 128
    let chunks = stride(from: 0, to: size(0), by: rowsAtOnce).map { start in
      let rows = start..<min(start + rowsAtOnce, size(0))
      let logits = narrowed(dim: 0, to: rows).linear(weight, bias: bias)
      if let excluded { logits.narrowed(dim: 1, to: excluded..<excluded + 1).fill(-.infinity) }
      let own = targets.narrowed(dim: 0, to: rows).reshaped([rows.count, 1])
      return (logits.logSoftmax(dim: 1).gathering(own, dim: 1) * -1).reshaped([rows.count])
    }
    let nll = chunks.isEmpty ? Tensor.zeros([0]) : Tensor.concatenated(chunks)
    return ((nll.to(.float64) * lossWeights.to(.float64)).sum(), nll)
  }

  /// Where a contiguous CPU tensor's elements lie.
  var address: UnsafeRawPointer {
    withExtendedLifetime(self) {
      var address: UnsafeMutableRawPointer?
      must(ct_data(handle, &address))
      trap(unless: address != nil, "a contiguous tensor on the CPU")
      return UnsafeRawPointer(address!)
    }
  }
}

/// Instructions of processors that products have forms for.
public enum Instructions: Int32, CaseIterable, Comparable, Sendable {
  /// What the compiler makes of the language alone; on Arm's processors that is NEON.
  case portable
  /// 256 bits at a time.
  case avx2
  /// 512 bits at a time.
  case avx512

  public static func < (a: Instructions, b: Instructions) -> Bool { a.rawValue < b.rawValue }

  /// The best that this machine has.
  public static var best: Instructions { Instructions(rawValue: ct_instructions().rawValue)! }
}
