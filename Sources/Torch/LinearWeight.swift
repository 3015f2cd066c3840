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

  /// The type of packed numbers.
  public var dtype: DType {
    switch self {
    case .float32: .float32
    case .bfloat16: .bfloat16
    case .int8: .int8
    }
  }

  var code: CTPrecision {
    switch self {
    case .float32: CTFloat32Weights
    case .bfloat16: CTBFloat16Weights
    case .int8: CTInt8Weights
    }
  }
}

/// A weight of a linear layer, [outputs, inputs]: as it is trained, or packed for products on the CPU.
public struct LinearWeight {
  private enum Form {
    case trainable(Tensor)
    case packed(Packed)
  }
  private let form: Form

  /// How its numbers are kept.
  public let precision: Precision
  /// The numbers that a product gives for each row.
  public let outputs: Int
  /// The numbers of a row that it takes.
  public let inputs: Int

  /// A weight in the order in which products on the CPU read it.
  public struct Packed {
    /// Panels of 64 outputs, the last one of as many sixteens as are left. A panel goes through the inputs in groups of 32
    /// bits (one number in float32, two in bf16, four in int8) and holds, for each group, that of every output, one behind
    /// the other. What fills up the last sixteen outputs and the last group is zero. One dimension.
    public let panels: Tensor
    /// What the integers of each output are multiplied with, [outputs]; nil unless int8.
    public let scales: Tensor?
    /// The sum of each output's integers, which their products need.
    fileprivate let sums: Tensor?
  }

  /// More inputs could overflow the 32 bits of a sum of products of bytes.
  public static let maximumInt8Inputs = 1 << 16

  /// A weight in float32, [outputs, inputs], which may be trained.
  public init(_ tensor: Tensor) {
    trap(unless: tensor.rank == 2, "a weight of two dimensions")
    form = .trainable(tensor)
    precision = .float32
    (outputs, inputs) = (tensor.size(0), tensor.size(1))
  }

  /// A packed weight, as ``packed`` gave its parts.
  ///
  /// - Parameters:
  ///   - panels: as many numbers as ``panelShape(_:outputs:inputs:)`` says, of the precision's type.
  ///   - scales: [outputs] with int8, otherwise nil.
  ///   - outputs: of the layer.
  ///   - inputs: of the layer.
  /// - Throws: ``TorchError`` where they don't fit each other.
  public init(panels: Tensor, scales: Tensor?, outputs: Int, inputs: Int) throws {
    guard let precision = Precision.allCases.first(where: { $0.dtype == panels.dtype }) else {
      throw TorchError("a weight has type \(panels.dtype.rawValue), expected F32, BF16 or I8")
    }
    guard outputs > 0, inputs > 0, precision != .int8 || inputs <= Self.maximumInt8Inputs else {
      throw TorchError(
        "\(inputs) inputs and \(outputs) outputs, expected 1 or more of each, and at most \(Self.maximumInt8Inputs) inputs "
          + "for int8")
    }
    let shape = Self.panelShape(precision, outputs: outputs, inputs: inputs)
    guard panels.shape == shape else {
      throw TorchError(
        "the panels of a weight of \(outputs) outputs and \(inputs) inputs have shape \(panels.shape), expected \(shape)"
      )
    }
    guard (scales != nil) == (precision == .int8),
      scales.map({ $0.dtype == .float32 && $0.shape == [outputs] }) ?? true
    else {
      throw TorchError("a weight in int8, and no other, has scales in F32, one for each of its \(outputs) outputs")
    }
    self.init(panels, scales, precision, outputs, inputs)
  }

  private init(_ panels: Tensor, _ scales: Tensor?, _ precision: Precision, _ outputs: Int, _ inputs: Int) {
    let sums = scales.map { _ in produce(panels) { ct_panel_sums($0, Int64(outputs), Int64(inputs), $1) } }
    form = .packed(Packed(panels: panels, scales: scales, sums: sums))
    self.precision = precision
    self.outputs = outputs
    self.inputs = inputs
  }

