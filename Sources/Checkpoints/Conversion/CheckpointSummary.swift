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
    let settings = checkpoint.settings.overridden(by: given)
    var problems: [String] = []
    var found: (network: TransformerConfiguration?, method: MethodConfiguration?)
    do {
      let network = try checkpoint.network(settings)
      problems = checkpoint.problems(for: network)
      found.network = network
      found.method = try settings.method(for: network, path: checkpoint.path)
    } catch {
      problems.append("\(error)")
    }
    self.problems = problems
    network = problems.isEmpty ? found.network : nil
    method = problems.isEmpty ? found.method : nil
  }
}
