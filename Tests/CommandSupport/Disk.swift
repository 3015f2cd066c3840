import Foundation

/// Disks of our own, to see what happens on one that is full or read-only. They need the right to mount.
public enum Disk {
  /// Why a test without that right is left out.
  public static let needsMount = "only who may mount file systems can make a full or read-only disk"

  /// Whether this process may mount, which is tried out.
  public static func canMount() async -> Bool {
    guard geteuid() == 0 else { return false }
    return (try? await withDisk(kilobytes: 64) { _ in true }) ?? false
  }

  /// Runs `body` with a new, empty disk of the given size, and takes it away again.
  public static func withDisk<Result>(
    kilobytes: Int, _ body: (String) async throws -> Result
  ) async throws -> Result {
    let folder = try Scratch.folder()
    try await shell("mount -t tmpfs -o size=\(kilobytes)k none '\(folder)'")
    do {
      let result = try await body(folder)
      try await shell("umount -l '\(folder)'")
      return result
    } catch {
      try await shell("umount -l '\(folder)'")
      throw error
    }
  }

  /// Forbids all writing to a disk of ours.
  public static func makeReadOnly(_ folder: String) async throws {
    try await shell("mount -o remount,ro '\(folder)'")
  }

  private static func shell(_ command: String) async throws {
    let result = try await Command.run("/bin/sh", ["-c", command])
    guard result.status == 0 else { throw CommandTimeout(description: "\(command): \(result.error)") }
  }
}
