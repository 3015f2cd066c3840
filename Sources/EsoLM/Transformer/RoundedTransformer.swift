import Torch

// A network in the form that runs, as tensors by name: what a file of a packed network holds. The names are those of its
// parameters, without the modulation, which is folded in; norms have a bias where there was one. Matrices but the embedding
// lie in the order in which products read them (`LinearWeight.Packed.panels`), so that they can stay in the mapped file; an
// int8 weight has its scales beside it.
extension Transformer {
  /// A tensor of a file: its name, type and shape.
  public typealias Description = (name: String, dtype: DType, shape: [Int])

  private static func scales(of weight: String) -> String { "\(weight)_scale" }

  /// The tensors of a network that is packed in a precision, in their order in files.
  public static func descriptions(
    _ configuration: TransformerConfiguration, precision: Precision
  ) -> [Description] {
    var plain = configuration
    plain.conditioningSize = nil
    return ParameterLayout(plain).entries.flatMap { entry -> [Description] in
      let (name, shape) = (entry.name, entry.shape)
      if shape.count == 2, name != "vocab_embed.embedding" {
        let panels = LinearWeight.panelShape(precision, outputs: shape[0], inputs: shape[1])
        return [(name, precision.dtype, panels)]
          + (precision == .int8 ? [(scales(of: name), .float32, [shape[0]])] : [])
      }
      guard name.hasSuffix("norm1.weight") || name.hasSuffix("norm2.weight") || name.hasSuffix("norm_final.weight"),
        configuration.conditioningSize != nil
      else { return [(name, .float32, shape)] }
      return [(name, .float32, shape), (name.replacingSuffix("weight", with: "bias"), .float32, shape)]
    }
  }

  /// The tensors, in the order of ``descriptions(_:precision:)``, which describes them once they are packed.
  public var tensors: [(name: String, tensor: Tensor)] {
    var all: [(name: String, tensor: Tensor)] = [("vocab_embed.embedding", embedding)]
    func add(_ name: String, _ norm: Norm) {
      all.append(("\(name).weight", norm.weight))
      if let bias = norm.bias { all.append(("\(name).bias", bias)) }
    }
    func add(_ name: String, _ gated: Linear) {
      let layer = gated.folded
      all.append(("\(name).weight", layer.weight.packed?.panels ?? layer.weight.trainable!))
      if let scales = layer.weight.packed?.scales { all.append((Self.scales(of: "\(name).weight"), scales)) }
      if let bias = layer.bias { all.append(("\(name).bias", bias)) }
    }
    for (number, block) in blocks.enumerated() {
      let prefix = "blocks.\(number)"
      add("\(prefix).norm1", block.attentionNorm)
      add("\(prefix).attn_qkv", block.qkv)
      add("\(prefix).attn_out", block.attentionOut)
      add("\(prefix).norm2", block.mlpNorm)
      add("\(prefix).mlp.0", block.mlpIn)
      add("\(prefix).mlp.2", block.mlpOut)
    }
    add("output_layer.norm_final", finalNorm)
    add("output_layer.linear", output)
    return all
  }

  /// A network of given tensors, which it keeps as they are.
  ///
  /// - Parameters:
  ///   - configuration: its sizes.
  ///   - precision: of its matrices.
  ///   - found: type and shape of the tensors by name.
  ///   - tensor: one of them.
  /// - Throws: ``ParameterMismatch``, which lists every tensor that is missing, extra or of another shape or type.
  public init(
    _ configuration: TransformerConfiguration, precision: Precision, found: [String: (dtype: DType, shape: [Int])],
    tensor: (_ name: String) throws -> Tensor
  ) throws {
    try configuration.validate()
    try ParameterMismatch.check(found, against: Self.descriptions(configuration, precision: precision))
    func norm(_ name: String) throws -> Norm {
      let bias = "\(name).bias"
      return Norm(weight: try tensor("\(name).weight"), bias: found[bias] == nil ? nil : try tensor(bias))
    }
    let layers = Dictionary(
      uniqueKeysWithValues: ParameterLayout(configuration).entries.map { ($0.name, $0.shape) })
    func linear(_ name: String) throws -> Linear {
      let (weight, bias) = ("\(name).weight", "\(name).bias")
      let (scales, shape) = (Self.scales(of: weight), layers[weight]!)
      return Linear(
        weight: try LinearWeight(
          panels: try tensor(weight), scales: found[scales] == nil ? nil : try tensor(scales), outputs: shape[0],
          inputs: shape[1]),
        bias: found[bias] == nil ? nil : try tensor(bias))
    }
    self.init(
      configuration: configuration, embedding: try tensor("vocab_embed.embedding"),
      blocks: try (0..<configuration.numBlocks).map { number in
        let prefix = "blocks.\(number)"
        return Block(
          attentionNorm: try norm("\(prefix).norm1"), qkv: try linear("\(prefix).attn_qkv"),
          attentionOut: try linear("\(prefix).attn_out"), mlpNorm: try norm("\(prefix).norm2"),
          mlpIn: try linear("\(prefix).mlp.0"), mlpOut: try linear("\(prefix).mlp.2"))
      },
      finalNorm: try norm("output_layer.norm_final"), output: try linear("output_layer.linear"), dropout: 0,
      rotary: RotaryCache(configuration, device: .cpu))
  }
}

extension String {
  fileprivate func replacingSuffix(_ suffix: String, with other: String) -> String {
    hasSuffix(suffix) ? dropLast(suffix.count) + other : self
  }
}
