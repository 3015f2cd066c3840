import EsoLM
import Torch

/// What a checkpoint holds and whether it would load, for people and programs.
public struct CheckpointSummary: Sendable, Codable {
  public struct TensorLine: Sendable, Codable {
    public let name: String
    public let dtype: String
    public let shape: [Int]
  }

  public let path: String
  public let form: Checkpoint.Form
  public let step: Int?
  public let parameters: Int
  public let tensors: [TensorLine]
  /// Tensors that are no weights.
  public let buffers: [TensorLine]
  public let hasAverage: Bool
  public let averageDecay: Double?
  public let averageUpdates: Int?
  public let hyperParameters: PlainValue
  /// The network and method that would load; nil if none would.
  public let network: TransformerConfiguration?
  public let method: MethodConfiguration?
  /// All that keeps it from loading.
  public let problems: [String]
  /// What is worth knowing about its tokenizer.
  public let note: String?

  /// - Parameter given: settings that take the place of what the file says.
  public init(_ checkpoint: Checkpoint, given: ModelSettings = .init()) {
    func lines(_ tensors: [StoredTensor]) -> [TensorLine] {
      tensors.map { TensorLine(name: $0.name, dtype: $0.dtype.rawValue, shape: $0.shape) }
    }
    path = checkpoint.path
    form = checkpoint.form
    step = checkpoint.step
    parameters = checkpoint.parameterCount
    tensors = lines(checkpoint.weights)
    buffers = lines(checkpoint.buffers)
    hasAverage = checkpoint.average != nil
    averageDecay = checkpoint.averageDecay
    averageUpdates = checkpoint.averageUpdates
    hyperParameters = checkpoint.hyperParameters
    do {
      let conversion = try Conversion(checkpoint, given: given)
      (network, method, note, problems) = (conversion.network, conversion.method, conversion.note, [])
    } catch {
      (network, method, note) = (nil, nil, nil)
      problems = (error as? CheckpointMisfit)?.problems ?? ["\(error)"]
    }
  }
}
