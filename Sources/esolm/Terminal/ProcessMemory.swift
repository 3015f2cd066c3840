import Foundation

/// The memory of this process.
enum ProcessMemory {
  /// What it has in memory now, in bytes; nil where the system does not say.
  static var current: Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

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
