import Foundation

/// Which processors each of several processes on one machine computes on.
///
/// Open MPI binds each of one or two processes to a single core, and more of them to a part of the machine, from which
/// threads inherit it: a process would compute on one thread. So a process that finds itself on one core takes an equal
/// share of the machine's instead. Bindings that somebody asked for (`--map-by slot:PE=4`), and Slurm's, stay as they are.
public enum ProcessorShare {
  /// Takes this process's share of the processors. Call before the first thread is started.
  ///
  /// - Returns: how many threads it should compute with; nil where nobody shares the machine, or it is not known.
  public static func claim(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> Int? {
    guard let count = environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap({ Int($0) }), count > 1,
      let rank = environment["OMPI_COMM_WORLD_LOCAL_RANK"].flatMap({ Int($0) }), (0..<count).contains(rank)
    else { return nil }
    #if os(Linux)
      let bound = current
      // Those that the system does not give this process are left out.
      set(Array(0..<most))
      let all = current
      guard !all.isEmpty else { return nil }
      let share = max(1, all.count / count)
      // A core may be two processors.
      guard bound.count < all.count else { return share }
      guard bound.count <= 2, share > bound.count else {
        set(bound)
        return max(1, bound.count)
      }
      set(Array(all[rank * share..<(rank + 1) * share]))
      return share
    #else
      return max(1, ProcessInfo.processInfo.activeProcessorCount / count)
    #endif
  }

  #if os(Linux)
    // Of the C library, whose headers show them to C alone.
    private typealias Call = @convention(c) (pid_t, Int, UnsafeMutableRawPointer) -> Int32
    private static func call(_ name: String, _ mask: inout [UInt8]) -> Bool {
      guard let address = dlsym(nil, name) else { return false }
      return mask.withUnsafeMutableBytes { unsafeBitCast(address, to: Call.self)(0, $0.count, $0.baseAddress!) } == 0
    }

    private static let most = 1024

    private static var current: [Int] {
      var mask = [UInt8](repeating: 0, count: most / 8)
      guard call("sched_getaffinity", &mask) else { return [] }
      return (0..<most).filter { mask[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
    }

    private static func set(_ processors: [Int]) {
      var mask = [UInt8](repeating: 0, count: most / 8)
      for processor in processors { mask[processor / 8] |= 1 << UInt8(processor % 8) }
      _ = call("sched_setaffinity", &mask)
    }
  #endif
}
