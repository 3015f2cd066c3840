import Torch

/// The network in the form that runs: weights with the modulation folded in, of which each forward pass of training folds
/// in the gates. It serves training (recorded by autograd), evaluation and sampling alike.
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

  /// How its matrices are kept; embedding, norms and biases are float32.
  public var precision: Precision { output.weight.precision }

  /// The form of given parameters, each made before the next is read.
  ///
  /// - Parameters:
  ///   - precision: what matrices are packed in; nil leaves them in float32.
  ///   - isTrained: whether gates are folded in by each forward pass, which forgets the products if it recomputes.
  init(
    folding source: some ParameterSource, packedIn precision: Precision?, isTrained: Bool = false, dropout: Double,
    rotary: RotaryCache
  ) {
    let configuration = source.configuration
    let conditioning = Conditioning(source)
    let output = Linear(weight: source["output_layer.linear.weight"], bias: source["output_layer.linear.bias"])
    self.init(
      configuration: configuration, embedding: source["vocab_embed.embedding"],
      blocks: (0..<configuration.numBlocks).map {
        let block = Block(source, prefix: "blocks.\($0)", conditioning: conditioning)
        return isTrained ? block : precision.map(block.packed) ?? block.folded
      },
      finalNorm: Norm(
        source["output_layer.norm_final.weight"],
        modulation: conditioning?.vectors(of: "output_layer", count: 2, in: source)),
      output: precision.map(output.packed) ?? output, dropout: dropout, rotary: rotary)
  }

  init(
    configuration: TransformerConfiguration, embedding: Tensor, blocks: [Block], finalNorm: Norm, output: Linear,
    dropout: Double, rotary: RotaryCache
  ) {
    self.configuration = configuration
    self.embedding = embedding
    self.blocks = blocks
    self.finalNorm = finalNorm
    self.output = output
    self.dropout = dropout
    self.rotary = rotary
  }

  /// A network that computes and is not trained, of parameters that are asked for one after another: no more of them are
  /// in memory at a time than its own precision takes.
  ///
  /// - Parameters:
  ///   - configuration: its sizes.
  ///   - precision: of its matrices, the output layer's too.
  ///   - shapes: of the parameters by name.
  ///   - device: where it computes.
  ///   - parameter: a parameter by name; what it returns may be kept.
  /// - Throws: ``ParameterMismatch``; an error where the precision does not suit the device or the sizes.
  public init(
    _ configuration: TransformerConfiguration, precision: Precision = .float32, shapes: [String: [Int]],
    device: Device = .cpu, parameter: @escaping (_ name: String) -> Tensor
  ) throws {
    try configuration.validate()
    try device.requireAvailable()
    try Self.require(precision, for: configuration, on: device)
    try ParameterMismatch.check(shapes, against: ParameterLayout(configuration).entries)
    struct Source: ParameterSource {
      let configuration: TransformerConfiguration
      let device: Device
      let parameter: (String) -> Tensor
      subscript(name: String) -> Tensor { parameter(name).to(.float32).to(device) }
    }
    self = withoutGradients {
      Transformer(
        folding: Source(configuration: configuration, device: device, parameter: parameter),
        packedIn: device == .cpu ? precision : nil, dropout: 0, rotary: RotaryCache(configuration, device: device))
    }
  }

  private static func require(
    _ precision: Precision, for configuration: TransformerConfiguration, on device: Device
  ) throws {
    try precision.requireAvailable(on: device)
    guard precision == .int8 else { return }
    try ConfigurationError.require(
      4 * configuration.hiddenSize <= LinearWeight.maximumInt8Inputs, "hiddenSize", configuration.hiddenSize,
      expected: "at most \(LinearWeight.maximumInt8Inputs / 4) for precision int8")
  }

  /// The same with all matrices, the output layer's too, packed in a precision on the CPU: a copy, which no later update
  /// of weights changes. It computes, but is not trained. On other devices weights stay as they are.
  ///
  /// - Throws: an error where the precision does not suit the device or the sizes, or the network is rounded already.
  public func packed(in precision: Precision) throws -> Transformer {
    try ConfigurationError.require(
      self.precision == .float32 || self.precision == precision, "precision", precision.rawValue,
      expected: "\(self.precision.rawValue), which the weights are rounded to")
    try Self.require(precision, for: configuration, on: device)
    guard device == .cpu else { return self }
    var network = self
    network.blocks = blocks.map { $0.packed(in: precision) }
    network.output = output.packed(in: precision)
    return network
  }

  /// The form that decodes on the CPU.
  func fused() -> FusedDecoder {
    FusedDecoder(
      embedding: embedding, blocks: blocks.map(\.fused), finalNorm: finalNorm.fused, output: output.fused,
      heads: configuration.numHeads)
  }

  /// The last hidden state, normalised, of every row with an output: [outputs, hidden], in the order of the groups,
  /// within one sequence after another, within one slot after another.
  ///
  /// - Parameters:
  ///   - input: the rows.
  ///   - recomputing: whether the backward pass computes each block anew from its input, which alone is kept.
  public func hidden(_ input: NetworkInput, recomputing: Bool = false) -> Tensor {
    let (rotary, dropout) = (rotary.angles(at: input.positions), dropout)
    var stream = embedding.embedding(Tensor(input.tokens).to(device))
    func apply(_ block: Block, kept: Tensor? = nil, _ parts: [AttentionPart]) {
      let run = { (block: Block, stream: Tensor) in
        block(stream, rotary: rotary, kept: kept, dropout: dropout) { query, key, value in
          query.attention(key: key, value: value, parts: parts)
        }
      }
      stream =
        recomputing
        ? .recomputed([stream] + block.tensors) { run(block.of($0.dropFirst()), $0[0]) } : run(block, stream)
    }
    let parts = input.attention
    for block in blocks.dropLast() { apply(block, parts) }
    // After the last block only the outputs are looked at: the other rows need no more than keys and values there.
    apply(blocks.last!, kept: Tensor(input.topRows.map(Int64.init)).to(device), input.topAttention)
    if let outputs = input.outputsOfTopRows { stream = stream.selecting(Tensor(outputs.map(Int64.init)).to(device)) }
    return finalNorm(stream)
  }

  /// Logits of every row with an output, [outputs, vocabulary], the mask token's included.
  public func logits(_ input: NetworkInput) -> Tensor { logits(hidden(input)) }

  func logits(_ hidden: Tensor) -> Tensor { output(hidden) }

  /// The loss `Σ weight · nll` (float64, differentiable) of a batch, and the nll of every output, in nats.
  public func loss(of batch: ScoredBatch, recomputing: Bool = false) -> (loss: Tensor, nll: Tensor) {
    hidden(batch.input, recomputing: recomputing).negativeLogLikelihood(
      weight: output.weight, bias: output.bias!, targets: Tensor(batch.targets).to(device),
      lossWeights: Tensor(batch.lossWeights).to(device), excluding: configuration.maskToken)
  }
}

extension TransformerWeights {
  /// The form that runs: modulation folded into the weights. It shares the rest of them, so it sees later updates of
  /// some weights but not of others; make a new one after each training step.
  ///
  /// - Parameter training: whether dropout is on.
  public func transformer(training: Bool = false) -> Transformer {
    Transformer(
      folding: self, packedIn: nil, isTrained: training, dropout: training ? configuration.dropout : 0, rotary: rotary)
  }
}
