import Randomness
import Torch

/// The parameters of a network: name, shape and how training starts them, in the order of the published checkpoints.
public struct ParameterLayout: Sendable {
  /// One parameter.
  public struct Entry: Sendable, Equatable {
    /// Its name in checkpoints.
    public let name: String
    /// Its dimensions.
    public let shape: [Int]
    /// What it is at the start of training.
    public let start: Start
  }

  /// The numbers that a parameter starts from.
  public enum Start: Sendable, Equatable {
    /// Uniform in ±bound.
    case uniform(bound: Double)
    /// All 0.
    case zeros
    /// All 1.
    case ones
  }

  /// All parameters, in the order of the published code.
  public let entries: [Entry]

  /// Numbers in all parameters together.
  public var count: Int { entries.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  /// The layout of a network of these sizes.
  ///
  /// - Precondition: the configuration is valid (``TransformerConfiguration/validate()``).
  public init(_ configuration: TransformerConfiguration) {
    let (hidden, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
    var entries: [Entry] = []
    func linear(_ name: String, _ output: Int, _ input: Int, bias: Bool = true, zero: Bool = false) {
      let start: Start = zero ? .zeros : .uniform(bound: 1 / Double(input).squareRoot())
      entries.append(Entry(name: "\(name).weight", shape: [output, input], start: start))
      if bias { entries.append(Entry(name: "\(name).bias", shape: [output], start: start)) }
    }
    func norm(_ name: String) { entries.append(Entry(name: "\(name).weight", shape: [hidden], start: .ones)) }
    func modulation(_ name: String, vectors: Int) {
      guard let conditioning = configuration.conditioningSize else { return }
      linear("\(name).adaLN_modulation", vectors * hidden, conditioning, zero: true)
    }

    entries.append(
      Entry(
        name: "vocab_embed.embedding", shape: [vocabulary, hidden],
        start: .uniform(bound: 1 / Double(hidden).squareRoot())))
    if let conditioning = configuration.conditioningSize {
      linear("sigma_map.mlp.0", conditioning, Conditioning.sinusoids)
      linear("sigma_map.mlp.2", conditioning, conditioning)
    }
    for block in 0..<configuration.numBlocks {
      let prefix = "blocks.\(block)"
      norm("\(prefix).norm1")
      linear("\(prefix).attn_qkv", 3 * hidden, hidden, bias: false)
      linear("\(prefix).attn_out", hidden, hidden, bias: false)
      norm("\(prefix).norm2")
      linear("\(prefix).mlp.0", 4 * hidden, hidden)
      linear("\(prefix).mlp.2", hidden, 4 * hidden)
      modulation(prefix, vectors: 6)
    }
    norm("output_layer.norm_final")
    linear("output_layer.linear", vocabulary, hidden, zero: true)
    modulation("output_layer", vectors: 2)
    self.entries = entries
  }
}
