import EsoLM
import Foundation
import Torch

extension TransformerWeights {
  /// Logits of every row of one sequence, [rows, vocabulary]: the network written out once more from plain operations,
  /// with a dense mask, modulation applied where it acts, and nothing folded, grouped or skipped.
  public func referenceLogits(tokens: [Int], positions: [Int], allows: (_ row: Int, _ other: Int) -> Bool) -> Tensor {
    let (rows, hidden, heads) = (tokens.count, configuration.hiddenSize, configuration.numHeads)
    let size = hidden / heads

    func linear(_ x: Tensor, _ name: String) -> Tensor {
      x.linear(self["\(name).weight"], bias: names.contains("\(name).bias") ? self["\(name).bias"] : nil)
    }
    let modulation = (configuration.conditioningSize != nil).map {
      let zeroNoise = Tensor((0..<256).map { $0 < 128 ? Float(1) : 0 }, shape: [1, 256])
      return linear(linear(zeroNoise, "sigma_map.mlp.0").silu(), "sigma_map.mlp.2").silu()
    }
    /// Vector `number` of a layer's modulation.
    func vector(_ layer: String, _ number: Int) -> Tensor? {
      modulation.map {
        linear($0, "\(layer).adaLN_modulation").narrowed(dim: 1, to: number * hidden..<(number + 1) * hidden)
      }
    }
    func normed(_ x: Tensor, _ norm: String, _ layer: String, _ first: Int) -> Tensor {
      let y = x.layerNorm(weight: self["\(norm).weight"])
      return vector(layer, first).map { shift in y * (vector(layer, first + 1)! + 1) + shift } ?? y
    }
    func gated(_ x: Tensor, _ layer: String, _ number: Int) -> Tensor { vector(layer, number).map { x * $0 } ?? x }

    /// Heads of query, key or value, [1, heads, rows, size].
    func split(_ qkv: Tensor, _ part: Int) -> Tensor {
      qkv.narrowed(dim: 1, to: part * hidden..<(part + 1) * hidden).reshaped([1, rows, heads, size]).transposed(1, 2)
    }
    func turned(_ x: Tensor) -> Tensor {
      let half = size / 2
      let angles = positions.flatMap { position in
        (0..<half).map { Double(position) * pow(10000, -2 * Double($0) / Double(size)) }
      }
      let (cosine, sine) = (
        Tensor(angles.map { Float(cos($0)) }, shape: [rows, half]),
        Tensor(angles.map { Float(sin($0)) }, shape: [rows, half])
      )
      let (a, b) = (x.narrowed(dim: 3, to: 0..<half), x.narrowed(dim: 3, to: half..<size))
      return .concatenated([a * cosine - b * sine, b * cosine + a * sine], dim: 3)
    }

    return withoutGradients {
      var x = self["vocab_embed.embedding"].selecting(Tensor(tokens.map(Int64.init)))
      for layer in (0..<configuration.numBlocks).map({ "blocks.\($0)" }) {
        let qkv = linear(normed(x, "\(layer).norm1", layer, 0), "\(layer).attn_qkv")
        let attended = turned(split(qkv, 0)).attention(key: turned(split(qkv, 1)), value: split(qkv, 2), allows: allows)
          .transposed(1, 2).reshaped([rows, hidden])
        x = x + gated(linear(attended, "\(layer).attn_out"), layer, 2)
        let inner = linear(normed(x, "\(layer).norm2", layer, 3), "\(layer).mlp.0").gelu()
        x = x + gated(linear(inner, "\(layer).mlp.2"), layer, 5)
      }
      return linear(normed(x, "output_layer.norm_final", "output_layer", 0), "output_layer.linear")
    }
  }
}

extension Bool {
  /// A value only if this is true.
  fileprivate func map<Value>(_ value: () -> Value) -> Value? { self ? value() : nil }
}
