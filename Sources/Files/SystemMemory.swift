import Foundation

/// Memory of the machine, or of the container that this process runs in.
public enum SystemMemory {
  /// Bytes that can be had without swapping; nil where the system does not say.
  public static var available: Int? {
    let machine = number(of: "MemAvailable:", in: text("/proc/meminfo")).map { $0 * 1024 }
    // A container's limit counts files that it has read as well, which go when memory is asked for.
    let folder = "/sys/fs/cgroup"
    guard let limit = text("\(folder)/memory.max").flatMap({ Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }),
      let used = text("\(folder)/memory.current").flatMap({ Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
    else { return machine }
    let files = number(of: "inactive_file", in: text("\(folder)/memory.stat")) ?? 0
    return min(machine ?? .max, max(0, limit - max(0, used - files)))
  }

  /// Throws where more is needed than can be had.
  ///
  /// - Parameters:
  ///   - bytes: that are needed.
  ///   - purpose: what for, as in "runs/a: the network in float32".
  ///   - wayOut: what to do instead.
  ///   - available: bytes that can be had.
  public static func require(
    _ bytes: Int, for purpose: String, wayOut: String, available: Int? = SystemMemory.available
  ) throws {
    guard let available, bytes > available else { return }
    func gigabytes(_ bytes: Int) -> String { String(format: "%.1f GB", Double(bytes) / 1e9) }
    throw FileError(
      "\(purpose) takes \(gigabytes(bytes)) of memory, and \(gigabytes(available)) are available; \(wayOut)")
  }

  private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

  private static func number(of name: String, in text: String?) -> Int? {
    let line = text?.split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }
}
