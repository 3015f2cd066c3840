import EsoLM
import Faults
import Files
import Torch

/// GPT-2 (Radford et al. 2019) of any size, from a Hugging Face folder, for judging text only: nothing here is trained.
///
/// Pre-norm blocks with learned positions, GELU (tanh) and biases everywhere. It shares no code with the networks of
/// this package, which differ from it in every layer.
public struct GPT2 {
  /// The sizes of the network.
  public let configuration: GPT2Configuration
  private let tokenEmbedding: Tensor  // [vocabulary, hidden]
  private let positionEmbedding: Tensor  // [positions, hidden]
  private let blocks: [Block]
  private let finalNorm: Norm
  private let output: Tensor  // [vocabulary, hidden]
  private let outputBias: Tensor  // zeros; the layer has none

  /// Where it computes.
  public var device: Device { tokenEmbedding.device }

  /// Reads `config.json` and the weights beside it.
  ///
  /// - Throws: an error naming the file and the field or tensors that do not fit a GPT-2.
  public init(folder: String, device: Device = .cpu) throws {
    try device.requireAvailable()
    configuration = try GPT2Configuration(contentsOf: "\(folder)/config.json")
    let weights = try GPT2Weights(folder: folder, for: configuration, device: device)
    let epsilon = configuration.normEpsilon
    func norm(_ name: String) throws -> Norm {
      Norm(weight: try weights["\(name).weight"], bias: try weights["\(name).bias"], epsilon: epsilon)
    }
    /// Stored as [in, out], the other way round than a linear layer's.
    func linear(_ name: String) throws -> Linear {
      Linear(weight: try weights["\(name).weight"].transposed(0, 1), bias: try weights["\(name).bias"])
    }
    tokenEmbedding = try weights["wte.weight"]
    positionEmbedding = try weights["wpe.weight"]
    let heads = configuration.numHeads
    blocks = try (0..<configuration.numBlocks).map { number in
      let prefix = "h.\(number)"
      return Block(
        heads: heads, attentionNorm: try norm("\(prefix).ln_1"), qkv: try linear("\(prefix).attn.c_attn"),
        attentionOut: try linear("\(prefix).attn.c_proj"), mlpNorm: try norm("\(prefix).ln_2"),
        mlpIn: try linear("\(prefix).mlp.c_fc"), mlpOut: try linear("\(prefix).mlp.c_proj"))
    }
    finalNorm = try norm("ln_f")
    output = configuration.tiesOutput ? tokenEmbedding : try weights[GPT2Weights.outputName]
    outputBias = .zeros([configuration.vocabularySize], device: device)
  }

  /// The last hidden state, normalised, of every token: [sequences, longest, hidden].
  ///
  /// Sequences may differ in length; what stands behind a shorter one's end means nothing, and since attention looks
  /// back only, nothing of it reaches the sequence itself.
  public func hidden(_ sequences: [[Int32]]) -> Tensor {
    let length = sequences.map(\.count).max() ?? 0
    trap(unless: length >= 1 && length <= configuration.positions, "\(length) tokens, up to \(configuration.positions)")
    let padded = sequences.flatMap { sequence in
      sequence.map(Int64.init) + Array(repeating: 0, count: length - sequence.count)
    }
    trap(unless: padded.allSatisfy { (0..<Int64(configuration.vocabularySize)).contains($0) }, "a token is no id")
    return withoutGradients {
      let tokens = Tensor(padded, shape: [sequences.count, length]).to(device)
      let start = tokenEmbedding.embedding(tokens) + positionEmbedding.narrowed(dim: 0, to: 0..<length)
      return finalNorm(blocks.reduce(start) { stream, block in block(stream) })
    }
  }

  /// The logits of every token: [sequences, longest, vocabulary]. For a look at few tokens: they take much memory.
  public func logits(_ sequences: [[Int32]]) -> Tensor { withoutGradients { hidden(sequences).linear(output) } }

  private struct Norm {
    let weight: Tensor
    let bias: Tensor
    let epsilon: Double

    func callAsFunction(_ x: Tensor) -> Tensor { x.layerNorm(weight: weight, bias: bias, epsilon: epsilon) }
  }

  private struct Linear {
    let weight: Tensor
    let bias: Tensor

    func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight, bias: bias) }
  }

  private struct Block {
    let heads: Int
    let attentionNorm: Norm
    let qkv: Linear
    let attentionOut: Linear
    let mlpNorm: Norm
    let mlpIn: Linear
    let mlpOut: Linear

    /// The residual stream, [sequences, length, hidden], after the block.
    func callAsFunction(_ stream: Tensor) -> Tensor {
      let (batch, length, hidden) = (stream.size(0), stream.size(1), stream.size(2))
      let all = qkv(attentionNorm(stream))
      /// Query, key or value: [sequences · length, heads, size].
      func part(_ number: Int) -> Tensor {
        all.narrowed(dim: 2, to: number * hidden..<(number + 1) * hidden)
          .reshaped([batch * length, heads, hidden / heads])
      }
      let sequences = (0..<batch).map { $0 * length..<($0 + 1) * length }
      let attended = part(0).attention(
        key: part(1), value: part(2),
        parts: sequences.map { AttentionPart(rows: $0, keys: $0, reach: .upToBlock(of: 1)) })
      let x = stream + attentionOut(attended.reshaped([batch, length, hidden]))
      return x + mlpOut(mlpIn(mlpNorm(x)).gelu())
    }
  }
}

extension GPT2: FeatureJudge {
  public func features(of texts: [[Int32]]) -> Tensor {
    let hidden = hidden(texts)
    let length = hidden.size(1)
    let last = texts.enumerated().map { Int64($0 * length + $1.count - 1) }
    return withoutGradients {
      hidden.reshaped([texts.count * length, configuration.hiddenSize]).selecting(Tensor(last).to(device))
    }
  }

  public var contextLength: Int { configuration.positions }
  public var endOfText: Int32 { configuration.endOfText }
  public var vocabularySize: Int { configuration.vocabularySize }

  public func logProbabilities(of windows: [[Int32]]) -> [[Double]] {
    guard windows.contains(where: { $0.count > 1 }) else { return windows.map { _ in [] } }
    let hidden = hidden(windows)
    let length = hidden.size(1)
    var rows: [Int64] = []
    for (window, tokens) in windows.enumerated() {
      rows += tokens.indices.dropLast().map { Int64(window * length + $0) }
    }
    let targets = windows.flatMap { $0.dropFirst().map(Int64.init) }
    let nll = withoutGradients {
      hidden.reshaped([windows.count * length, configuration.hiddenSize]).selecting(Tensor(rows).to(device))
        .negativeLogLikelihood(
          weight: output, bias: outputBias, targets: Tensor(targets).to(device),
          lossWeights: Tensor.full([targets.count], 1, device: device), excluding: nil
        ).nll.array(of: Double.self)
    }
    var rest = nll[...]
    return windows.map { window in
      let count = max(0, window.count - 1)
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).map { -$0 }
    }
  }
}
