import CTorch

/// One GPU of each of several processes, joined by NCCL, which adds up tensors where they are.
///
/// NCCL comes with PyTorch's CUDA builds of libtorch and is looked for when it is asked for.
public final class GPUGroup {
  /// What tells one group from others: made by one process, and given to all.
  public struct Identifier: Sendable, Equatable {
    private var bytes = [UInt8](repeating: 0, count: Int(CT_GPU_GROUP_BYTES))

    /// The identifier of no group, to be filled in.
    public init() {}

    /// That of a new group.
    ///
    /// - Throws: ``TorchError`` if there is no NCCL.
    public static func new() throws -> Identifier {
      var identifier = Identifier()
      try identifier.withUnsafeMutableBytes {
        try check(ct_gpu_group_identify($0.baseAddress!.assumingMemoryBound(to: CChar.self)))
      }
      return identifier
    }

    /// Its 128 bytes, to be sent or received.
    public mutating func withUnsafeMutableBytes<Result>(
      _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) rethrows -> Result {
      try bytes.withUnsafeMutableBytes(body)
    }
  }

  /// Throws unless NCCL is there.
  public static func requireAvailable() throws { try check(ct_gpu_group_available()) }

  private let group: OpaquePointer

  /// Joins the others, waiting for them: all must have found NCCL.
  ///
  /// - Parameters:
  ///   - identifier: the group's.
  ///   - rank: the number of this process, from 0.
  ///   - count: how many there are.
  /// - Throws: ``TorchError``, with NCCL's message, if they cannot be joined, as where two of them have one GPU.
  public init(_ identifier: Identifier, rank: Int, count: Int) throws {
    var (identifier, out) = (identifier, OpaquePointer?.none)
    try identifier.withUnsafeMutableBytes {
      try check(
        ct_gpu_group_join(
          $0.baseAddress!.assumingMemoryBound(to: CChar.self), Int32(clamping: rank), Int32(clamping: count), &out))
    }
    group = out!
  }

  /// Ends the group, after the last sum of all processes, which wait for each other here. It is of no more use.
  public func leave() { must(ct_gpu_group_leave(group)) }

  /// Begins to add up a float32 tensor of the GPU over all of them, in place, while the GPU goes on computing.
  ///
  /// - Parameter tensor: contiguous, of one shape in all processes.
  public func beginSum(_ tensor: Tensor) {
    withExtendedLifetime(tensor) { must(ct_gpu_group_begin_sum(group, tensor.handle)) }
  }

  /// Makes all that the GPU is told from now on wait for the sums.
  public func finishSums() { must(ct_gpu_group_finish_sums(group)) }
}
