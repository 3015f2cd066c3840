import Torch

/// What modulates the norms and gates of a block (adaptive layer norm of DiT, Peebles & Xie 2023).
///
/// The networks here do not see the time: the noise level that they are told is always 0. So the conditioning, and with
/// it every modulation vector, is a constant of the weights, which is what allows folding it into them.
struct Conditioning {
  /// How many sinusoids the noise level is turned into: half cosines, then half sines.
  static let sinusoids = 256

  private let vector: Tensor  // [1, conditioning]

  /// nil for a network without modulation.
  init?(_ model: some ParameterSource) {
    guard model.configuration.conditioningSize != nil else { return nil }
    // cos 0 = 1 and sin 0 = 0, whatever the frequency.
    let half = Self.sinusoids / 2
    let zeroNoise = Tensor(
      [Float](repeating: 1, count: half) + [Float](repeating: 0, count: half), shape: [1, Self.sinusoids])
    vector = zeroNoise.to(model.device)
      .linear(model["sigma_map.mlp.0.weight"], bias: model["sigma_map.mlp.0.bias"]).silu()
      .linear(model["sigma_map.mlp.2.weight"], bias: model["sigma_map.mlp.2.bias"]).silu()
  }

  /// The modulation vectors, each [hidden], of one layer.
  func vectors(of layer: String, count: Int, in model: some ParameterSource) -> [Tensor] {
    let all = vector.linear(
      model["\(layer).adaLN_modulation.weight"], bias: model["\(layer).adaLN_modulation.bias"])
    let hidden = model.configuration.hiddenSize
    // Weights are float32, also where products compute in bfloat16.
    let rows = all.reshaped([count * hidden]).to(.float32)
    return (0..<count).map { rows.narrowed(dim: 0, to: $0 * hidden..<($0 + 1) * hidden) }
  }
}

/// Layer norm with the modulation folded in: `norm(x)·w·(1 + scale) + shift`.
struct Norm {
  let weight: Tensor
  let bias: Tensor?

  /// - Parameter modulation: shift, then scale.
  init(_ weight: Tensor, modulation: [Tensor]?) {
    self.init(weight: modulation.map { weight * ($0[1] + 1) } ?? weight, bias: modulation?[0])
  }

  init(weight: Tensor, bias: Tensor?) {
    self.weight = weight
    self.bias = bias
  }

  func callAsFunction(_ x: Tensor) -> Tensor { x.layerNorm(weight: weight, bias: bias) }

  var fused: FusedDecoder.Norm { (weight, bias) }
}

/// A linear layer, perhaps with a gate on its output that is folded in whenever it runs: `gate · (Wx + b)`.
struct Linear {
  let weight: LinearWeight
  let bias: Tensor?
  let gate: Tensor?

  init(weight: Tensor, bias: Tensor? = nil, gate: Tensor? = nil) {
    (self.weight, self.bias, self.gate) = (LinearWeight(weight), bias, gate)
  }

  init(weight: LinearWeight, bias: Tensor?) { (self.weight, self.bias, gate) = (weight, bias, nil) }

  /// The same layer without a gate. Autograd keeps the product, which is as large as the weight.
  var folded: Linear {
    guard let gate else { return self }
    // A weight is packed with its gate folded in.
    return Linear(weight: weight.trainable! * gate.reshaped([gate.count, 1]), bias: bias.map { $0 * gate })
  }

  /// The same with a packed weight.
  func packed(in precision: Precision) -> Linear {
    let layer = folded
    return Linear(weight: layer.weight.packed(in: precision), bias: layer.bias)
  }

  func callAsFunction(_ x: Tensor, gelu: Bool = false) -> Tensor {
    let layer = folded
    return x.linear(layer.weight, bias: layer.bias, gelu: gelu)
  }

  var fused: FusedDecoder.Linear {
    let layer = folded
    return (layer.weight, layer.bias)
  }
}

/// One transformer block: attention and MLP, each normalised before and added to the residual stream.
struct Block {
  let attentionNorm: Norm
  private(set) var qkv: Linear
  private(set) var attentionOut: Linear
  let mlpNorm: Norm
  private(set) var mlpIn: Linear
  private(set) var mlpOut: Linear

