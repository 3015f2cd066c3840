import CTorch
import Faults

/// A transformer whose call with a KV cache is one operation on the CPU: products, norms, attention and all between them,
/// without autograd. Its weights may be of any precision; embedding, norms and biases are float32.
///
/// On it a row's logits are the same bit for bit whichever rows share its call and however many threads compute it: each
/// sum is added up in one order.
public final class FusedDecoder {
  /// Weight and bias of a norm, [hidden].
  public typealias Norm = (weight: Tensor, bias: Tensor?)
  /// Weight and bias of a linear layer.
  public typealias Linear = (weight: LinearWeight, bias: Tensor?)

  /// The weights of one block: norm and layers of attention, then of the MLP.
  public typealias Block = (
    attentionNorm: Norm, qkv: Linear, attentionOut: Linear, mlpNorm: Norm, mlpIn: Linear, mlpOut: Linear
  )

  private let embedding: Tensor
  private let blocks: [Block]
  private let finalNorm: Norm
  private let output: Linear
  private let heads: Int
  /// Seconds that a call's stages took, added up.
  public struct Profile: Sendable, Codable, Equatable {
    /// Norms, rotation and, for int8, the rounding of rows.
    public var rows = 0.0
    /// Products with the weights of blocks.
    public var products = 0.0
    /// Attention over caches.
    public var attention = 0.0
    /// The output layer.
    public var output = 0.0

    /// Nothing yet.
    public init() {}
  }

  /// What calls took from when it was set; nil measures nothing.
  public var profile: Profile?

  private let blockTable: UnsafeMutableBufferPointer<CTBlock>

  /// - Parameters:
  ///   - embedding: [vocabulary, hidden].
  ///   - blocks: at least one.
  ///   - finalNorm: before the output layer.
  ///   - output: the output layer.
  ///   - heads: of attention.
  public init(embedding: Tensor, blocks: [Block], finalNorm: Norm, output: Linear, heads: Int) {
    self.embedding = embedding
    self.blocks = blocks
    self.finalNorm = finalNorm
    self.output = output
    self.heads = heads
    blockTable = .allocate(capacity: blocks.count)
    _ = blockTable.initialize(
      from: blocks.map { block in
        CTBlock(
          attentionNorm: Self.norm(block.attentionNorm), qkv: Self.matrix(block.qkv),
          attentionOut: Self.matrix(block.attentionOut), mlpNorm: Self.norm(block.mlpNorm),
          mlpIn: Self.matrix(block.mlpIn), mlpOut: Self.matrix(block.mlpOut))
      })
  }

  deinit { blockTable.deallocate() }

  private static func numbers(_ tensor: Tensor) -> UnsafePointer<Float> {
    trap(unless: tensor.dtype == .float32, "norms, biases, embedding and angles are float32")
    return tensor.address.assumingMemoryBound(to: Float.self)
  }
  private static func norm(_ norm: Norm) -> CTNorm {
    CTNorm(weight: numbers(norm.weight), bias: norm.bias.map(numbers))
  }
  private static func matrix(_ layer: Linear) -> CTMatrix { layer.weight.matrix(bias: layer.bias) }

  /// One call.
  ///
  /// - Parameters:
  ///   - tokens: of each row.
  ///   - positions: of each row.
  ///   - attention: what each row sees, and which keys and values stay.
  ///   - outputs: the rows that have logits.
  ///   - topAttention: the same as `attention` with the outputs alone as queries.
  ///   - angles: cosines and sines by position, [positions, head size / 2].
  ///   - alone: whether one thread should do it.
  /// - Returns: logits, [outputs, vocabulary].
  public func logits(
    tokens: [Int32], positions: [Int], attention: RaggedAttention, outputs: [Int], topAttention: RaggedAttention,
    angles: (cosine: Tensor, sine: Tensor), alone: Bool
  ) -> Tensor {
    trap(
      unless: positions.count == tokens.count && attention.visible.count == tokens.count
        && topAttention.visible.count == outputs.count && outputs.allSatisfy(tokens.indices.contains),
      "rows that fit each other")
    return withExtendedLifetime((self, attention, angles)) {
      var network = CTNetwork(
        hidden: Int64(embedding.size(1)), heads: Int64(heads), vocabulary: Int64(embedding.size(0)),
        embedding: Self.numbers(embedding), blocks: blockTable.baseAddress, blockCount: Int64(blocks.count),
        finalNorm: Self.norm(finalNorm), output: Self.matrix(output), cosine: Self.numbers(angles.cosine),
        sine: Self.numbers(angles.sine), positions: Int64(angles.cosine.size(0)))
      return positions.map(Int64.init).withUnsafeBufferPointer { positions in
        outputs.map(Int64.init).withUnsafeBufferPointer { outputs in
          tokens.withUnsafeBufferPointer { tokens in
            attention.withRows { sequences, visible, lone, pages in
              topAttention.withRows { topSequences, topVisible, topLone, _ in
                var rows = CTDecodingRows(
                  count: Int64(tokens.count), tokens: tokens.baseAddress, positions: positions.baseAddress,
                  visible: visible.baseAddress, lone: lone, outputCount: Int64(outputs.count),
                  outputs: outputs.baseAddress,
                  sequences: sequences.baseAddress, topSequences: topSequences.baseAddress,
                  topVisible: topVisible.baseAddress, topLone: topLone, sequenceCount: Int64(sequences.count),
                  pages: pages.baseAddress, pageCount: Int64(pages.count), seconds: nil)
                return profiled { seconds in
                  rows.seconds = seconds
                  var logits: OpaquePointer?
                  must(ct_decode(&network, &rows, alone, &logits))
                  return Tensor(owning: logits!)
                }
              }
            }
          }
        }
      }
    }
  }

  private func profiled(_ body: (UnsafeMutablePointer<Double>?) -> Tensor) -> Tensor {
    guard let before = profile else { return body(nil) }
    var seconds = [before.rows, before.products, before.attention, before.output]
    defer {
      profile!.rows = seconds[0]
      profile!.products = seconds[1]
      profile!.attention = seconds[2]
      profile!.output = seconds[3]
    }
    return seconds.withUnsafeMutableBufferPointer { body($0.baseAddress) }
  }
}

extension Tensor {
  /// Reads all bytes of a contiguous CPU tensor with all threads: how long that takes is the floor of what reads it.
  public func readAll() {
    var sum: UInt32 = 0
    withExtendedLifetime(self) { must(ct_read(handle, &sum)) }
  }
}
