import Foundation
import Torch

/// The processes that train one run together, each on its share of every batch.
///
/// They are started by Open MPI's `mpirun`, or by Slurm's `srun`. A process that was started by neither is a group of its
/// own, and needs no MPI. All processes call the same functions in the same order.
public final class ProcessGroup {
  /// The number of this process, from 0.
  public let rank: Int
  /// How many there are.
  public let count: Int
  private let mpi: MPI?
  /// The processes' GPUs, if they compute on such.
  private(set) var gpus: GPUGroup?

  /// Whether this is the process that writes and prints.
  public var isLeader: Bool { rank == 0 }

  /// This process alone.
  public init() { (rank, count, mpi) = (0, 1, nil) }

  private init(_ mpi: MPI) {
    var (rank, count): (Int32, Int32) = (0, 1)
    _ = mpi.commRank(mpi.world, &rank)
    _ = mpi.commSize(mpi.world, &count)
    (self.rank, self.count, self.mpi) = (Int(rank), Int(count), mpi)
  }

  /// Joins the processes that this one was started with, if there are any. Once in a process.
  ///
  /// - Throws: ``ProcessGroupError`` if they cannot be joined.
  public static func joining(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> ProcessGroup {
    func number(_ name: String) -> Int { environment[name].flatMap { Int($0) } ?? 1 }
    let (byOpenMPI, bySlurm) = (number("OMPI_COMM_WORLD_SIZE"), number("SLURM_STEP_NUM_TASKS"))
    guard byOpenMPI > 1 || bySlurm > 1 else {
      guard number("PMI_SIZE") <= 1 else {
        throw ProcessGroupError("the processes were started by another MPI; start them by Open MPI's mpirun")
      }
      return ProcessGroup()
    }
    // Where Slurm offers nothing to find each other by, Open MPI would end the process, and advise to build it anew.
    guard byOpenMPI > 1 || ["PMIX_NAMESPACE", "PMI_RANK", "PMI_FD"].contains(where: { environment[$0] != nil }) else {
      throw ProcessGroupError(
        "\(bySlurm) processes were started by srun, but without PMIx they cannot find each other; "
          + "start them by srun --mpi=pmix")
    }
    let group = ProcessGroup(try MPI())
    guard group.count > 1 else {
      throw ProcessGroupError(
        "\(max(byOpenMPI, bySlurm)) processes were started, but MPI does not know of each other's; "
          + "under Slurm start them by srun --mpi=pmix")
    }
    return group
  }

  /// Gives each process of a machine a GPU of its own, and joins them through NCCL, which adds up gradients where they are.
  /// Call it before anything is on a GPU.
  ///
  /// - Throws: ``ProcessGroupError`` or `TorchError` if that cannot be.
  public func joinGPUs(_ environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    guard let mpi else { return }
    // A process that sees one GPU alone, as Slurm may show it, takes that.
    let place = ["OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"].lazy.compactMap { environment[$0].flatMap { Int($0) } }
    var identifier = try agreeing {
      try Device.chooseGPU(place.first ?? 0)
      try GPUGroup.requireAvailable()
      return isLeader ? try GPUGroup.Identifier.new() : GPUGroup.Identifier()
    }
    _ = identifier.withUnsafeMutableBytes {
      mpi.broadcast($0.baseAddress!, Int32($0.count), mpi.bytes, 0, mpi.world)
    }
    gpus = try agreeing { try GPUGroup(identifier, rank: rank, count: count) }
  }

  /// Ends the group, after the last call of all processes.
  public func leave() {
    gpus?.leave()
    _ = mpi?.finalize()
  }

  /// Ends all processes at once, for one that cannot go on.
  public func abort() { _ = mpi?.abort(mpi!.world, 1) }

  // MARK: Numbers

  /// Adds up each number over all processes.
  public func sum(_ values: inout [Double]) {
    guard let mpi else { return }
    _ = values.withUnsafeMutableBytes {
      mpi.allReduce(mpi.inPlace, $0.baseAddress!, Int32($0.count / 8), mpi.doubles, mpi.sum, mpi.world)
    }
  }

  /// Whether something is so in any process.
  public func any(_ flag: Bool) -> Bool {
    var votes = [flag ? 1.0 : 0]
    sum(&votes)
    return votes[0] > 0
  }

  /// The leader's number.
  public func leaders(_ value: Double) -> Double {
    guard let mpi else { return value }
    var value = value
    _ = withUnsafeMutableBytes(of: &value) { mpi.broadcast($0.baseAddress!, 1, mpi.doubles, 0, mpi.world) }
    return value
  }

  /// The texts of all processes; of each the first 4,096 bytes.
  public func gather(_ text: String) -> [String] {
    guard let mpi else { return [text] }
    let size = 4096
    var own = Array(text.utf8.prefix(size))
    own += Array(repeating: 0, count: size - own.count)
    var all = [UInt8](repeating: 0, count: size * count)
    _ = own.withUnsafeMutableBytes { own in
      all.withUnsafeMutableBytes { all in
        mpi.allGather(own.baseAddress!, Int32(size), mpi.bytes, all.baseAddress!, Int32(size), mpi.bytes, mpi.world)
      }
    }
    return (0..<count).map { rank in
      String(decoding: all[rank * size..<(rank + 1) * size].prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// Runs what each process does for itself; if it fails in one, all throw its error.
  public func agreeing<Result>(_ body: () throws -> Result) throws -> Result {
    let result = Swift.Result { try body() }
    guard count > 1 else { return try result.get() }
    var problem = ""
    if case .failure(let error) = result { problem = "\(error)" }
    let problems = gather(problem)
    guard let failed = problems.firstIndex(where: { !$0.isEmpty }) else { return try result.get() }
    if failed == rank { return try result.get() }
    throw ProcessGroupError("process \(failed) of \(count): \(problems[failed])")
  }

  /// Throws unless a text, which stands for what the processes were asked to do, is the same in all.
  public func requireEqual(_ text: String, _ what: String) throws {
    let all = gather(text)
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    throw ProcessGroupError("process \(other) has another \(what) than process 0: '\(all[other])', not '\(all[0])'")
  }

  // MARK: Gradients

  /// Sums that are under way.
  struct Sums {
    fileprivate var requests: [MPI.Object?] = []
  }

  /// Begins to add up numbers over all processes, in place. They must stay where they are until `finish`.
  func begin(_ values: UnsafeMutableBufferPointer<Float>, _ sums: inout Sums) {
    guard let mpi else { return }
    var request: MPI.Object?
    _ = mpi.beginAllReduce(
      mpi.inPlace, UnsafeMutableRawPointer(values.baseAddress!), Int32(values.count), mpi.floats, mpi.sum, mpi.world,
      &request)
    sums.requests.append(request)
  }

  /// Lets sums go on: MPI works on them only when it is called.
  func advance(_ sums: inout Sums) {
    guard let mpi, !sums.requests.isEmpty else { return }
    var done: Int32 = 0
    _ = mpi.testAll(Int32(sums.requests.count), &sums.requests, &done, nil)
  }

  /// Waits for all sums.
  func finish(_ sums: inout Sums) {
    guard let mpi, !sums.requests.isEmpty else { return }
    _ = mpi.waitAll(Int32(sums.requests.count), &sums.requests, nil)
    sums.requests = []
  }
}

/// Processes that cannot train together.
public struct ProcessGroupError: Error, CustomStringConvertible, Sendable {
  public let description: String

  init(_ description: String) { self.description = description }
}