  /// The block's weights by the names of the published checkpoints. Of the six modulation vectors the first three
  /// (shift, scale, gate) belong to attention, the others to the MLP.
  init(_ model: some ParameterSource, prefix: String, conditioning: Conditioning?) {
    let vectors = conditioning?.vectors(of: prefix, count: 6, in: model)
    attentionNorm = Norm(model["\(prefix).norm1.weight"], modulation: vectors.map { [$0[0], $0[1]] })
    qkv = Linear(weight: model["\(prefix).attn_qkv.weight"])
    attentionOut = Linear(weight: model["\(prefix).attn_out.weight"], gate: vectors?[2])
    mlpNorm = Norm(model["\(prefix).norm2.weight"], modulation: vectors.map { [$0[3], $0[4]] })
    mlpIn = Linear(weight: model["\(prefix).mlp.0.weight"], bias: model["\(prefix).mlp.0.bias"])
    mlpOut = Linear(
      weight: model["\(prefix).mlp.2.weight"], bias: model["\(prefix).mlp.2.bias"], gate: vectors?[5])
  }

  private func mlp(_ x: Tensor) -> Tensor {
    let mlpOut = mlpOut.folded
    guard let first = mlpIn.weight.trainable, let bias = mlpIn.bias, let second = mlpOut.weight.trainable,
      let bias2 = mlpOut.bias
    else { return mlpOut(mlpIn(x, gelu: true)) }
    return x.twoLayers(first, bias: bias, second, bias2: bias2)
  }

  /// A block by its parts.
  init(attentionNorm: Norm, qkv: Linear, attentionOut: Linear, mlpNorm: Norm, mlpIn: Linear, mlpOut: Linear) {
    self.attentionNorm = attentionNorm
    self.qkv = qkv
    self.attentionOut = attentionOut
    self.mlpNorm = mlpNorm
    self.mlpIn = mlpIn
    self.mlpOut = mlpOut
  }

  /// What has gradients, of a block that may be trained.
  var tensors: [Tensor] {
    [
      attentionNorm.weight, attentionNorm.bias, qkv.weight.trainable, qkv.bias, attentionOut.weight.trainable,
      attentionOut.bias, attentionOut.gate, mlpNorm.weight, mlpNorm.bias, mlpIn.weight.trainable, mlpIn.bias,
      mlpOut.weight.trainable, mlpOut.bias, mlpOut.gate,
    ].compactMap { $0 }
  }

  /// The same block of other tensors, in the order of `tensors`.
  func of(_ tensors: some Sequence<Tensor>) -> Block {
    var rest = tensors.makeIterator()
    func norm(_ like: Norm) -> Norm { Norm(weight: rest.next()!, bias: like.bias.map { _ in rest.next()! }) }
    func linear(_ like: Linear) -> Linear {
      Linear(
        weight: rest.next()!, bias: like.bias.map { _ in rest.next()! }, gate: like.gate.map { _ in rest.next()! })
    }
    return Block(
      attentionNorm: norm(attentionNorm), qkv: linear(qkv), attentionOut: linear(attentionOut), mlpNorm: norm(mlpNorm),
      mlpIn: linear(mlpIn), mlpOut: linear(mlpOut))
  }

  /// The same with its gates folded in.
  var folded: Block { with { $0.folded } }

  /// The same with packed weights.
  func packed(in precision: Precision) -> Block { with { $0.packed(in: precision) } }

  private func with(_ change: (Linear) -> Linear) -> Block {
    var block = self
    for layer in [\Block.qkv, \.attentionOut, \.mlpIn, \.mlpOut] {
      block[keyPath: layer] = change(self[keyPath: layer])
    }
    return block
  }

  var fused: FusedDecoder.Block {
    (
      attentionNorm: attentionNorm.fused, qkv: qkv.fused, attentionOut: attentionOut.fused, mlpNorm: mlpNorm.fused,
      mlpIn: mlpIn.fused, mlpOut: mlpOut.fused
    )
  }

  /// Runs the block on the residual stream [rows, hidden].
  ///
  /// - Parameters:
  ///   - rotary: the angles of the rows' positions.
  ///   - kept: the rows that go on; the others only lend their keys and values. nil keeps all.
  ///   - attend: from query [kept rows, heads, size], key and value [rows, heads, size] to [kept rows, heads, size].
  func callAsFunction(
    _ stream: Tensor, rotary: RotaryAngles, kept: Tensor? = nil, dropout: Double = 0,
    attend: (_ query: Tensor, _ key: Tensor, _ value: Tensor) -> Tensor
  ) -> Tensor {
    let (query, key, value) = rotary.split(qkv(attentionNorm(stream)))
    let attended = attend(kept.map { query.selecting($0) } ?? query, key, value)
    var x = kept.map { stream.selecting($0) } ?? stream
    x = x.adding(attentionOut(attended.reshaped(x.shape)), dropout: dropout)
    return x.adding(mlp(mlpNorm(x)), dropout: dropout)
  }
}