  /// The shape of ``Packed/panels``.
  public static func panelShape(_ precision: Precision, outputs: Int, inputs: Int) -> [Int] {
    [Int(ct_panel_size(precision.code, Int64(outputs), Int64(inputs)))]
  }

  /// The weight as it is trained, [outputs, inputs]; nil once it is packed.
  public var trainable: Tensor? {
    guard case .trainable(let tensor) = form else { return nil }
    return tensor
  }

  /// The parts of a packed weight; nil for one that may be trained.
  public var packed: Packed? {
    guard case .packed(let packed) = form else { return nil }
    return packed
  }

  /// The weight packed in a precision: a copy, which no later training changes.
  ///
  /// - Precondition: it is trainable, on the CPU, and no wider than ``maximumInt8Inputs`` for int8; or packed so already.
  public func packed(in precision: Precision) -> LinearWeight {
    guard let tensor = trainable else {
      trap(unless: precision == self.precision, "a weight is rounded once")
      return self
    }
    trap(unless: precision != .int8 || inputs <= Self.maximumInt8Inputs, "too many inputs for int8")
    return withoutGradients {
      withExtendedLifetime(tensor) {
        var panels: OpaquePointer?
        var scales: OpaquePointer?
        must(ct_pack(tensor.handle, precision.code, &panels, &scales))
        return LinearWeight(
          Tensor(owning: panels!), scales.map { Tensor(owning: $0) }, precision, outputs, inputs)
      }
    }
  }

  /// What the numbers stand for, in float32, [outputs, inputs].
  public var dense: Tensor {
    guard packed != nil else { return trainable! }
    var matrix = matrix(bias: nil)
    return withExtendedLifetime(self) {
      var dense: OpaquePointer?
      must(ct_unpack(&matrix, &dense))
      return Tensor(owning: dense!)
    }
  }

  /// The packed weight as C functions read it, with a bias; valid as long as both live.
  func matrix(bias: Tensor?) -> CTMatrix {
    trap(unless: packed != nil, "a packed weight")
    return CTMatrix(
      precision: precision.code, panels: packed!.panels.address,
      scales: packed!.scales.map { $0.address.assumingMemoryBound(to: Float.self) },
      sums: packed!.sums.map { $0.address.assumingMemoryBound(to: Int32.self) },
      bias: bias.map { $0.address.assumingMemoryBound(to: Float.self) }, outputs: Int64(outputs),
      inputs: Int64(inputs))
  }
}

extension Tensor {
  /// `self · weightᵀ + bias`: [..., inputs] to [..., outputs]. With a trainable weight it can be differentiated.
  ///
  /// - Parameters:
  ///   - weight: [outputs, inputs].
  ///   - bias: [outputs].
  ///   - gelu: whether ``gelu()`` is applied to it, at less cost than afterwards.
  public func linear(_ weight: LinearWeight, bias: Tensor? = nil, gelu: Bool = false) -> Tensor {
    weight.trainable.map { linear($0, bias: bias, gelu: gelu) } ?? multiplied(by: weight, bias: bias, gelu: gelu)
  }

  /// The same with a packed weight, without autograd: a row comes out the same bit for bit among any others.
  ///
  /// - Parameters:
  ///   - weight: packed, [outputs, inputs].
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

  /// The weighted negative log-likelihood of targets under an output layer, as under one that may be trained, for which
  /// alone the loss can be differentiated.
  public func negativeLogLikelihood(
    weight: LinearWeight, bias: Tensor, targets: Tensor, lossWeights: Tensor, excluding excluded: Int?
  ) -> (loss: Tensor, nll: Tensor) {
    if let trainable = weight.trainable {
      return negativeLogLikelihood(
        weight: trainable, bias: bias, targets: targets, lossWeights: lossWeights, excluding: excluded)
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
