import CTorch

// The layers of the transformer, as functions of their weights.
extension Tensor {
  /// `self · weightᵀ + bias`: [..., in] with weight [out, in] to [..., out].
  public func linear(_ weight: Tensor, bias: Tensor? = nil) -> Tensor {
    withExtendedLifetime(bias) { produce(self, weight) { ct_linear($0, $1, bias?.handle, $2) } }
  }

  /// Normalises the last dimension to mean 0 and variance 1, then scales and shifts it: weight and bias [size].
  public func layerNorm(weight: Tensor, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
    withExtendedLifetime(bias) { produce(self, weight) { ct_layer_norm($0, $1, bias?.handle, epsilon, $2) } }
  }

  /// The rows `index` (int64) of this table.
  public func embedding(_ index: Tensor) -> Tensor { produce(self, index, ct_embedding) }

  /// Scaled dot-product attention, `self` being the queries [batch, heads, rows, size].
  ///
  /// - Parameters:
  ///   - key: [batch, heads, slots, size].
  ///   - value: [batch, heads, slots, size].
  ///   - mask: bool, broadcast to [batch, heads, rows, slots]; true where a row may look.
  ///   - causal: row i sees slots 0 ... i. Not together with `mask`.
  public func attention(key: Tensor, value: Tensor, mask: Tensor? = nil, causal: Bool = false) -> Tensor {
    withExtendedLifetime((value, mask)) {
      produce(self, key) { ct_attention($0, $1, value.handle, mask?.handle, causal, $2) }
    }
  }

  /// Splits the output of a qkv projection, [rows, 3·hidden], and turns queries and keys by the rows' positions.
  ///
  /// - Parameters:
  ///   - angles: cosine and sine by position, [positions, head size / 2].
  ///   - positions: int64 [rows].
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

  /// Attention of the last slots of each sequence to those before them, without a dense mask; `self` holds the queries
  /// [rows, heads, size] of all sequences, one sequence after another.
  ///
  /// The row of slot s sees the slots 0 ... s. Where rows bring a key and value of their own, it sees the slots
  /// 0 ..< s and its own: the second stream of a sequential pass, which must not see the clean token of its slot.
  ///
  /// - Parameters:
  ///   - key: [batch, length, heads, size].
  ///   - value: [batch, length, heads, size].
  ///   - own: key and value of the rows, each [rows, heads, size].
  ///   - counts: for each sequence how many of its last slots have a row.
  ///   - fused: false computes the same with a dense mask, as devices other than the CPU do.
  /// - Returns: [rows, heads, size].
  public func suffixAttention(
    key: Tensor, value: Tensor, own: (key: Tensor, value: Tensor)? = nil, counts: [Int], fused: Bool? = nil
  ) -> Tensor {
    precondition(counts.count == key.size(0) && counts.reduce(0, +) == size(0), "rows do not match counts")
    precondition(counts.allSatisfy { (0...key.size(1)).contains($0) }, "more rows than slots")
    return withExtendedLifetime((value, own)) {
      produce(self, key) {
        ct_suffix_attention(
          $0, $1, value.handle, own?.key.handle, own?.value.handle, counts.map(Int64.init), Int64(counts.count),
          fused ?? (device == .cpu), $2)
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
  ///   - excluding: a class without probability (the mask token).
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
