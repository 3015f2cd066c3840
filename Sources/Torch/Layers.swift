import CTorch

// The layers of the transformer, as functions of their weights.
extension Tensor {
  /// `self · weightᵀ + bias`: [..., in] with weight [out, in] to [..., out].
  ///
  /// - Parameters:
  ///   - weight: [out, in].
  ///   - bias: [out].
  ///   - gelu: whether ``gelu()`` is applied to it, at less cost than afterwards.
  public func linear(_ weight: Tensor, bias: Tensor? = nil, gelu: Bool = false) -> Tensor {
    withExtendedLifetime(bias) { produce(self, weight) { ct_linear($0, $1, bias?.handle, gelu, $2) } }
  }

  /// `gelu(self · weightᵀ + bias) · weight2ᵀ + bias2` of rows [rows, in]; its backward pass keeps less than that of two
  /// layers one after another.
  ///
  /// - Parameters:
  ///   - weight: [middle, in].
  ///   - bias: [middle].
  ///   - weight2: [out, middle].
  ///   - bias2: [out].
  public func twoLayers(_ weight: Tensor, bias: Tensor, _ weight2: Tensor, bias2: Tensor) -> Tensor {
    withExtendedLifetime((bias, weight2, bias2)) {
      produce(self, weight) { ct_two_layers($0, $1, bias.handle, weight2.handle, bias2.handle, $2) }
    }
  }

  /// Normalises the last dimension to mean 0 and variance 1, then scales and shifts it: weight and bias [size].
  public func layerNorm(weight: Tensor, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
    withExtendedLifetime(bias) { produce(self, weight) { ct_layer_norm($0, $1, bias?.handle, epsilon, $2) } }
  }

  /// The rows `index` (int64) of this table.
  public func embedding(_ index: Tensor) -> Tensor { produce(self, index, ct_embedding) }

  /// Splits the output of a qkv projection, [rows, 3·hidden], and turns queries and keys by the rows' positions.
  ///
  /// - Parameters:
  ///   - cosine: of the angles by position, [positions, head size / 2].
  ///   - sine: of the same angles, [positions, head size / 2].
  ///   - positions: int64 [rows].
  ///   - heads: the number of attention heads.
  /// - Returns: query, key and value, each [rows, heads, head size].
  public func splitRotary(
    cosine: Tensor, sine: Tensor, positions: Tensor, heads: Int
  ) -> (query: Tensor, key: Tensor, value: Tensor) {
    withExtendedLifetime((self, cosine, sine, positions)) {
      var query: OpaquePointer?
      var key: OpaquePointer?
      var value: OpaquePointer?
      must(
        ct_split_rotary(
          handle, cosine.handle, sine.handle, positions.handle, Int64(heads), &query, &key, &value))
      return (Tensor(owning: query!), Tensor(owning: key!), Tensor(owning: value!))
    }
  }

  /// Attention that is put together from parts, without a dense mask; `self` holds the queries [rows, heads, size].
  ///
  /// Every row must see a key, in one part or several, and none may see a key twice: the program stops otherwise.
  ///
  /// - Parameters:
  ///   - key: [keys, heads, size].
  ///   - value: [keys, heads, size].
  ///   - parts: which rows look at which keys.
  ///   - fused: false computes the same with masks, as devices other than the CPU do.
  /// - Returns: [rows, heads, size].
  public func attention(key: Tensor, value: Tensor, parts: [AttentionPart], fused: Bool? = nil) -> Tensor {
    if let fault = AttentionPart.fault(in: parts, rows: size(0), keys: key.size(0)) {
      fatalError("attention in parts: \(fault)")
    }
    let numbers = parts.flatMap { part in
      [part.rows.lowerBound, part.rows.count, part.keys.lowerBound, part.keys.count, part.reach.code].map(Int64.init)
    }
    return withExtendedLifetime(value) {
      produce(self, key) {
        ct_part_attention($0, $1, value.handle, numbers, Int64(parts.count), fused ?? (device == .cpu), $2)
      }
    }
  }

  /// The weighted negative log-likelihood of targets under an output layer, without ever holding all logits.
  ///
  /// `self` is [rows, hidden]; `loss = Σ weight · nll` (float64), the only part that can be differentiated, and `nll`
  /// is [rows] in nats.
  ///
  /// - Parameters:
  ///   - weight: [classes, hidden].
  ///   - bias: [classes].
  ///   - targets: int64 [rows].
  ///   - lossWeights: float32 [rows].
  ///   - excluded: a class without probability (the mask token).
  public func negativeLogLikelihood(
    weight: Tensor, bias: Tensor, targets: Tensor, lossWeights: Tensor, excluding excluded: Int?
  ) -> (loss: Tensor, nll: Tensor) {
    withExtendedLifetime((self, weight, bias, targets, lossWeights)) {
      var loss: OpaquePointer?
      var nll: OpaquePointer?
      must(
        ct_linear_nll(
          handle, weight.handle, bias.handle, targets.handle, lossWeights.handle, Int64(excluded ?? -1), &loss, &nll))
      return (Tensor(owning: loss!), Tensor(owning: nll!))
    }
  }
}

extension Torch {
  /// Whether libtorch has the products of oneDNN that make linear layers in float32 fast on the CPU.
  public static var hasFastLinear: Bool { ct_has_fast_linear() }
}
