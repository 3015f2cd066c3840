import Randomness
import Torch

/// Where a network's parameters come from, by the names of ``ParameterLayout``.
protocol ParameterSource {
  var configuration: TransformerConfiguration { get }
  var device: Device { get }
  subscript(name: String) -> Tensor { get }
}

/// The trainable network: parameters by name.
///
/// It computes nothing itself. `transformer()` folds the modulation into the weights and gives the form that runs; under
/// autograd the folding is part of what is differentiated, so training and inference share one forward pass.
public final class TransformerWeights: ParameterSource {
  /// The sizes of the network.
  public let configuration: TransformerConfiguration
  /// In the order of ``ParameterLayout``.
  public let names: [String]
  /// The parameters, float32, in the order of `names`.
  public let parameters: [Tensor]
  private let index: [String: Int]
  let rotary: RotaryCache

  /// A network at the start of training, the same for the same seed.
  public convenience init(_ configuration: TransformerConfiguration, seed: UInt64, device: Device = .cpu) throws {
    try configuration.validate()
    try device.requireAvailable()
    let entries = ParameterLayout(configuration).entries
    let tensors = entries.enumerated().map { number, entry in
      switch entry.start {
      case .zeros: Tensor.zeros(entry.shape)
      case .ones: Tensor.full(entry.shape, 1)
      case .uniform(let bound):
        {
          var generator = CounterGenerator(seed: seed, stream: .initialWeights, major: number)
          return Tensor.uniform(entry.shape, in: -bound..<bound, seed: generator.next())
        }()
      }
    }
    self.init(configuration, entries: entries, tensors: tensors.map { $0.to(device) })
  }

  /// A network with given parameters, by the names of ``ParameterLayout``, converted to float32.
  ///
  /// - Throws: ``ParameterMismatch``, which lists every tensor that is missing, extra or of another shape.
  public convenience init(
    _ configuration: TransformerConfiguration, parameters: [String: Tensor], device: Device = .cpu
  ) throws {
    try self.init(configuration, shapes: parameters.mapValues(\.shape), device: device) { parameters[$0]! }
  }

  /// The same with parameters that are asked for one after another, once all their shapes were found to fit.
  public convenience init(
    _ configuration: TransformerConfiguration, shapes: [String: [Int]], device: Device = .cpu,
    parameter: (_ name: String) throws -> Tensor
  ) throws {
    try configuration.validate()
    try device.requireAvailable()
    let entries = ParameterLayout(configuration).entries
    try ParameterMismatch.check(shapes, against: entries)
    // Parameters are trained in place, so they must not share memory with what was passed in.
    self.init(
      configuration, entries: entries,
      tensors: try entries.map { entry in
        let copy = Tensor.zeros(entry.shape, device: device)
        let parameter = try parameter(entry.name)
        withoutGradients { copy.copy(from: parameter) }
        return copy
      })
  }

  private init(_ configuration: TransformerConfiguration, entries: [ParameterLayout.Entry], tensors: [Tensor]) {
    self.configuration = configuration
    names = entries.map(\.name)
    parameters = tensors.map { $0.requiringGradient() }
    rotary = RotaryCache(configuration, device: tensors[0].device)
    index = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
  }

  /// The same weights in memory of their own.
  public func copy() throws -> TransformerWeights {
    try TransformerWeights(
      configuration, parameters: Dictionary(uniqueKeysWithValues: zip(names, parameters)), device: device)
  }

  /// The parameter of a name, which must be one of `names`.
  public subscript(name: String) -> Tensor { parameters[index[name]!] }

  /// Where the parameters are.
  public var device: Device { parameters[0].device }

  /// Numbers in all parameters together.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  /// The parameters with their names, as files hold them.
  public var namedParameters: [(name: String, tensor: Tensor)] { Array(zip(names, parameters)) }

  /// The gradients, zero where the last loss did not depend on a parameter.
  public var gradients: [Tensor] {
    parameters.map { $0.gradient ?? Tensor.zeros($0.shape, device: $0.device) }
  }

  /// Places of the parameters, first of those whose gradients a backward pass has first: matrices of the output layer, then
  /// of one block after another from the last. Norms and modulation are folded in before the forward pass, so that
  /// theirs come after all blocks', with the embedding's.
  public var backwardOrder: [Int] {
    let last = Set(
      names.indices.filter { place in
        ["embedding", "sigma_map", "norm", "adaLN_modulation"].contains { names[place].contains($0) }
      })
    return names.indices.reversed().filter { !last.contains($0) } + names.indices.reversed().filter(last.contains)
  }

  /// Forgets all gradients.
  public func clearGradients() { for parameter in parameters { parameter.clearGradient() } }
}

/// Parameters that do not fit a configuration, all of them at once.
public struct ParameterMismatch: Error, CustomStringConvertible, Sendable, Equatable {
  /// What does not fit, a line each.
  public let problems: [String]

  public var description: String {
    let shown = problems.prefix(8).joined(separator: "; ")
    let rest = problems.count - 8
    return "the weights do not fit the configuration: \(shown)" + (rest > 0 ? "; and \(rest) more" : "")
  }

  /// The same for tensors whose types matter too.
  static func check(
    _ found: [String: (dtype: DType, shape: [Int])], against expected: [Transformer.Description]
  ) throws {
    var problems: [String] = []
    for (name, dtype, shape) in expected {
      guard let tensor = found[name] else {
        problems.append("'\(name)' \(shape) is missing")
        continue
      }
      if tensor.shape != shape || tensor.dtype != dtype {
        problems.append(
          "'\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), expected \(dtype.rawValue) \(shape)")
      }
    }
    let known = Set(expected.map(\.name))
    problems += found.keys.filter { !known.contains($0) }.sorted().map { "'\($0)' is not expected" }
    guard problems.isEmpty else { throw ParameterMismatch(problems: problems) }
  }

  static func check(_ shapes: [String: [Int]], against entries: [ParameterLayout.Entry]) throws {
    let problems = problems(shapes, against: entries)
    guard problems.isEmpty else { throw ParameterMismatch(problems: problems) }
  }

  /// All that is missing, extra or of another shape, a line each.
  public static func problems(_ shapes: [String: [Int]], for configuration: TransformerConfiguration) -> [String] {
    problems(shapes, against: ParameterLayout(configuration).entries)
  }

  private static func problems(_ shapes: [String: [Int]], against entries: [ParameterLayout.Entry]) -> [String] {
    var problems: [String] = []
    for entry in entries {
      if let shape = shapes[entry.name] {
        if shape != entry.shape { problems.append("'\(entry.name)' has shape \(shape), expected \(entry.shape)") }
      } else {
        problems.append("'\(entry.name)' \(entry.shape) is missing")
      }
    }
    let known = Set(entries.map(\.name))
    problems += shapes.keys.filter { !known.contains($0) }.sorted().map { "'\($0)' is not expected" }
    return problems
  }
}
