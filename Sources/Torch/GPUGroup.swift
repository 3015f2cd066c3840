import CTorch

/// One GPU of each of several processes, joined by NCCL, which adds up tensors where they are.
///
/// NCCL comes with a CUDA build of libtorch and is looked for when a group is made.
public final class GPUGroup {
  /// What tells one group from others: made by one process, and given to all.
  public struct Identifier: Sendable {
    /// 128 bytes.
    public var bytes: [UInt8]

    /// The identifier of no group, to be filled in.
    public init() { bytes = Array(repeating: 0, count: Int(CT_GPU_GROUP_BYTES)) }

    /// That of a new group.
    ///
    /// - Throws: ``TorchError`` if there is no NCCL.
    public static func new() throws -> Identifier {
      var identifier = Identifier()
      try identifier.bytes.withUnsafeMutableBytes {
        try check(ct_gpu_group_identify($0.baseAddress!.assumingMemoryBound(to: CChar.self)))
      }
      return identifier
    }
  }

  private let group: OpaquePointer

  /// Joins the others, waiting for them.
  ///
  /// - Parameters:
  ///   - identifier: the group's.
  ///   - rank: the number of this process, from 0.
  ///   - count: how many there are.
  /// - Throws: ``TorchError``, with NCCL's message, if they cannot be joined, as where two of them have one GPU.
  public init(_ identifier: Identifier, rank: Int, count: Int) throws {
    var out: OpaquePointer?
    try identifier.bytes.withUnsafeBytes {
      try check(
        ct_gpu_group_join(
          $0.baseAddress!.assumingMemoryBound(to: CChar.self), Int32(clamping: rank), Int32(clamping: count), &out))
    }
    group = out!
  }

  deinit { ct_gpu_group_leave(group) }

  /// Begins to add up a float32 tensor of the GPU over all of them, in place, while the GPU goes on computing.
  ///
  /// - Parameter tensor: contiguous, of one shape in all processes.
  public func beginSum(_ tensor: Tensor) {
    withExtendedLifetime(tensor) { must(ct_gpu_group_begin_sum(group, tensor.handle)) }
  }

  /// Makes all that the GPU is told from now on wait for the sums.
  public func finishSums() { must(ct_gpu_group_finish_sums(group)) }
}
