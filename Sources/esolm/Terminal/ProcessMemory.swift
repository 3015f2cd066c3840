import Foundation

/// The memory of this process.
enum ProcessMemory {
  /// The most that it had so far, in bytes.
  static var peak: Int {
    var usage = rusage()
    // RUSAGE_SELF, which Swift sees as another type on each system.
    getrusage(0, &usage)
    #if os(Linux)
      return usage.ru_maxrss * 1024
    #else
      return usage.ru_maxrss
    #endif
  }
}
