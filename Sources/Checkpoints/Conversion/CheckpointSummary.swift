import EsoLM
import Torch

/// What a checkpoint holds and whether it would load, for people and programs.
public struct CheckpointSummary: Sendable, Codable {
  /// A tensor by what the file says of it.
  public struct TensorLine: Sendable, Codable {
    /// Its name in the file, without prefixes.
    public let name: String
    /// The type of its elements, as safetensors files name it.
    public let dtype: String
    /// Its dimensions.
    public let shape: [Int]
  }

  /// The file or folder.
  public let path: String
  /// In which form it is.
  public let form: Checkpoint.Form
  /// The training step, where the file says it.
  public let step: Int?
  /// Numbers in all weights together.
  public let parameters: Int
  /// What the weights are rounded to, where they are for sampling and evaluation alone.
  public let precision: Precision?
  /// The weights.
  public let tensors: [TensorLine]
  /// Tensors that are no weights.
  public let buffers: [TensorLine]
  /// Whether there is a moving average of the weights.
  public let hasAverage: Bool
  /// The average's decay, where the file says it.
  public let averageDecay: Double?
  /// How many updates the average has seen, where the file says it.
  public let averageUpdates: Int?
  /// The plain part of what the file says about its training and model.
  public let hyperParameters: PlainValue
  /// The network and method that would load; nil if none would.
  public let network: TransformerConfiguration?
  /// The method that would load; nil if none would.
  public let method: MethodConfiguration?
  /// All that keeps it from loading.
  public let problems: [String]
  /// What is worth knowing about its tokenizer.
  public let note: String?

  /// - Parameters:
  ///   - checkpoint: what is summed up.
  ///   - given: settings that take the place of what the file says.
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
    precision = checkpoint.precision
    if precision != nil, let run = checkpoint.run {
      (network, method, note, problems) = (run.model, run.method, nil, [])
      return
    }
    do {
      let conversion = try Conversion(checkpoint, given: given)
      (network, method, note, problems) = (conversion.network, conversion.method, conversion.note, [])
    } catch {
      (network, method, note) = (nil, nil, nil)
      problems = (error as? CheckpointMisfit)?.problems ?? ["\(error)"]
    }
  }
}
