import Torch

/// The network in the form that runs: weights with the modulation folded in. It serves training (recorded by autograd),
/// evaluation and sampling alike.
public struct Network {
  public let configuration: TransformerConfiguration
  let embedding: Tensor
  let blocks: [Block]
  let finalNorm: Norm
  let output: Linear
  let dropout: Double
  let rotary: RotaryCache

  public var device: Device { embedding.device }

  /// The last hidden state, normalised, of every row with an output: [outputs, hidden], in the order of the groups,
  /// within one sequence after another, within one slot after another.
  public func hidden(_ input: NetworkInput) -> Tensor {
    let rotary = rotary.angles(at: input.positions)
    var stream = embedding.embedding(Tensor(input.tokens).to(device))
    for block in blocks.dropLast() {
      stream = block(stream, rotary: rotary, dropout: dropout) { query, key, value in
        Self.attention(input.groups, query: query, key: key, value: value)
      }
    }
    // After the last block only the outputs are looked at: the other rows need no more than keys and values there.
    let outputs = Tensor(input.outputRows.map(Int64.init)).to(device)
    stream = blocks.last!(stream, rotary: rotary, kept: outputs, dropout: dropout) { query, key, value in
      Self.outputAttention(input.groups, query: query, key: key, value: value)
    }
    return finalNorm(stream)
  }

  /// Logits of every row with an output, [outputs, vocabulary], the mask token's included.
  public func logits(_ input: NetworkInput) -> Tensor { logits(hidden(input)) }

  func logits(_ hidden: Tensor) -> Tensor { output(hidden) }

  /// The negative log-likelihood of one target per output; see `Tensor.negativeLogLikelihood`.
  public func negativeLogLikelihood(
    _ hidden: Tensor, targets: Tensor, lossWeights: Tensor
  ) -> (loss: Tensor, nll: Tensor) {
    hidden.negativeLogLikelihood(
      weight: output.weight, bias: output.bias!, targets: targets, lossWeights: lossWeights,
      excluding: configuration.maskToken)
  }

  // MARK: Attention of groups

  /// Attention of all rows of all groups, [rows, heads, size] in and out.
  private static func attention(
    _ groups: [NetworkInput.Group], query: Tensor, key: Tensor, value: Tensor
  ) -> Tensor {
    var start = 0
    let parts = groups.flatMap { group -> [Tensor] in
      defer { start += group.rows }
      let slots = start..<start + group.batch * group.length
      let (keys, values) = (group.sequences(key, slots), group.sequences(value, slots))
      let clean = group.sequences(query, slots).transposed(1, 2)
        .attention(key: keys.transposed(1, 2), value: values.transposed(1, 2), causal: true)
        .transposed(1, 2).reshaped([slots.count, query.size(1), query.size(2)])
      guard group.pattern == .twoStream else { return [clean] }
      let masks = slots.upperBound..<start + group.rows
      let own = (key.narrowed(dim: 0, to: masks), value.narrowed(dim: 0, to: masks))
      let predicted = query.narrowed(dim: 0, to: masks)
        .suffixAttention(key: keys, value: values, own: own, counts: group.outputCounts)
      return [clean, predicted]
    }
    return .concatenated(parts)
  }

  /// The same for the rows with an output alone: query [outputs, heads, size], key and value of all rows.
  private static func outputAttention(
    _ groups: [NetworkInput.Group], query: Tensor, key: Tensor, value: Tensor
  ) -> Tensor {
    var (start, output) = (0, 0)
    return .concatenated(
      groups.map { group in
        defer { (start, output) = (start + group.rows, output + group.outputs) }
        let slots = start..<start + group.batch * group.length
        let masks = slots.upperBound..<start + group.rows
        let own =
          group.pattern == .twoStream
          ? (key.narrowed(dim: 0, to: masks), value.narrowed(dim: 0, to: masks)) : nil
        return query.narrowed(dim: 0, to: output..<output + group.outputs)
          .suffixAttention(
            key: group.sequences(key, slots), value: group.sequences(value, slots), own: own,
            counts: group.outputCounts)
      })
  }
}

extension NetworkInput.Group {
  /// Slot rows as [batch, length, heads, size].
  fileprivate func sequences(_ rows: Tensor, _ slots: Range<Int>) -> Tensor {
    rows.narrowed(dim: 0, to: slots).reshaped([batch, length, rows.size(1), rows.size(2)])
  }
}
