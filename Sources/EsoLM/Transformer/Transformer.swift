import Torch

/// The network in the form that runs: weights with the modulation folded in. It serves training (recorded by autograd),
/// evaluation and sampling alike.
public struct Transformer {
  /// The sizes of the network.
  public let configuration: TransformerConfiguration
  let embedding: Tensor
  private(set) var blocks: [Block]
  let finalNorm: Norm
  private(set) var output: Linear
  let dropout: Double
  let rotary: RotaryCache

  /// Where it computes.
  public var device: Device { embedding.device }

  /// The same with packed weights, for calls with few rows: a copy, which no later update of weights changes.
  func packed() -> Transformer {
    var network = self
    network.blocks = blocks.map { $0.packed() }
    network.output = output.packed()
    return network
  }

  /// The last hidden state, normalised, of every row with an output: [outputs, hidden], in the order of the groups,
  /// within one sequence after another, within one slot after another.
  public func hidden(_ input: NetworkInput) -> Tensor {
    let rotary = rotary.angles(at: input.positions)
    var stream = embedding.embedding(Tensor(input.tokens).to(device))
    let parts = input.attention
    for block in blocks.dropLast() {
      stream = block(stream, rotary: rotary, dropout: dropout) { query, key, value in
        query.attention(key: key, value: value, parts: parts)
      }
    }
    // After the last block only the outputs are looked at: the other rows need no more than keys and values there.
    let top = Tensor(input.topRows.map(Int64.init)).to(device)
    stream = blocks.last!(stream, rotary: rotary, kept: top, dropout: dropout) { query, key, value in
      query.attention(key: key, value: value, parts: input.topAttention)
    }
    if let outputs = input.outputsOfTopRows { stream = stream.selecting(Tensor(outputs.map(Int64.init)).to(device)) }
    return finalNorm(stream)
  }

  /// Logits of every row with an output, [outputs, vocabulary], the mask token's included.
  public func logits(_ input: NetworkInput) -> Tensor { logits(hidden(input)) }

  func logits(_ hidden: Tensor) -> Tensor { output(hidden) }

  /// The loss `Σ weight · nll` (float64, differentiable) of a batch, and the nll of every output, in nats.
  public func loss(of batch: ScoredBatch) -> (loss: Tensor, nll: Tensor) {
    hidden(batch.input).negativeLogLikelihood(
      weight: output.weight, bias: output.bias!, targets: Tensor(batch.targets).to(device),
      lossWeights: Tensor(batch.lossWeights).to(device), excluding: configuration.maskToken)
  }
}
